"""A first look at a take: a few seconds of the middle, close to the whole trial's numbers, and nothing is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from api.cli import main
from api.work import do_job
from calibration.formats import write_anipose
from labsys.core.cameras import Calibration
from labsys.core.errors import InputError
from labsys.core.motion import Quality
from labsys.core.progress import Progress, SilentProgress
from labsys.core.session import Conditions, Episode, Goal, GoalDirection, Surface, TrialKind, TrialName
from labsys.core.skeleton import Side
from labsys.storage.episodes import save_episode
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.jpeg_video import JpegVideo
from labsys.storage.lab import Lab, create_lab, trial_folder
from labsys.storage.results import load_trial_result
from labsys.storage.runs import list_runs
from labsys.storage.takes import CameraFile, Take, TakeFile, load_landmarks2d, load_take
from labsys.storage.trials import load_trial, save_trial
from labsys.storage.video import read_packets
from pipelines import quick
from pipelines.config import PipelineConfig
from pipelines.importing.request import ImportRequest, VisitFacts
from pipelines.importing.trial import import_trial
from pipelines.pose2d import PoseEstimate
from pipelines.quick import look_quickly
from pipelines.quick_before import find_before
from pipelines.quick_cut import FrameSpan, cut_videos, span_frames
from pipelines.run import run_trial
from pipelines.run_landmarks import make_landmarks3d
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import make_trial
from pipelines.trial_inputs import TrialInputs, gather_inputs
from tests.test_pipelines.run_scene import write_2d

pytestmark = pytest.mark.slow

RUN = TrialName("S01", "2026-11-22", "run1")
LATER = TrialName("S01", "2026-12-20", "run1")
STILL = TrialName("S01", "2026-11-22", "static1")
SECONDS = 14.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Two visits, each a static and a run of 14 s seen by three cameras."""
    folder = tmp_path_factory.mktemp("quick")
    made, rig = create_lab(folder / "lab"), make_rig(3)
    write_anipose(folder / "calibration.toml", Calibration(rig, "test"))
    for name, kind, seconds in (
        (STILL, TrialKind.STATIC, 1.0),
        (RUN, TrialKind.RUN, SECONDS),
        (TrialName("S01", LATER.session, "static1"), TrialKind.STATIC, 1.0),
        (LATER, TrialKind.RUN, SECONDS),
    ):
        trial = make_trial(RunnerParameters(), kind=kind, seconds=seconds, rate_hz=100.0, seed=3)
        treadmill = Conditions(surface=Surface.TREADMILL, speed_mps=3.0) if kind is TrialKind.RUN else Conditions()
        request = ImportRequest(
            name=name,
            kind=kind,
            conditions=treadmill,
            landmarks2d=write_2d(folder / f"{name.session}-{name.trial}", trial, rig),
            calibration=folder / "calibration.toml",
            rate_hz=100.0,
            visit=VisitFacts(captured_at=f"{name.session}T10:00:00.000Z"),
        )
        import_trial(made, request, progress=SilentProgress())
    return made


def _files(lab: Lab) -> set[str]:
    return {str(p.relative_to(lab.root)) for p in lab.root.rglob("*")}


def test_a_first_look_is_close_to_the_whole_and_keeps_nothing(lab: Lab) -> None:
    before = _files(lab)
    found = look_quickly(lab, RUN, config=PipelineConfig(), seconds=6.0, progress=SilentProgress())
    assert _files(lab) == before, "nothing is written"
    assert list_runs(lab, RUN) == ()
    assert found.static == "static1", "angles are changes from a static that nobody processed yet"
    assert (found.begin_s, found.end_s) == pytest.approx((5.195, 11.195), abs=0.02)
    assert not found.unseen
    assert len(found.visible) == 37
    assert min(found.n_strides().values()) >= 7
    assert {m.quality for m in found.motion.metrics} <= {Quality.INDICATIVE, Quality.EXCLUDED}
    run_trial(lab, RUN, config=PipelineConfig(), progress=SilentProgress())
    of_quick = {(m.id, m.side): m for m in found.motion.metrics}
    whole = {(m.id, m.side): m for m in load_trial_result(lab, RUN).motion.metrics}
    assert of_quick.keys() == whole.keys()
    for metric in ("hip_ext_pelvis_peak", "thigh_ext_vertical_peak", "trunk_lean_stance_mean"):
        rows = [key for key in whole if key[0] == metric]
        assert rows, metric
        for key in rows:
            assert abs(of_quick[key].mean - whole[key].mean) < max(4 * whole[key].sd, 1e-3), key
            assert of_quick[key].n < whole[key].n


