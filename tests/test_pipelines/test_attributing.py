"""One thing is spoilt in a trial: the right cause, camera and landmark are named; a clean trial blames nobody."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from calibration.drift.views import move_camera
from labsys.core.camera_audit import CameraAudit, ReconstructionAudit
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.landmarks import Landmarks2D
from labsys.core.session import TrialName
from pipelines.attributing.attribute import attribute
from pipelines.attributing.blame import Attribution, Blame, Cause
from pipelines.attributing.detection import shape_noise
from pipelines.attributing.evidence import TrialEvidence
from pipelines.attributing.picture import draw_trial
from pipelines.attributing.views import split_noise
from pipelines.attributing.words import verdict_sentence
from pipelines.config import PipelineConfig, Rule, SidesConfig
from pipelines.reconstruct import reconstruct_trial
from pipelines.sides import repair_sides
from pipelines.synthetic.noise import NoiseModel, observe, observe_free_running
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial

LEG = ("GT", "LFE", "LM", "HEEL", "TOE")
FEW = ("RASIS", "LASIS", "RPSIS", "LPSIS", "C7", "L5", *(side + name for side in "RL" for name in LEG))
RIG = make_rig(4)


@functools.cache
def runner(rate_hz: float = 100.0) -> SyntheticTrial:
    return make_trial(RunnerParameters(), seconds=4.0, rate_hz=rate_hz, seed=3)


def seen(rig: CameraRig = RIG, noise: NoiseModel | None = None) -> Landmarks2D:
    return few(observe(runner(), rig, noise or NoiseModel.white(1.0), 7))


def few(views: Landmarks2D) -> Landmarks2D:
    """Fewer landmarks: a quicker test."""
    kept = [views.landmarks.index(name) for name in FEW]
    return replace(views, landmarks=FEW, xy_px=views.xy_px[:, :, kept], confidence=views.confidence[:, :, kept])


def changed(views: Landmarks2D, change: Callable[[np.ndarray, np.ndarray], None]) -> Landmarks2D:
    xy, confidence = views.xy_px.copy(), views.confidence.copy()
    change(xy, confidence)
    return replace(views, xy_px=xy, confidence=confidence)


def judged(raw: Landmarks2D, rig: CameraRig = RIG, *, repair: bool = True, **audit: object) -> Attribution:
    return attribute(evidence(raw, rig, repair=repair, **audit))


def evidence(raw: Landmarks2D, rig: CameraRig = RIG, *, repair: bool = True, **audit: object) -> TrialEvidence:
    sides = repair_sides(raw, rig)
    used = sides.landmarks if repair else raw
    found = reconstruct_trial(
        used, Calibration(rig, "test"), rule=Rule.ROBUST, min_likelihood=0.1, max_error_px=15.0, min_cameras=2
    )
    return TrialEvidence(
        trial=TrialName("S01", "2026-11-22", "run1"), run="r1", used=used, exchanged=sides.exchanged, repaired=repair,
        found=found.landmarks, rig=rig, audit=ReconstructionAudit(**audit),  # type: ignore[arg-type]  # what a test asks
        config=PipelineConfig(sides=SidesConfig(repair=repair)),
    )  # fmt: skip


def the_one(attribution: Attribution) -> Blame:
    assert len(attribution.blames) == 1, attribution.blames
    return attribution.blames[0]


@pytest.mark.slow
@pytest.mark.parametrize("noise", [NoiseModel.white(1.0), NoiseModel.dlc_like()])
def test_a_clean_trial_blames_nobody(noise: NoiseModel) -> None:
    attribution = judged(seen(noise=noise))
    assert attribution.blames == ()
    assert attribution.unchecked == {}
    assert verdict_sentence(attribution).startswith("Nothing stands out")
    assert all(c.lag_s is not None and abs(c.lag_s) < 0.001 for c in attribution.cameras)


@pytest.mark.slow
def test_one_noisy_view_is_named_with_camera_and_landmark() -> None:
    k, rng = seen().landmarks.index("LHEEL"), np.random.default_rng(1)

    def spoil(xy: np.ndarray, _: np.ndarray) -> None:
        xy[:, 1, k] += 6.0 * rng.standard_normal(xy[:, 1, k].shape)

    attribution = judged(changed(seen(), spoil))
    blame = the_one(attribution)
    assert (blame.cause, blame.cameras, blame.landmarks) == (Cause.DETECTION, ("cam1",), ("LHEEL",))
    assert blame.excess > 1.5
    heel = next(f for f in attribution.landmarks if f.landmark == "LHEEL")
    assert heel.worst_camera == "cam1"
    assert heel.noise_px == pytest.approx(6.1, rel=0.15)
    assert "LHEEL in cam1: wanders by" in verdict_sentence(attribution)


@pytest.mark.slow
@pytest.mark.parametrize("repair", [True, False])
def test_exchanged_legs_are_named_put_right_or_not(repair: bool) -> None:
    names = seen().landmarks
    left, right = ([names.index(side + n) for n in LEG] for side in "LR")

    def exchange(xy: np.ndarray, _: np.ndarray) -> None:
        rows = np.flatnonzero(np.arange(len(xy)) % 80 < 10)[:, None]
        xy[rows, 2, left], xy[rows, 2, right] = xy[rows, 2, right], xy[rows, 2, left].copy()

    blame = judged(changed(seen(), exchange), repair=repair).blames[0]
    assert (blame.cause, blame.cameras) == (Cause.DETECTION, ("cam2",))
    assert set(blame.landmarks) == {side + n for side in "LR" for n in LEG}
    assert ("put right" in blame.found) is repair
    assert ("sides.repair=true" in blame.remedy) is not repair


def seen_at(own: tuple[np.ndarray, ...]) -> Landmarks2D:
    """Cameras that looked each at moments of their own and are taken for synchronous."""
    views = tuple(few(v) for v in observe_free_running(runner(200.0), RIG, NoiseModel.white(1.0), own, 5))
    return replace(
        views[0], cameras=RIG.names, times_s=np.arange(own[0].size) / 100.0,
        xy_px=np.concatenate([v.xy_px for v in views], axis=1),
        confidence=np.concatenate([v.confidence for v in views], axis=1),
    )  # fmt: skip


@pytest.mark.slow
def test_a_camera_that_lost_a_frame_is_named_with_the_moment() -> None:
    times = runner(200.0).landmarks.times_s[10:-10:2]
    late = times + np.where(times >= times[200], 0.01, 0.0)
    attribution = judged(seen_at((times, late, times, times)))
    blame = the_one(attribution)
    assert (blame.cause, blame.cameras) == (Cause.SYNC, ("cam1",))
    told = re.match(r"lost 1 frame at about (\d\.\d) s: from there on it looks (\d+\.\d) ms later", blame.found)
    assert told, blame.found
    assert float(told[1]) == pytest.approx(2.0, abs=0.4)
    assert float(told[2]) == pytest.approx(10.0, abs=1.0)
    assert "--timestamps" in blame.remedy


@pytest.mark.slow
@pytest.mark.parametrize("camera", [0, 1])
def test_a_late_camera_is_named_with_milliseconds(camera: int) -> None:
    times = runner(200.0).landmarks.times_s[10:-10:2]
    attribution = judged(seen_at(tuple(times + (0.008 if i == camera else 0.0) for i in range(4))))
    blame, figures = the_one(attribution), attribution.cameras[camera]
    assert (blame.cause, blame.cameras) == (Cause.SYNC, (f"cam{camera}",))
    assert set(blame.landmarks) < {side + n for side in "LR" for n in LEG}
    assert figures.lag_s == pytest.approx(0.008, abs=0.0003)
    assert figures.lag_sd_s is not None
    assert figures.lag_sd_s < 0.0003
    assert "later than the others" in blame.found


@pytest.mark.slow
def test_a_turned_camera_is_named_with_degrees() -> None:
    turn = np.radians(0.5) * np.array([0.6, 0.8, 0.0])
    blame = the_one(judged(seen(move_camera(RIG, 1, turn_rad=turn, shift_m=np.zeros(3)))))
    assert (blame.cause, blame.cameras, blame.landmarks) == (Cause.CALIBRATION, ("cam1",), ())
    assert "turned by 0.5" in blame.found
    assert "labsys recalibrate S01/2026-11-22/run1" in blame.remedy


@pytest.mark.slow
def test_a_camera_that_is_off_is_named_although_the_recording_is_too_short_for_the_check() -> None:
    turn = np.radians(1.0) * np.array([0.6, 0.8, 0.0])
    views = seen(move_camera(RIG, 1, turn_rad=turn, shift_m=np.zeros(3)))
    short = replace(views, times_s=views.times_s[:60], xy_px=views.xy_px[:60], confidence=views.confidence[:60])
    attribution = judged(short)
    assert "too few" in attribution.unchecked[Cause.CALIBRATION]
    assert (attribution.blames[0].cause, attribution.blames[0].cameras) == (Cause.CALIBRATION, ("cam1",))
    assert "the same way" in attribution.blames[0].found


@pytest.mark.slow
def test_a_landmark_that_one_camera_alone_sees_is_triangulation() -> None:
    k = seen().landmarks.index("RPSIS")

    def hide(xy: np.ndarray, confidence: np.ndarray) -> None:
        xy[:250, 1:, k], confidence[:250, 1:, k] = np.nan, 0.0

    blame = the_one(judged(changed(seen(), hide)))
    assert (blame.cause, blame.landmarks) == (Cause.TRIANGULATION, ("RPSIS",))
    assert blame.cameras == ("cam1", "cam2", "cam3")
    assert "fewer than 2 cameras in 62 %" in blame.found


@pytest.mark.slow
def test_two_cameras_in_line_are_triangulation() -> None:
    rig = make_rig(16).select(("cam0", "cam8"))
    attribution = judged(seen(rig), rig)
    assert attribution.blames
    assert {b.cause for b in attribution.blames} == {Cause.TRIANGULATION}
    named = {name for b in attribution.blames for name in b.landmarks}
    # The cameras stand at 1.1 m: what lies at that height lies between them.
    assert named & {"L5", "RASIS", "LASIS", "RPSIS", "LPSIS"}
    assert not named & {side + n for side in "LR" for n in ("HEEL", "TOE")}


@pytest.mark.slow
def test_a_landmark_that_no_camera_finds_is_detection() -> None:
    k = seen().landmarks.index("C7")

    def lose(xy: np.ndarray, confidence: np.ndarray) -> None:
        xy[:, :, k], confidence[:, :, k] = np.nan, 0.0

    blame = the_one(judged(changed(seen(), lose)))
    assert (blame.cause, blame.cameras, blame.landmarks) == (Cause.DETECTION, (), ("C7",))


@pytest.mark.slow
def test_a_camera_that_follows_somebody_else_is_named() -> None:
    def step_aside(xy: np.ndarray, _: np.ndarray) -> None:
        xy[100:160, 3] += (250.0, 30.0)

    blame = the_one(judged(changed(seen(), step_aside)))
    assert (blame.cause, blame.cameras) == (Cause.DETECTION, ("cam3",))
    assert "elsewhere than the others in 15 %" in blame.found


@pytest.mark.slow
def test_lost_frames_are_sync() -> None:
    blame = the_one(judged(seen(), cameras=(CameraAudit("cam0", 400, n_lost=60), CameraAudit("cam1", 400))))
    assert (blame.cause, blame.cameras) == (Cause.SYNC, ("cam0",))
    assert "60 frames lost" in blame.found


@pytest.mark.slow
def test_three_frames_say_what_could_not_be_looked_at() -> None:
    views = seen()
    three = replace(views, times_s=views.times_s[:3], xy_px=views.xy_px[:3], confidence=views.confidence[:3])
    attribution = judged(three)
    assert attribution.blames == ()
    assert set(attribution.unchecked) == {Cause.DETECTION, Cause.SYNC, Cause.CALIBRATION}
    assert "could not be judged" in verdict_sentence(attribution)


def test_noise_is_told_apart_by_camera() -> None:
    rng = np.random.default_rng(0)
    sigma = np.array([1.0, 1.0, 5.0, 2.0])
    A = rng.standard_normal((4, 2, 3)) * 300.0
    by_point = np.broadcast_to(A, (800, 4, 2, 3))
    shift = 0.01 * rng.standard_normal((800, 3))
    residual = np.einsum("cij,fj->fci", A, shift) + sigma[:, None] * rng.standard_normal((800, 4, 2))
    noise, constant = split_noise(residual, by_point, np.ones((800, 4), dtype=np.bool_))
    assert noise == pytest.approx(sigma, rel=0.12)
    assert np.abs(constant).max() < 0.6
    nothing = split_noise(residual[:3], by_point[:3], np.ones((3, 4), dtype=np.bool_))
    assert np.isnan(nothing[0]).all()


def test_noise_of_a_view_is_held_against_its_camera_and_landmark() -> None:
    noise = np.outer([1.0, 2.0, 1.0, 1.0, 3.0], [1.0, 1.0, 2.0, 1.5])
    noise[3, 1] *= 4.0
    noise[0, 0] = np.nan
    shape = shape_noise(noise)
    assert shape.own[3, 1] == pytest.approx(4.0, rel=0.05)
    assert np.nanmax(np.delete(shape.own.ravel(), 3 * 4 + 1)) < 1.5
    assert np.isnan(shape_noise(np.full((2, 3), np.nan)).level_px)


@pytest.mark.slow
def test_the_picture_shows_the_worst_moment_of_what_is_blamed() -> None:
    def jump(xy: np.ndarray, _: np.ndarray) -> None:
        xy[100:160, 3] += (250.0, 30.0)

    own = evidence(changed(seen(), jump))
    picture = draw_trial(own, attribute(own))
    first = picture.worst[0]
    assert first.camera == "cam3"
    assert 100 <= first.frame < 160
    assert first.typical_px == pytest.approx(np.hypot(250.0, 30.0), rel=0.05)
    assert np.nanmax(picture.courses[3].middle_px) > 200.0
    assert picture.typical_px.shape == (len(own.used.landmarks), 4)
    assert {w.camera for w in picture.worst} == set(RIG.names)
