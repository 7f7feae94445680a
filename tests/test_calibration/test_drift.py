"""A camera that moved after calibration is found by the body's landmarks, named, repaired; gait and lag are no move."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from calibration.drift.drift import check_drift
from calibration.drift.repair import measure_misfit, repair_moved_camera
from calibration.drift.views import choose_frames, linearise_views, move_camera
from calibration.projection import project, project_rig
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.landmarks import Landmarks2D, Landmarks3D
from pipelines.drift import judge_drift
from pipelines.synthetic.noise import NoiseModel, observe
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial

pytestmark = pytest.mark.slow

RATE_HZ = 30.0
TURN = np.radians(0.3) * np.array([0.6, 0.8, 0.0])
SHIFT = 0.004 * np.array([0.8, 0.6, 0.0])
NOTHING = np.zeros(3)


@pytest.fixture(scope="module")
def trial() -> SyntheticTrial:
    return make_trial(RunnerParameters(), seconds=20.0, rate_hz=RATE_HZ, seed=4)


def _seen(trial: SyntheticTrial, rig: CameraRig, noise: NoiseModel, seed: int = 1) -> Landmarks2D:
    return observe(trial, rig, noise, seed)


@pytest.mark.parametrize("n_cameras", [3, 5])
@pytest.mark.parametrize(("turn", "shift"), [(TURN, NOTHING), (NOTHING, SHIFT)])
def test_a_moved_camera_is_named_and_repaired(
    trial: SyntheticTrial, n_cameras: int, turn: np.ndarray, shift: np.ndarray
) -> None:
    rig = make_rig(n_cameras)
    real = move_camera(rig, 1, turn_rad=turn, shift_m=shift)
    repair = repair_moved_camera(rig, _seen(trial, real, NoiseModel.white(1.0)))
    assert repair.camera == "cam1"
    assert repair.before.moved is not None
    assert not repair.after.suspects
    assert repair.after_px < repair.before_px
    assert _image_error_px(repair.rig, real, 1, trial) < _image_error_px(rig, real, 1, trial) / 3
    if n_cameras > 3:
        assert repair.turn_rad == pytest.approx(np.linalg.norm(turn), abs=math.radians(0.03))
        assert repair.shift_m == pytest.approx(np.linalg.norm(shift), abs=0.0013)


def _image_error_px(rig: CameraRig, real: CameraRig, index: int, trial: SyntheticTrial) -> float:
    """By how much a camera's pose is off, RMS over the body in its image."""
    points = trial.landmarks.xyz_m[::20].reshape(-1, 3)
    off = project(rig.cameras[index], points) - project(real.cameras[index], points)
    return float(np.sqrt(np.nanmean((off**2).sum(axis=-1))))


def test_biased_landmarks_hide_no_turn_and_feign_none(trial: SyntheticTrial) -> None:
    rig = make_rig(5)
    real = move_camera(rig, 3, turn_rad=TURN, shift_m=NOTHING)
    for seed in (1, 2):
        assert check_drift(rig, _seen(trial, real, NoiseModel.dlc_like(), seed)).suspects == ("cam3",)
        assert check_drift(rig, _seen(trial, rig, NoiseModel.dlc_like(), seed)).suspects == ()


def test_an_earlier_trial_uncovers_a_small_shift_and_another_gait_is_no_move() -> None:
    rig = make_rig(6)
    both = _one_after_the_other(RunnerParameters(speed_mps=2.6), RunnerParameters(speed_mps=3.6))
    real = move_camera(rig, 2, turn_rad=NOTHING, shift_m=SHIFT)
    seen, shifted = (_seen(both, r, NoiseModel.dlc_like(), 5) for r in (rig, real))
    half = both.landmarks.times_s.size // 2
    before = check_drift(rig, _frames(seen, slice(0, half)))
    assert before.suspects == ()
    later = slice(half, None)
    assert check_drift(rig, _frames(seen, later), known=before.bias).suspects == ()
    assert check_drift(rig, _frames(shifted, later), known=before.bias).suspects == ("cam2",)


def _one_after_the_other(first: RunnerParameters, second: RunnerParameters) -> SyntheticTrial:
    """Two trials of one person as one, so that the detector errs alike in both."""
    a, b = (make_trial(p, seconds=15.0, rate_hz=RATE_HZ, seed=3, visit_seed=3) for p in (first, second))
    names, xyz_m = a.landmarks.landmarks, np.concatenate([a.landmarks.xyz_m, b.landmarks.xyz_m])
    rotations = {k: np.concatenate([a.rotations[k], b.rotations[k]]) for k in a.rotations}
    return replace(
        a, landmarks=Landmarks3D.from_positions(names, np.arange(len(xyz_m)) / RATE_HZ, xyz_m), rotations=rotations
    )


def _frames(seen: Landmarks2D, frames: slice) -> Landmarks2D:
    times = seen.times_s[frames] - seen.times_s[frames][0]
    return Landmarks2D(seen.cameras, seen.landmarks, times, seen.xy_px[frames], seen.confidence[frames])


