"""What is said of the cameras' timing: a frame lost in the middle, offsets not believed and why, grades, jitter."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labsys.core.camera_audit import ReconstructionAudit, SyncAudit
from labsys.core.frame_clock import CameraClocks, FrameClock
from labsys.core.session import TrialKind
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.results import read_audit, write_audit
from pipelines.config import PipelineConfig
from pipelines.prepare2d import Prepared2D, prepare_landmarks2d
from pipelines.retime import read_clocks
from pipelines.retiming.grade import believe_trigger, grade_sync
from pipelines.retiming.losses import LostFrames, find_jumps, find_lost_frames
from pipelines.retiming.offsets import CameraOffset
from pipelines.synthetic.noise import NoiseModel, observe_free_running
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial

RATE_HZ = 60.0
SECONDS = 5.4


@pytest.fixture(scope="module")
def runner() -> SyntheticTrial:
    return make_trial(RunnerParameters(speed_mps=4.0), seconds=6.0, rate_hz=240.0, seed=3)


def film(trial: SyntheticTrial, lost: Mapping[int, int], n_cameras: int) -> dict[str, CameraTrack]:
    """Cameras that look at the same moments; lost: camera -> row before which a frame is missing."""
    rows = np.arange(round(SECONDS * RATE_HZ))
    times = tuple((rows + (rows >= lost.get(c, rows.size))) / RATE_HZ for c in range(n_cameras))
    views = observe_free_running(trial, make_rig(n_cameras), NoiseModel.white(1.0, outliers=0.02), times, 1)
    return {v.cameras[0]: CameraTrack(v.landmarks, v.xy_px[:, 0], v.confidence[:, 0]) for v in views}


def prepare(tracks: Mapping[str, CameraTrack], *, stamps: Path | None = None, asked: bool = True) -> Prepared2D:
    config = PipelineConfig.model_validate({"sides": {"repair": False}, "retime": {"estimate_offsets": asked}})
    rig = make_rig(len(tracks))
    return prepare_landmarks2d(
        tracks, lambda seen: rig.select(seen.cameras), rate_hz=RATE_HZ, stamps=stamps, config=config
    )


@pytest.mark.slow
@pytest.mark.parametrize(("lost", "n_cameras"), [({2: 180}, 3), ({0: 200}, 2)], ids=["cam2 of 3", "cam0 of 2"])
def test_a_frame_lost_in_the_middle_is_told_and_nothing_is_corrected(
    runner: SyntheticTrial, lost: dict[int, int], n_cameras: int
) -> None:
    tracks = film(runner, lost, n_cameras)
    prepared = prepare(tracks)
    (camera, row), names = *lost.items(), tuple(tracks)
    (said,) = prepared.audit.warnings
    told = re.match(
        rf"{names[camera]} lost 1 frame at about (\d\.\d) s: from there on it looks (\d+\.\d) ms later", said
    )
    assert told, said
    assert float(told[1]) == pytest.approx(row / RATE_HZ, abs=0.5)
    assert float(told[2]) == pytest.approx(1000.0 / RATE_HZ, rel=0.15)
    assert "no offset is corrected" in said
    assert ("of two cameras it cannot be told" in said) == (n_cameras == 2)
    assert not any(c.offset_used for c in prepared.audit.cameras)
    assert all(np.array_equal(prepared.landmarks.xy_px[:, i], t.xy_px, equal_nan=True)
               for i, t in enumerate(tracks.values()))  # fmt: skip
    assert prepared.audit.sync is not None
    assert prepared.audit.sync.grade == "D"


@pytest.mark.slow
def test_a_shift_that_stays_is_no_loss_and_is_corrected(runner: SyntheticTrial) -> None:
    tracks = film(runner, {1: 0}, 3)
    prepared = prepare(tracks)
    (said,) = prepared.audit.warnings
    assert re.fullmatch(r"cam1 looks 16\.\d ms later .*; corrected", said)
    assert all(c.offset_used for c in prepared.audit.cameras)
    assert prepared.audit.sync is not None
    assert prepared.audit.sync.grade == "B"


def test_a_frame_given_twice_is_too_many(runner: SyntheticTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    course = np.zeros((3, 10))
    course[1, 4:] = -0.0165
    monkeypatch.setattr("pipelines.retiming.losses.measure_course", lambda *_, **__: (course, np.full((3, 10), 1e-4)))
    tracks = film(runner, {}, 3)
    (found,) = find_lost_frames(tracks, read_clocks(tracks, rate_hz=RATE_HZ), make_rig(3), {})
    assert (found.camera, found.n_frames) == ("cam1", -1)


def wave(jumps: Mapping[int, float], *, slope: float = 0.0, seed: int = 0) -> list[tuple[float, float]]:
    parts = np.arange(40)
    course = slope * parts + np.random.default_rng(seed).normal(0.0, 0.3, parts.size)
    for at, step in jumps.items():
        course[parts >= at] += step
    return find_jumps(course, np.full(parts.size, 0.3))


@pytest.mark.slow
@pytest.mark.parametrize("slope", [0.0, 0.5, -0.3], ids=lambda s: f"slope {s:g}")
def test_jumps_are_told_from_drift(slope: float) -> None:
    for seed in range(3):
        assert wave({}, slope=slope, seed=seed) == []
        for jumps in ({20: 8.0}, {5: -8.0}, {12: 8.0, 28: 8.0}, {10: 8.0, 18: 16.0, 30: -8.0}):
            found = wave(jumps, slope=slope, seed=seed)
            assert [round(at) for at, _ in found] == list(jumps)
            assert [step for _, step in found] == pytest.approx(list(jumps.values()), abs=1.0)


def test_one_wild_part_or_one_that_says_nothing_is_no_jump() -> None:
    course = np.zeros(20)
    course[7] = 9.0
    assert find_jumps(course, np.full(20, 0.3)) == []
    course[7:12] = 9.0
    unknown = np.where((np.arange(20) >= 7) & (np.arange(20) < 12), math.inf, 0.3)
    assert find_jumps(course, unknown) == []
    assert len(find_jumps(course, np.full(20, 0.3))) == 2


def offsets(sd_s: float) -> dict[str, CameraOffset]:
    return {"cam0": CameraOffset(0.0, 0.0, 0.0, 0.0), "cam1": CameraOffset(0.003, sd_s, 0.0, math.inf)}


@pytest.mark.parametrize(
    ("sd_s", "said"),
    [
        (0.0008, "offsets of the cameras are not corrected: that of cam1 is known to ± 0.80 ms, 0.5 ms is asked for"),
        (math.inf, "offsets of the cameras were asked for, but too little moves in cam1 to tell them"),
    ],
)
def test_why_offsets_are_not_believed(
    runner: SyntheticTrial, monkeypatch: pytest.MonkeyPatch, sd_s: float, said: str
) -> None:
    monkeypatch.setattr("pipelines.prepare2d.estimate_offsets", lambda *_, **__: offsets(sd_s))
    monkeypatch.setattr("pipelines.prepare2d.find_lost_frames", lambda *_, **__: ())
    audit = prepare(film(runner, {}, 2)).audit
    assert audit.warnings == (f"{said}; the frames' numbers are believed",)
    assert not audit.cameras[1].offset_used
    assert audit.sync is None, "nothing was measured"


def write_late_stamps(path: Path, tracks: Mapping[str, CameraTrack], late_s: float) -> Path:
    rng = np.random.default_rng(5)
    rows = [
        f"{name},{t:.6f}"
        for name, track in tracks.items()
        for t in np.arange(track.n_frames) / RATE_HZ + rng.exponential(late_s, track.n_frames)
    ]
    path.write_text("\n".join(["cam_id,frame_time", *rows, ""]))
    return path


def test_late_timestamps_are_warned_of_where_something_moves_fast(runner: SyntheticTrial, tmp_path: Path) -> None:
    running = film(runner, {}, 2)
    still = film(make_trial(RunnerParameters(), kind=TrialKind.STATIC, seconds=6.0, rate_hz=240.0, seed=3), {}, 2)
    late = write_late_stamps(tmp_path / "late.csv", running, 0.001)
    (said,) = prepare(running, stamps=late, asked=False).audit.warnings
    told = re.fullmatch(
        r"timestamps of cam\d are up to (\d\.\d) ms off its clock \(99 %\): were they as late on the whole, \w+ at "
        r"(\d+\.\d) m/s would be (\d+) mm off; --set retime.estimate_offsets=true finds out",
        said,
    )
    assert told, said
    assert float(told[1]) == pytest.approx(4.5, abs=1.0)
    assert 4.0 < float(told[2]) < 12.0, "a foot of a runner at 4 m/s"
    assert float(told[3]) == pytest.approx(float(told[1]) * float(told[2]), rel=0.1)
    assert prepare(still, stamps=late, asked=False).audit.warnings == ()
    exact = write_late_stamps(tmp_path / "exact.csv", running, 1e-5)
    assert prepare(running, stamps=exact, asked=False).audit.warnings == ()


def clocks(*, jitter_s: float = 0.0002, n_lost: int = 0, rate_hz: float = 120.0, stamped: bool = True) -> CameraClocks:
    one = FrameClock(np.arange(1000) / rate_hz, np.ones(1000, bool), 1.0 / rate_hz, jitter_s, 0)
    return CameraClocks({"cam0": one, "cam1": replace(one, n_lost=n_lost)}, stamped, {}, {})


LOST = LostFrames("cam1", 1, 3.0, 0.0083)


@pytest.mark.parametrize(
    ("measured", "sd_s", "lost", "grade", "first"),
    [
        (clocks(), 0.0002, (), "B", "timestamps of cam0 up to 0.2 ms off its clock"),
        (clocks(), 0.0008, (), "C", "offsets of the cameras not verified"),
        (clocks(jitter_s=0.0046), 0.0002, (), "C", "timestamps of cam0 up to 4.6 ms"),
        (clocks(rate_hz=30.0), 0.0002, (), "C", "30 frames a second"),
        (clocks(jitter_s=0.009), 0.0002, (), "D", "timestamps of cam0 up to 9 ms"),
        (clocks(n_lost=11), 0.0002, (), "D", r"cam1 lost 1\.1%"),
        (clocks(n_lost=9), 0.0002, (), "B", "timestamps"),
        (clocks(stamped=False), 0.0002, (), "B", r"offsets by the landmarks to ± 0\.20 ms"),
        (clocks(stamped=False), 0.0002, (LOST,), "D", "cam1 lost 1 frame at about 3.0 s"),
    ],
)
def test_the_grade_follows_from_what_was_measured(
    measured: CameraClocks, sd_s: float, lost: tuple[LostFrames, ...], grade: str, first: str
) -> None:
    found = grade_sync(measured, offsets(sd_s), lost)
    assert found is not None
    assert found.grade == grade
    assert re.match(first, found.reasons[0]), found.reasons


def test_a_grade_is_kept_with_the_run(tmp_path: Path) -> None:
    audit = ReconstructionAudit(sync=SyncAudit("C", ("offsets of the cameras not verified",)))
    write_audit(tmp_path / "audit.json", audit)
    assert read_audit(tmp_path / "audit.json") == audit
    assert grade_sync(clocks(stamped=False), {}, ()) is None


def test_a_counted_trigger_is_believed_unless_something_measured_speaks_against_it() -> None:
    told = {"grade": "A", "grade_rests_on": ["360 pulses and as many frames of every camera"]}
    unverified = SyncAudit("C", ("offsets of the cameras not verified",))
    assert believe_trigger(unverified, told) == SyncAudit("A", tuple(told["grade_rests_on"]))
    lost = SyncAudit("D", ("cam1 lost 3 frames at about 2.0 s",))
    assert believe_trigger(lost, told) is lost
    for grade in ("C", "D", None):
        assert believe_trigger(unverified, {**told, "grade": grade}) is unverified
    assert believe_trigger(None, {}) is None
