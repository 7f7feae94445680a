"""`labsys model new`: which moments are picked, and that every camera shows the same one. Grey levels tell the time."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from _pytest.capture import CaptureResult

import pipelines.modelling.new_project
from api.cli import main
from calibration.formats import write_anipose
from labsys.core.cameras import Calibration
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.motion import Stride
from labsys.core.progress import SilentProgress
from labsys.core.session import TrialKind, TrialName
from labsys.core.skeleton import LABSYS_RUN_37, Side
from labsys.storage.erasures import begin_erasure, cancel_erasure
from labsys.storage.exchange.dlc_project import read_dlc_project
from labsys.storage.lab import Lab, create_lab
from pipelines.importing.request import ImportRequest
from pipelines.importing.trial import import_trial
from pipelines.modelling import sources
from pipelines.modelling.carrying import best_pair
from pipelines.modelling.moments import capture_rig
from pipelines.modelling.new_project import read_plan
from pipelines.modelling.picking import Source, candidate_frames, pick_by_looks, pick_by_phase, share_out
from pipelines.modelling.project import load_notes
from pipelines.synthetic.rigs import make_rig

RIG = make_rig(3, size_px=(64, 48))
RATE_HZ, N_FRAMES, LEVELS_PER_S = 50.0, 40, 250.0
TOGETHER, ALONE = "S01/2026-01-10/run1", "S02/2026-01-12/run1"
STARTS_S = {"cam0": 0.0, "cam1": 0.007, "cam2": 0.013}


def _film(path: Path, times_s: np.ndarray) -> None:
    """Even grey pictures whose level is the time."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=round(RATE_HZ))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for time_s in times_s:
            picture = np.full((48, 64, 3), round(20 + LEVELS_PER_S * time_s), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A synchronized recording, and one of free-running cameras that start one after another."""
    folder = tmp_path_factory.mktemp("recordings")
    made = create_lab(folder / "lab")
    write_anipose(folder / "calibration.toml", Calibration(RIG, "test"))
    ticks_s = np.arange(N_FRAMES) / RATE_HZ
    stamps = ["cam_id,frame_time"]
    for trial, starts_s in ((TOGETHER, dict.fromkeys(STARTS_S, 0.0)), (ALONE, STARTS_S)):
        videos = {camera: folder / f"{trial[:3]}{camera}.mkv" for camera in starts_s}
        for camera, path in videos.items():
            _film(path, ticks_s + starts_s[camera])
            stamps += [f"{camera},{100 + t + starts_s[camera]:.6f}" for t in ticks_s] if trial is ALONE else []
        timestamps = folder / "stamps.csv" if trial is ALONE else None
        if timestamps is not None:
            timestamps.write_text("\n".join(stamps))
        request = ImportRequest(
            name=TrialName.parse(trial),
            kind=TrialKind.RUN,
            videos=videos,
            calibration=folder / "calibration.toml",
            timestamps=timestamps,
        )
        import_trial(made, request, progress=SilentProgress())
    return made


def _times_s(folder: Path, capture: str, camera: str, moments: int) -> np.ndarray:
    pictures = [folder / f"labeled-data/{capture}__{camera}/img{m:04d}.png" for m in range(moments)]
    return np.array([(float(cv2.imread(str(p)).mean()) - 20) / LEVELS_PER_S for p in pictures])


@pytest.mark.slow
def test_every_camera_shows_the_same_moments_and_all_that_later_commands_need_is_there(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "labels"
    words = ("--frames", 7, "--scorer", "kim", "--lab", lab.root)
    said = _terminal(capsys, "model", "new", folder, TOGETHER, ALONE, *words)
    assert f"{TOGETHER}: 4 moments through 3 cameras, 12 pictures" in said.out
    assert f"{ALONE}: 3 moments" in said.out
    assert "frames of one moment are up to 13 ms apart" in said.out
    assert "37 landmarks, which give tier T3" in said.err
    assert "then: labsys model propose" in said.err
    project = read_dlc_project(folder)
    assert (project.scorer, project.body_parts) == ("kim", LABSYS_RUN_37.landmarks)
    notes = load_notes(project)
    assert notes.made["kind"] == "labelled"
    together, alone = notes.captures.values()
    assert (together.source, together.calibrated) == (TOGETHER, True)
    for name, capture, apart_s in (
        ("S01_2026-01-10_run1", together, 0.0),
        ("S02_2026-01-12_run1", alone, 0.013),
    ):
        count = len(capture.frames["cam0"])
        seen_s = np.stack([_times_s(folder, name, camera, count) for camera in STARTS_S])
        assert np.ptp(seen_s, axis=0).max() <= apart_s + 1.0 / LEVELS_PER_S
        assert np.diff(seen_s[0]).min() > 0.05
        assert capture_rig(project, name, capture).names == RIG.names
    frames = np.array(together.frames["cam1"])
    np.testing.assert_allclose(_times_s(folder, "S01_2026-01-10_run1", "cam1", 4), frames / RATE_HZ, atol=1e-6)


def test_a_processed_trial_gives_moments_by_its_strides(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    strides = [Stride(i, Side.RIGHT, 0.1 + 0.2 * i, 0.15 + 0.2 * i, 0.3 + 0.2 * i, 0.2 + 0.2 * i) for i in range(3)]
    motion = SimpleNamespace(strides=strides)
    monkeypatch.setattr(sources, "current_run", lambda *_: "run")
    monkeypatch.setattr(sources, "load_trial_result", lambda *_: SimpleNamespace(motion=motion))
    recording = sources.open_recording(lab, TrialName.parse(ALONE))
    times_s = sources.pick_moments(lab, recording, 5, seed=2)
    phases = np.sort((times_s - recording.grid_s[0] - 0.1) / 0.2 % 1.0)
    np.testing.assert_array_equal(np.floor(phases * 5), np.arange(5))
    strides.clear()
    assert sources.pick_moments(lab, recording, 5, seed=2).size == 5


def test_what_cannot_be_is_refused_and_nothing_stays(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "labels"

    def refused(*words: object) -> str:
        said = _terminal(capsys, "model", "new", *words, "--lab", lab.root, code=2)
        assert not folder.exists()
        return said.err

    assert "Did you mean 'run1'" in refused(folder, TOGETHER[:-1] + "2")
    assert "trials occur more than once" in refused(folder, TOGETHER, TOGETHER)
    assert "Unknown landmark set or file 'coco'" in refused(folder, TOGETHER, "--landmarks", "coco")
    assert "is not an empty folder" in refused(lab.root, TOGETHER)
    subject = TOGETHER.partition("/")[0]
    begin_erasure(lab, subject, keep_days=7)
    assert "asked to be erased" in refused(folder, TOGETHER)
    cancel_erasure(lab, subject)

    def full_disk(*_: object) -> None:
        raise InputError("cannot be written", where="picture")

    monkeypatch.setattr(pipelines.modelling.new_project, "write_pictures", full_disk)
    assert "cannot be written" in refused(folder, TOGETHER)


def test_json_names_what_was_taken(lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = tmp_path / "points.txt"
    names.write_text("# my own\nRGT\nRLFE\ntail\n")
    words = ("--landmarks", names, "--frames", 2, "--lab", lab.root, "--json")
    said = _terminal(capsys, "model", "new", tmp_path / "labels", TOGETHER, *words)
    told = json.loads(said.out)
    assert told["landmarks"] == ["RGT", "RLFE", "tail"]
    assert told["captures"][0]["moments"] == 2
    assert "not used, as labsys does not know them: tail" in said.err
    assert read_dlc_project(tmp_path / "labels").skeleton == (("RGT", "RLFE"),)


# ---- picking


def _strides(count: int) -> list[Stride]:
    return [Stride(i, Side.LEFT, 0.7 * i, 0.7 * i + 0.2, 0.7 * (i + 1), 0.7 * i + 0.35) for i in range(count)]


def test_moments_go_through_all_phases_and_the_whole_recording() -> None:
    strides = _strides(30)
    times_s = pick_by_phase(strides, 20, seed=1)
    phases = np.sort(times_s / 0.7 % 1.0)
    np.testing.assert_array_equal(np.floor(phases * 20), np.arange(20))
    assert np.diff(times_s).max() < 3 * 0.7
    np.testing.assert_array_equal(times_s, pick_by_phase(strides, 20, seed=1))
    assert pick_by_phase([], 20, seed=1).size == 0


def test_pictures_that_look_alike_are_taken_once() -> None:
    looks = np.array([[0.0], [0.0], [0.1], [5.0], [5.0], [9.0]])
    assert pick_by_looks(looks, 3).tolist() == [0, 3, 5]
    assert len(pick_by_looks(looks, 6)) == 4
    assert candidate_frames(1000, 10).tolist()[:2] == [0, 26]
    assert candidate_frames(3, 10).tolist() == [0, 1, 2]


def test_moments_are_shared_over_subjects_first_and_standing_gives_few() -> None:
    def source(trial: str, kind: TrialKind = TrialKind.RUN, n: int = 100) -> Source:
        return Source(TrialName.parse(trial), kind, n)

    trials = [source("S1/a/r1"), source("S1/a/r2"), source("S2/a/r1"), source("S2/a/s1", TrialKind.STATIC)]
    assert share_out(trials, 20) == (5, 5, 6, 4)
    assert share_out([source("S1/a/r1", n=3)], 20) == (3,)


def test_the_first_two_views_do_not_face_each_other() -> None:
    rig = make_rig(6, size_px=(1280, 720))
    a, b = (rig.names.index(name) for name in best_pair(rig))
    assert (b - a) % 6 in (1, 2, 4, 5)


def test_plans_name_landmark_sets_in_any_case_or_files(tmp_path: Path) -> None:
    plan = read_plan("LabSys-Run-37", moments=5, scorer="kim", seed=0)
    assert plan.bones == LABSYS_RUN_37.bones
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n")
    with pytest.raises(InputError, match="names no landmarks"):
        read_plan(str(empty), moments=5, scorer="kim", seed=0)
    with pytest.raises(UnknownNameError, match="landmark set or file"):
        read_plan("nothing", moments=5, scorer="kim", seed=0)


def _terminal(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> CaptureResult[str]:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    said = capsys.readouterr()
    assert left.value.code == code, said.err
    return said