@pytest.mark.parametrize("lag_s", [0.004, 0.016])
def test_a_late_camera_has_not_moved(lag_s: float) -> None:
    trial, rig = make_trial(RunnerParameters(), seconds=8.0, rate_hz=100.0, seed=4), make_rig(4)
    times, points = trial.landmarks.times_s, trial.landmarks.xyz_m
    seen = _seen(trial, rig, NoiseModel.white(1.0))
    xy_px = seen.xy_px.copy()
    late = CubicSpline(times, points)(times - lag_s)
    xy_px[:, 1] += project(rig.cameras[1], late) - project(rig.cameras[1], points)
    confidence = np.where(np.isfinite(xy_px).all(axis=-1), seen.confidence, 0.0)
    check = check_drift(rig, Landmarks2D(seen.cameras, seen.landmarks, times, xy_px, confidence))
    assert check.suspects == ()
    others = np.mean([check.lags_s[c] for c in ("cam0", "cam2", "cam3")])
    assert check.lags_s["cam1"] - others == pytest.approx(lag_s, rel=0.1)


def test_of_two_cameras_it_cannot_be_told_which(trial: SyntheticTrial) -> None:
    rig = make_rig(2)
    seen = _seen(trial, move_camera(rig, 0, turn_rad=TURN, shift_m=NOTHING), NoiseModel.white(1.0))
    assert set(check_drift(rig, seen).suspects) == {"cam0", "cam1"}
    with pytest.raises(InputError, match="cannot be told which one moved"):
        repair_moved_camera(rig, seen)


def test_two_moved_cameras_are_refused(trial: SyntheticTrial) -> None:
    rig = make_rig(5)
    real = move_camera(rig, 0, turn_rad=TURN, shift_m=NOTHING)
    real = move_camera(real, 3, turn_rad=-2.0 * TURN, shift_m=NOTHING)
    seen = _seen(trial, real, NoiseModel.white(1.0))
    check = check_drift(rig, seen)
    assert {*check.suspects, *check.others_moved} >= {"cam0", "cam3"}
    assert check.moved is None
    with pytest.raises(GateRefusedError, match="more than one camera moved"):
        repair_moved_camera(rig, seen)


def test_a_large_knock_is_repaired_as_well(trial: SyntheticTrial) -> None:
    rig = make_rig(4)
    real = move_camera(rig, 2, turn_rad=20 * TURN, shift_m=12 * SHIFT)
    repair = repair_moved_camera(rig, _seen(trial, real, NoiseModel.white(1.0)))
    assert repair.camera == "cam2"
    assert _image_error_px(repair.rig, real, 2, trial) < 0.3


def test_nothing_moved_and_too_little_seen_are_refused(trial: SyntheticTrial) -> None:
    rig = make_rig(3)
    seen = _seen(trial, rig, NoiseModel.white(1.0))
    with pytest.raises(GateRefusedError, match="no camera moved"):
        repair_moved_camera(rig, seen)
    with pytest.raises(InputError, match="too few"):
        check_drift(rig, _frames(seen, slice(0, 10)))
    few = Landmarks2D(seen.cameras, seen.landmarks[:4], seen.times_s, seen.xy_px[:, :, :4], seen.confidence[:, :, :4])
    with pytest.raises(InputError, match="only 4 landmarks"):
        check_drift(rig, few)


def test_derivatives_are_those_of_the_projection(trial: SyntheticTrial) -> None:
    rig = make_rig(3)
    exact = _seen(trial, rig, NoiseModel.none())
    frames = choose_frames(exact.times_s, most=20, spacing_s=0.1)
    views = linearise_views(rig, exact, frames, min_confidence=0.3)
    rng = np.random.default_rng(0)
    turn, shift = 1e-5 * rng.normal(size=3), 1e-5 * rng.normal(size=3)
    moved = move_camera(rig, 1, turn_rad=turn, shift_m=shift)
    points = trial.landmarks.xyz_m[frames]
    change = (project_rig(moved, points) - project_rig(rig, points))[:, :, 1]
    expected = views.by_camera[:, :, 1, :, :3] @ turn + views.by_camera[:, :, 1, :, 3:6] @ shift
    seen = views.seen[:, :, 1]
    np.testing.assert_allclose(expected[seen], change[seen], atol=1e-5)


def test_a_camera_that_runs_a_second_late_is_not_repaired_into_another_pose() -> None:
    runner, rig = make_trial(RunnerParameters(), seconds=10.0, rate_hz=100.0, seed=4), make_rig(4)
    seen = _seen(runner, rig, NoiseModel.white(1.0))
    late, count = 140, seen.times_s.size - 140
    xy_px = np.stack([seen.xy_px[late:, c] if c != 3 else seen.xy_px[:count, c] for c in range(4)], axis=1)
    confidence = np.where(np.isfinite(xy_px).all(axis=-1), 1.0, 0.0)
    shifted = Landmarks2D(seen.cameras, seen.landmarks, seen.times_s[:count], xy_px, confidence)
    check = check_drift(rig, shifted)
    assert check.suspects, "it does look like a move"
    assert check.likeliest is not None
    misfit = measure_misfit(rig, check.likeliest, shifted, 3, min_confidence=0.3)
    assert not misfit.is_explained
    assert misfit.after_px > 0.8 * misfit.before_px
    with pytest.raises(GateRefusedError):
        repair_moved_camera(rig, shifted)
    audit = judge_drift(shifted, rig, since="", known=None)
    assert audit.suspects == ()
    assert re.search(r"does not fit the others by \d+\.\d px, and no move", audit.unchecked)
