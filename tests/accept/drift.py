"""Synthetic trials in which a camera was turned or moved after calibration, or not, and what the drift check says.

A person is seen twice by one detector, whose biases stay: first with the cameras where the calibration has them, then
with another gait and, perhaps, a moved camera. Shared by the long suite alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from calibration.drift.drift import DriftCheck, check_drift
from calibration.drift.repair import repair_moved_camera
from calibration.drift.views import move_camera
from calibration.projection import project, project_rig
from labsys.core.camera_audit import LandmarkBias
from labsys.core.cameras import CameraRig
from labsys.core.errors import LabsysError
from labsys.core.landmarks import Landmarks2D, Landmarks3D
from pipelines.synthetic.noise import NoiseModel, observe
from pipelines.synthetic.parameters import RunnerParameters, Strike
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial

RATE_HZ, SECONDS = 30.0, 20.0
TURN_RAD, SHIFT_M = math.radians(0.3), 0.004
MOVES = ("none", "turn", "shift")


@dataclass(frozen=True, eq=False)
class DriftScene:
    """One trial of a study.

    Attributes:
        rig: as calibrated. real: as it stood. moved: name of the camera that moved, "" for none.
        seen: the trial's 2D. points_m: (N, 3) of the body, to judge a pose by what it does to the image.
    """

    rig: CameraRig
    real: CameraRig
    moved: str
    seen: Landmarks2D
    points_m: np.ndarray


@dataclass(frozen=True)
class DriftAnswer:
    """What was found. left: image error after the repair against that before; NaN where nothing was repaired."""

    n_cameras: int
    alarm: bool
    named: bool
    named_wrong: bool
    gain: float
    left: float


@dataclass(frozen=True, eq=False)
class Recording:
    """A person seen twice in cameras that did not move, and the detector's errors in the second trial."""

    rig: CameraRig
    first: Landmarks2D
    second: Landmarks2D
    error_px: np.ndarray
    xyz_m: np.ndarray


def rig_for(seed: int) -> CameraRig:
    """3 to 8 cameras on a ring of 2.6 to 4 m, each off its place and direction by chance."""
    rng = np.random.default_rng([seed, 5])
    rig = make_rig(3 + seed % 6, radius_m=float(rng.uniform(2.6, 4.0)))
    for i in range(len(rig.cameras)):
        rig = move_camera(rig, i, turn_rad=rng.normal(0.0, math.radians(2.0), 3), shift_m=rng.normal(0.0, 0.15, 3))
    return rig


def runner_for(seed: int, which: int, *, height_m: float) -> RunnerParameters:
    """A runner's gait; `which` tells the gaits of one person apart."""
    rng = np.random.default_rng([seed, which, 77])
    return RunnerParameters(
        speed_mps=float(rng.uniform(2.4, 4.2)),
        strike=list(Strike)[int(rng.integers(3))],
        hip_extension_cap_rad=math.radians(rng.uniform(4.0, 12.0)) if rng.uniform() < 0.5 else None,
        lumbar_gain=float(rng.uniform()),
        trunk_lean_rad=math.radians(rng.uniform(3.0, 10.0)),
        height_m=height_m,
    )


def make_pair(seed: int) -> SyntheticTrial:
    """Two trials of one person with different gaits, one after the other."""
    height_m = float(np.random.default_rng([seed, 6]).uniform(1.58, 1.92))
    a, b = (
        make_trial(runner_for(seed, i, height_m=height_m), seconds=SECONDS, rate_hz=RATE_HZ, seed=seed, visit_seed=seed)
        for i in range(2)
    )
    xyz_m = np.concatenate([a.landmarks.xyz_m, b.landmarks.xyz_m])
    times_s = np.arange(len(xyz_m)) / RATE_HZ
    return replace(
        a,
        landmarks=Landmarks3D.from_positions(a.landmarks.landmarks, times_s, xyz_m),
        rotations={k: np.concatenate([a.rotations[k], b.rotations[k]]) for k in a.rotations},
    )


def record(pair: SyntheticTrial, rig: CameraRig, noise: NoiseModel, seed: int) -> Recording:
    """Both trials as one detector sees them."""
    seen = observe(pair, rig, noise, seed)
    half = seen.times_s.size // 2
    xyz_m = pair.landmarks.xyz_m[half:]
    second = _part(seen, slice(half, None))
    error_px = second.xy_px - np.moveaxis(project_rig(rig, xyz_m), 2, 1)
    return Recording(rig, _part(seen, slice(0, half)), second, error_px, xyz_m)


def _part(seen: Landmarks2D, frames: slice) -> Landmarks2D:
    times = seen.times_s[frames] - seen.times_s[frames][0]
    return Landmarks2D(seen.cameras, seen.landmarks, times, seen.xy_px[frames], seen.confidence[frames])


def scenes_of(recording: Recording, seed: int) -> Iterator[tuple[str, DriftScene]]:
    """The second trial with nothing moved, with one camera turned about any axis, and shifted in any direction."""
    rig = recording.rig
    for i, move in enumerate(MOVES):
        rng = np.random.default_rng([seed, 9, i])
        index, along = int(rng.integers(len(rig.cameras))), rng.normal(size=3)
        along /= np.linalg.norm(along)
        real = move_camera(
            rig,
            index,
            turn_rad=along * TURN_RAD * (move == "turn"),
            shift_m=along * SHIFT_M * (move == "shift"),
        )
        xy_px = np.moveaxis(project_rig(real, recording.xyz_m), 2, 1) + recording.error_px
        confidence = np.where(np.isfinite(xy_px).all(axis=-1), recording.second.confidence, 0.0)
        second = recording.second
        seen = Landmarks2D(second.cameras, second.landmarks, second.times_s, xy_px, confidence)
        moved = "" if move == "none" else rig.names[index]
        yield move, DriftScene(rig, real, moved, seen, recording.xyz_m[::20].reshape(-1, 3))


def judge(scene: DriftScene, known: LandmarkBias | None, *, repair: bool) -> DriftAnswer:
    """What the check says of a scene, and what a repair leaves of the error in the image."""
    check = check_drift(scene.rig, scene.seen, known=known)
    named = check.suspects[0] if len(check.suspects) == 1 else ""
    return DriftAnswer(
        n_cameras=len(scene.rig.cameras),
        alarm=bool(check.suspects),
        named=bool(named) and named == scene.moved,
        named_wrong=bool(named) and named != scene.moved,
        gain=check.motions[0].gain,
        left=_left(scene, check, known) if repair and named and named == scene.moved else math.nan,
    )


def _left(scene: DriftScene, check: DriftCheck, known: LandmarkBias | None) -> float:
    """Error of the repaired pose in the image of the body over that of the calibrated one."""
    index = scene.rig.names.index(scene.moved)
    try:
        repaired = repair_moved_camera(scene.rig, scene.seen, known=known).rig
    except LabsysError:
        return math.inf
    real = project(scene.real.cameras[index], scene.points_m)
    left, before = (
        np.nanmean(((project(r.cameras[index], scene.points_m) - real) ** 2).sum(axis=-1))
        for r in (repaired, scene.rig)
    )
    return float(np.sqrt(left / before))