def test_goals_stand_beside_the_last_visit(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """The terminal's document: the goal's metric now and in the latest processed trial of an earlier visit."""
    goal = Goal("hip_ext_pelvis_peak", Side.LEFT, GoalDirection.TOWARD_HIGHER, "2026-11-01")
    save_episode(lab, Episode(uuid="", subject="S01", label="knee", index_date="2026-11-01", goals=(goal,)))
    run_trial(lab, RUN, config=PipelineConfig(), progress=SilentProgress())
    for text, last in ((str(RUN), None), (str(LATER), str(RUN))):
        with pytest.raises(SystemExit) as ended:
            main(["quick", text, "--seconds", "5", "--json", "--lab", str(lab.root)])
        assert not ended.value.code
        told = json.loads(capsys.readouterr().out)
        (found,) = told["goals"]
        assert told["quick"] is True
        assert (found["metric"], found["unit"]) == ("hip_ext_pelvis_peak", "deg")
        assert found["last"] == (
            None if last is None else {"trial": last, "mean": pytest.approx(found["mean"], abs=2.0)}
        )
    _is_found_by_a_job(lab, told)
    assert list_runs(lab, LATER) == ()
    for option in ("0", "61"):
        with pytest.raises(SystemExit) as ended:
            main(["quick", str(RUN), "--seconds", option, "--lab", str(lab.root)])
        assert ended.value.code == 2
    assert "between 0 and 60" in capsys.readouterr().err


def _is_found_by_a_job(lab: Lab, told: dict[str, Any]) -> None:
    """The page's job finds what the terminal finds, in JSON that knows no NaN, and keeps nothing of it either."""
    before = _files(lab)
    job = {"lab": str(lab.root), "database": lab.database, "kind": "quick", "target": str(LATER), "parameters": {}}
    outcome = json.loads(json.dumps(do_job(job, SilentProgress()), allow_nan=False))
    assert outcome.keys() == told.keys() | {"n_cameras", "stood_still_s"}
    assert outcome["n_cameras"] == 3, "the next look's time is told from it"
    for key in ("trial", "quick", "tier", "static", "landmarks_seen", "landmarks_not_seen"):
        assert outcome[key] == told[key], key
    assert outcome["until_s"] - outcome["from_s"] > told["until_s"] - told["from_s"], "10 s, as far as the take goes"
    (goal,), (said,) = outcome["goals"], told["goals"]
    assert goal == {**said, "mean": pytest.approx(said["mean"], abs=2.0)}
    assert _files(lab) == before


def test_a_take_of_markers_has_nothing_to_look_at(lab: Lab) -> None:
    markers = Take(rate_hz=100.0, files={"markers": TakeFile("files/markers.trc", "0" * 64)})
    with pytest.raises(InputError, match=r"neither videos nor 2D landmarks.*labsys process S01/2026-11-22/run1"):
        span_frames(lab, RUN, markers, seconds=5.0, gait=True)


def test_who_has_no_calibration_is_told_how_to_state_one() -> None:
    """Of a take that was recorded before it was calibrated; to import it again is no way."""
    nothing: Any = None
    trial: Any = SimpleNamespace(trial=SimpleNamespace(name=RUN), take=Take(rate_hz=100.0))
    with pytest.raises(InputError, match="labsys trial edit S01/2026-11-22/run1 --calibration"):
        make_landmarks3d(nothing, nothing, trial, PipelineConfig(), None, {})


def test_only_an_earlier_visit_that_a_comparison_would_pair_stands_beside(lab: Lab) -> None:
    if not list_runs(lab, RUN):
        run_trial(lab, RUN, config=PipelineConfig(), progress=SilentProgress())
    later, earlier = load_trial(lab, LATER), load_trial(lab, RUN)

    def found(**stated: Any) -> str:
        save_trial(lab, replace(later, conditions=replace(later.conditions, **stated)))
        before = find_before(lab, LATER, ())
        return "" if before is None else str(before.trial.name)

    try:
        assert found() == str(RUN)
        assert found(speed_mps=3.08) == str(RUN)  # 2.6 %
        assert found(speed_mps=3.1) == ""  # 3.2 %
        assert found(speed_mps=None) == "", "an unknown speed is like nothing"
        assert found(incline_pct=1.0) == ""
        assert found(surface=Surface.OVERGROUND) == ""
        save_trial(lab, replace(earlier, excluded=True, exclusion_reason="Stumbled"))
        assert found() == ""
    finally:
        for trial in (later, earlier):
            save_trial(lab, trial)
    assert find_before(lab, RUN, ()) is None, "nothing is earlier"


def test_a_take_that_is_too_short_is_refused_with_what_to_do(lab: Lab) -> None:
    take = load_take(lab, RUN)
    with pytest.raises(InputError, match=r"too short for a quick result.*labsys process"):
        span_frames(lab, RUN, replace(take, rate_hz=300.0), seconds=10.0, gait=True)
    whole = span_frames(lab, RUN, replace(take, rate_hz=300.0), seconds=np.inf, gait=False)
    assert {s.stop - s.start for s in whole.frames.values()} == {int(SECONDS * 100)}


def test_frames_are_cut_from_videos_as_they_were_recorded(lab: Lab, tmp_path: Path) -> None:
    """By the times of each camera, one of which lost frames; a video of another kind is refused by name."""
    raw = trial_folder(lab, RUN) / "take" / "raw"
    raw.mkdir()
    pictures = {
        c: [b"\xff\xd8" + bytes([i % 256, k]) * 40 + b"\xff\xd9" for i in range(900)] for k, c in enumerate("ab")
    }
    for camera, content in pictures.items():
        video = JpegVideo(raw / f"{camera}.mkv", size_px=(64, 48), rate_hz=100.0)
        for i, picture in enumerate(content):
            video.write(picture, i / 100)
        video.close()
    files = {c: CameraFile(f"raw/{c}.mkv", "", (64, 48), 900, 100.0) for c in pictures}
    take = Take(rate_hz=100.0, cameras=files)
    span = span_frames(lab, RUN, take, seconds=2.0, gait=True)
    videos = cut_videos(lab, RUN, take, span, tmp_path)
    for video in videos:
        rows = span.frames[video.camera]
        assert 195 <= video.n_frames == rows.stop - rows.start <= 205
        assert list(read_packets(video.path)) == pictures[video.camera][rows]
    broken = JpegVideo(raw / "a.mkv", size_px=(64, 48), rate_hz=100.0)
    for i in range(900):
        broken.write(b"no picture", i / 100)
    broken.close()
    with pytest.raises(InputError, match="no Motion JPEG"):
        cut_videos(lab, RUN, take, span, tmp_path)


def test_the_track_that_is_looked_at_is_the_piece(lab: Lab) -> None:
    span = span_frames(lab, RUN, load_take(lab, RUN), seconds=4.0, gait=True)
    (camera, rows), *_ = span.frames.items()
    track: CameraTrack = load_landmarks2d(lab, RUN, camera)
    assert rows.stop - rows.start == pytest.approx(401, abs=1)
    assert rows.stop < track.n_frames - 160
    assert rows.start > 400


@pytest.mark.parametrize(
    ("run", "static", "looked_at"),
    [
        ("2D", "2D", []),
        ("videos", "2D", ["run1"]),
        ("videos", "both", ["run1"]),
        ("2D", "videos", ["static1"]),
        ("videos", "videos", ["run1", "static1"]),
    ],
)
def test_a_model_looks_at_each_take_that_has_videos_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, run: str, static: str, looked_at: list[str]
) -> None:
    """As in processing: a take's imported landmarks count, whatever the other take has."""
    has = {"run1": run, "static1": static}
    asked: list[tuple[TrialName, FrameSpan]] = []
    opened: list[object] = []

    def gather(lab: Lab, name: TrialName) -> TrialInputs:
        found = gather_inputs(lab, name)
        n_frames = {c: load_landmarks2d(lab, name, c).n_frames for c in found.take.landmarks2d}
        cameras = {c: CameraFile(f"raw/{c}.mkv", "", (64, 48), n, 100.0) for c, n in n_frames.items()}
        held = has[name.trial]
        take = found.take if held == "2D" else replace(found.take, cameras=cameras)
        return replace(found, take=take if held != "videos" else replace(take, landmarks2d={}))

    def cut(_lab: Lab, name: TrialName, _take: Take, span: FrameSpan, _room: Path) -> tuple[()]:
        asked.append((name, span))
        return ()

    def look(_videos: object, model: object, *, progress: Progress) -> PoseEstimate:
        (name, span), (only,) = asked[-1], opened
        assert model is only
        tracks = {c: load_landmarks2d(lab, name, c) for c in span.frames}
        return PoseEstimate({c: quick._cut_track(t, span.frames[c]) for c, t in tracks.items()}, "played")

    def open_model(*_: object) -> Any:
        opened.append(object())
        return opened[-1]

    expected = look_quickly(lab, LATER, config=PipelineConfig(), seconds=5.0, progress=SilentProgress())
    monkeypatch.setattr(quick, "gather_inputs", gather)
    monkeypatch.setattr(quick, "cut_videos", cut)
    monkeypatch.setattr(quick, "estimate_pose", look)
    found = look_quickly(
        lab, LATER, config=PipelineConfig(), seconds=5.0, progress=SilentProgress(), open_model=open_model
    )
    assert [name.trial for name, _ in asked] == looked_at
    assert len(opened) == bool(looked_at), "opened once, and only where it is needed"
    assert [m.mean for m in found.motion.metrics] == [m.mean for m in expected.motion.metrics]
