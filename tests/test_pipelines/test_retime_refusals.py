"""Timestamps that make no clock: counters that wrap, clocks set back, milliseconds; and a camera that ends early."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from labsys.core.cameras import Calibration
from labsys.core.errors import InputError
from labsys.core.frame_clock import CameraClocks, FrameStamps, fit_clock, require_plausible_rate
from labsys.core.progress import SilentProgress
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.video import VideoInfo
from pipelines.config import PipelineConfig
from pipelines.importing import cameras
from pipelines.importing.landmarks2d import read_incoming_landmarks2d
from pipelines.prepare2d import prepare_landmarks2d
from pipelines.retime import read_clocks
from pipelines.retiming.stamps import read_stamps
from pipelines.synthetic.noise import NoiseModel, observe_free_running
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import make_trial

RATE_HZ = 120.0


def every(times_s: np.ndarray) -> FrameStamps:
    return FrameStamps(times_s, None, np.ones(times_s.size, bool))


def idle_track(n_frames: int) -> CameraTrack:
    x = np.random.default_rng(0).uniform(0, 100, (n_frames, 1, 2))
    return CameraTrack(("A",), x, np.ones((n_frames, 1)))


@pytest.mark.parametrize("numbers", [[*range(250, 256), *range(6)], [0, 1, 2, 2, 3, 4], [0, 2, 1, 3, 4, 5]])
def test_frame_numbers_that_do_not_rise_are_refused_where_they_first_do_not(tmp_path: Path, numbers: list[int]) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{c},{i / 100:.3f},{n if c else i}" for c in (0, 1) for i, n in enumerate(numbers)]
    path.write_text("\n".join(["cam_id,frame_time,frame", *rows, ""]))
    at = next(i for i in range(1, len(numbers)) if numbers[i] <= numbers[i - 1])
    with pytest.raises(InputError, match=f"line {2 + len(numbers) + at}, camera 1.*[Uu]nwrap the counter") as refused:
        read_stamps(path, ["cam0", "cam1"])
    assert f"frame {numbers[at]} follows frame {numbers[at - 1]}" in str(refused.value)
    # The camera that counts well is read for itself.
    assert read_stamps(path, ["cam0"])["cam0"].number.tolist() == list(range(len(numbers)))


def test_a_clock_that_was_set_back_is_refused_and_jitter_is_not() -> None:
    true_s = np.arange(600) / RATE_HZ
    set_back_s = true_s - np.where(true_s > 3.0, 0.5 / RATE_HZ + 1.0 / RATE_HZ + 0.0005, 0.0)
    with pytest.raises(InputError, match=r"step back by 4\.7 ms after 3\.000 s.*cam2"):
        read_clocks({"cam2": idle_track(600)}, rate_hz=RATE_HZ, stamps={"cam2": every(set_back_s)})
    jittered_s = true_s.copy()
    jittered_s[300] += 1.0 / RATE_HZ + 0.49 / RATE_HZ
    assert fit_clock(every(jittered_s), where="cam2").n_lost == 0


@pytest.mark.parametrize(
    ("starts_s", "ends_s", "said"),
    [
        ((0.0, 0.0, 0.0), (12.0, 12.0, 6.0), "cut to 6.0 of 12.0 s because cam2 ends at 6.0 s"),
        ((0.0, 2.0, 0.0), (12.0, 12.0, 12.0), "cut to 10.0 of 12.0 s because cam1 starts at 2.0 s"),
        (
            (0.0, 2.0, 0.0),
            (12.0, 12.0, 6.0),
            "cut to 4.0 of 12.0 s because cam1 starts at 2.0 s and cam2 ends at 6.0 s",
        ),
        ((0.0, 0.0, 0.0), (12.0, 12.0, 11.45), ""),
        ((0.0, 0.0, 0.0), (4.0, 4.0, 3.55), ""),
    ],
)
def test_a_camera_that_cuts_the_others_short_is_named(
    starts_s: tuple[float, ...], ends_s: tuple[float, ...], said: str
) -> None:
    clocks = {}
    for c, (start_s, end_s) in enumerate(zip(starts_s, ends_s, strict=True)):
        # 1000 s: the timestamps' clock starts anywhere, the words count from the first frame.
        clocks[f"cam{c}"] = fit_clock(every(1000.0 + np.arange(start_s, end_s, 0.01)), where="test")
    assert CameraClocks(clocks, True, {}, {}).describe_cut() == said
    assert CameraClocks(clocks, False, {}, {}).describe_cut() == ""


@pytest.fixture(scope="module")
def cut_short() -> dict[str, CameraTrack]:
    """Three cameras at 100 Hz, the last of which ends halfway."""
    trial = make_trial(RunnerParameters(), seconds=4.0, rate_hz=240.0, seed=3)
    times = tuple(np.arange(n) / 100.0 for n in (390, 390, 196))
    views = observe_free_running(trial, make_rig(3), NoiseModel.white(1.0), times, 1)
    return {v.cameras[0]: CameraTrack(v.landmarks, v.xy_px[:, 0], v.confidence[:, 0]) for v in views}


def write_stamps(path: Path, tracks: dict[str, CameraTrack], *, unit_s: float = 1.0) -> Path:
    rows = [f"{name},{i / 100.0 / unit_s:.6f}" for name, track in tracks.items() for i in range(track.n_frames)]
    path.write_text("\n".join(["cam_id,frame_time", *rows, ""]))
    return path


@pytest.mark.slow
def test_a_cut_recording_is_a_warning_of_the_audit(cut_short: dict[str, CameraTrack], tmp_path: Path) -> None:
    config = PipelineConfig.model_validate({"sides": {"repair": False}})
    prepared = prepare_landmarks2d(
        cut_short,
        lambda seen: make_rig(3).select(seen.cameras),
        rate_hz=100.0,
        stamps=write_stamps(tmp_path / "t.csv", cut_short),
        config=config,
    )
    *_, last = cut_short
    assert len(prepared.audit.warnings) == 1
    assert re.fullmatch(rf"cut to (1.9|2.0) of 3.9 s because {last} ends at (1.9|2.0) s", prepared.audit.warnings[0])
    assert prepared.landmarks.times_s[-1] == pytest.approx(1.95)


@pytest.mark.slow
def test_an_import_counts_the_frames_that_are_left_and_refuses_milliseconds(
    cut_short: dict[str, CameraTrack], tmp_path: Path
) -> None:
    files = {name: tmp_path / f"{name}.h5" for name in cut_short}
    for name, path in files.items():
        write_dlc_h5(path, cut_short[name], scorer="test")
    calibration = Calibration(make_rig(3), source="test", grade="A")
    stamps = write_stamps(tmp_path / "t.csv", cut_short)
    read = read_incoming_landmarks2d(files, calibration, format=None, timestamps=stamps, progress=SilentProgress())
    assert read.n_frames == 196
    assert sum("cut to" in remark for remark in read.remarks) == 1
    in_ms = write_stamps(tmp_path / "ms.csv", cut_short, unit_s=0.001)
    with pytest.raises(InputError, match=r"0\.1 frames a second: seconds, not milliseconds\?"):
        read_incoming_landmarks2d(files, calibration, format=None, timestamps=in_ms, progress=SilentProgress())


def test_videos_alone_with_stamps_in_milliseconds_are_refused(
    cut_short: dict[str, CameraTrack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        cameras, "probe_video", lambda path: VideoInfo((640, 480), cut_short[path.stem].n_frames, 100.0, "h264")
    )
    in_ms = write_stamps(tmp_path / "ms.csv", cut_short, unit_s=0.001)
    videos = {name: tmp_path / f"{name}.mp4" for name in cut_short}
    with pytest.raises(InputError, match=r"seconds, not milliseconds\?"):
        cameras.read_incoming_videos(videos, {}, None, timestamps=in_ms, progress=SilentProgress())


def test_milliseconds_are_not_taken_for_seconds() -> None:
    for rate_hz in (5.0, 120.0, 2000.0):
        require_plausible_rate(fit_clock(every(np.arange(50) / rate_hz), where="cam0"), where="cam0")
    for rate_hz in (0.12, 4.9, 2040.0, 120e3):
        with pytest.raises(InputError, match=r"seconds, not milliseconds\?.*cam0"):
            require_plausible_rate(fit_clock(every(np.arange(50) / rate_hz), where="cam0"), where="cam0")
