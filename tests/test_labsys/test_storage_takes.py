"""Takes and calibrations: written once, all at once, hashed."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from labsys.core.errors import ConcurrencyError, InputError, NewerSchemaError, UnknownNameError
from labsys.core.session import Session, Subject, Trial, TrialKind, TrialName
from labsys.storage.calibrations import (
    calibration_folder,
    list_calibrations,
    read_calibration_report,
    read_calibration_text,
    save_calibration_folder,
)
from labsys.storage.exchange.tracks import CameraTrack, combine_cameras
from labsys.storage.lab import Lab, create_lab, take_folder, trial_folder
from labsys.storage.sessions import save_session
from labsys.storage.subjects import save_subject
from labsys.storage.takes import has_take, load_landmarks2d, load_take, stage_take, verify_take
from labsys.storage.trials import save_trial

NAME = TrialName("S01", "2026-11-22", "run1")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = create_lab(tmp_path / "lab")
    save_subject(lab, Subject(uuid="", code="S01"))
    save_session(lab, Session(uuid="", subject="S01", session="2026-11-22", captured_at=""))
    save_trial(lab, Trial(uuid="", name=NAME, kind=TrialKind.RUN, recorded_at=""))
    return lab


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "Film.MKV"
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=100)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for i in range(7):
            picture = np.full((16, 32, 3), 30 * i, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def _track(n_frames: int = 7, names: tuple[str, ...] = ("RHip", "LHip"), first_frame: int = 0) -> CameraTrack:
    rng = np.random.default_rng(0)
    return CameraTrack(
        names, rng.normal(300, 50, (n_frames, len(names), 2)), rng.random((n_frames, len(names))), first_frame
    )


def test_a_take_loads_as_it_was_finished(lab: Lab, video: Path, tmp_path: Path) -> None:
    markers = tmp_path / "m.TRC"
    markers.write_text("x")
    with stage_take(lab, NAME) as staged:
        file = staged.add_video("cam01", video)
        staged.add_landmarks2d("cam01", _track())
        staged.add_file("markers", markers)
        assert not has_take(lab, NAME)
        take = staged.finish(rate_hz=100.0, calibration="c", source="import", notes=("two people",))
    assert load_take(lab, NAME) == take
    assert (file.path, file.size_px, file.n_frames) == ("raw/cam01.mkv", (32, 16), 7)
    assert (take_folder(lab, NAME) / "raw" / "cam01.mkv").read_bytes() == video.read_bytes()
    assert take.files["markers"].path == "files/markers.trc"
    np.testing.assert_array_equal(load_landmarks2d(lab, NAME, "cam01").xy_px, _track().xy_px)
    verify_take(lab, NAME)
    assert {p.name for p in trial_folder(lab, NAME).iterdir()} == {"trial.json", "take"}
    with pytest.raises(UnknownNameError, match=r"'cam1'.*cam01"):
        load_landmarks2d(lab, NAME, "cam1")


def test_a_take_is_written_once(lab: Lab) -> None:
    with stage_take(lab, NAME) as staged:
        staged.add_landmarks2d("cam01", _track())
        staged.finish(rate_hz=100.0)
    with pytest.raises(InputError, match="has a take already"), stage_take(lab, NAME):
        pass


def test_a_take_that_fails_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    def import_with_a_missing_camera() -> None:
        with stage_take(lab, NAME) as staged:
            staged.add_landmarks2d("cam01", _track())
            staged.add_video("cam02", tmp_path / "gone.mp4")

    with pytest.raises(InputError, match=r"gone\.mp4"):
        import_with_a_missing_camera()
    assert not has_take(lab, NAME)
    assert {p.name for p in trial_folder(lab, NAME).iterdir()} == {"trial.json"}
    with pytest.raises(InputError, match="has no take"):
        load_take(lab, NAME)


def test_what_a_crash_left_is_thrown_away(lab: Lab) -> None:
    rest = trial_folder(lab, NAME) / ".take.partial" / "pose2d"
    rest.mkdir(parents=True)
    (rest / "old.h5").write_text("torn")
    with stage_take(lab, NAME) as staged:
        staged.add_landmarks2d("cam01", _track())
        staged.finish(rate_hz=100.0)
    assert {p.name for p in (take_folder(lab, NAME) / "pose2d").iterdir()} == {"cam01.h5"}


def test_two_processes_do_not_write_one_take(lab: Lab) -> None:
    with stage_take(lab, NAME), pytest.raises(ConcurrencyError, match="another process"), stage_take(lab, NAME):
        pass


def test_wrong_use_of_a_take_is_refused(lab: Lab, video: Path) -> None:
    with stage_take(lab, NAME) as staged:
        with pytest.raises(InputError, match="take is empty"):
            staged.finish(rate_hz=100.0)
        staged.add_video("cam01", video)
        with pytest.raises(InputError, match="given twice"):
            staged.add_video("cam01", video)
        with pytest.raises(InputError, match="cannot name"):
            staged.add_video("../cam", video)
        with pytest.raises(InputError, match="not positive"):
            staged.finish(rate_hz=float("nan"))
    with pytest.raises(UnknownNameError), stage_take(lab, TrialName("S01", "2026-11-22", "run2")):
        pass


def test_a_changed_file_and_a_newer_take_are_found(lab: Lab) -> None:
    with stage_take(lab, NAME) as staged:
        staged.add_landmarks2d("cam01", _track())
        staged.finish(rate_hz=100.0)
    (take_folder(lab, NAME) / "pose2d" / "cam01.h5").write_bytes(b"other")
    with pytest.raises(InputError, match=r"differs from what was recorded.*cam01\.h5"):
        verify_take(lab, NAME)
    path = take_folder(lab, NAME) / "take.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 3}))
    with pytest.raises(NewerSchemaError, match=r"take\.json"):
        load_take(lab, NAME)


def test_cameras_combine_on_one_clock() -> None:
    combined = combine_cameras({"b": _track(), "a": _track()}, rate_hz=50.0)
    assert combined.cameras == ("b", "a")
    assert combined.xy_px.shape == (7, 2, 2, 2)
    np.testing.assert_allclose(combined.times_s, np.arange(7) / 50.0)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (_track(n_frames=6), "unequal numbers of frames: cam01 7, cam02 6"),
        (_track(first_frame=1), "unequal first frame numbers: cam01 0, cam02 1"),
        (_track(names=("RHip", "LKnee")), "cam01 and cam02 have different landmarks: LHip, LKnee"),
        (_track(names=("LHip", "RHip")), "cam01 and cam02 have different landmarks: their order"),
    ],
)
def test_cameras_that_do_not_belong_together_are_named(other: CameraTrack, message: str) -> None:
    with pytest.raises(InputError, match=message):
        combine_cameras({"cam01": _track(), "cam02": other}, rate_hz=50.0)


def test_no_cameras_no_frames_and_no_rate_are_refused() -> None:
    with pytest.raises(InputError, match="no camera"):
        combine_cameras({}, rate_hz=50.0)
    with pytest.raises(InputError, match=r"no frames .*cam01"):
        combine_cameras({"cam01": _track(n_frames=0)}, rate_hz=50.0)
    with pytest.raises(InputError, match="not positive"):
        combine_cameras({"cam01": _track()}, rate_hz=0.0)


def test_a_calibration_is_stored_once_under_a_dated_name(lab: Lab, tmp_path: Path) -> None:
    original = tmp_path / "Calib.qca.txt"
    original.write_text("<calibration/>")

    def save(text: str = "a = 1", report: dict[str, object] | None = None) -> str:
        return save_calibration_folder(
            lab,
            label="qca",
            date="2026-11-22",
            calibration_toml=text,
            original=original,
            report=report or {"grade": None},
        )

    name = save()
    assert name == "2026-11-22_qca_001"
    assert save() == name
    assert save("a = 2") == "2026-11-22_qca_002"
    assert save(report={"grade": "A"}) == "2026-11-22_qca_003"
    assert list_calibrations(lab) == tuple(f"2026-11-22_qca_00{i}" for i in (1, 2, 3))
    assert read_calibration_text(lab, name) == "a = 1"
    assert read_calibration_report(lab, "2026-11-22_qca_003") == {"grade": "A"}
    assert (calibration_folder(lab, name) / "original" / "Calib.qca.txt").read_text() == "<calibration/>"
    original.write_text("<other/>")
    assert save() == "2026-11-22_qca_004"
    with pytest.raises(UnknownNameError, match="Unknown calibration '2026-11-22_qca_005'"):
        read_calibration_text(lab, "2026-11-22_qca_005")


def test_bad_names_and_missing_originals_of_calibrations_are_refused(lab: Lab, tmp_path: Path) -> None:
    for label, date, original, message in (
        ("../x", "2026-11-22", None, "cannot name"),
        ("x", "22.11.2026", None, "no date"),
        ("x", "2026-11-22", tmp_path / "gone.toml", r"gone\.toml"),
    ):
        with pytest.raises(InputError, match=message):
            save_calibration_folder(lab, label=label, date=date, calibration_toml="", original=original, report={})
    assert not list((lab.root / "calibrations").iterdir())
