"""Reconstruction engines beside each other: on synthetic runners with truth, and on the public balancing trial.

Shared by the short and the long suite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.align import WorldAxes
from calibration.formats import read_calibration
from calibration.projection import project_rig
from calibration.trajectory.trajectory import Trajectory, solve_trajectory
from calibration.triangulation.anipose import AniposeMethod, triangulate_with_anipose
from calibration.triangulation.triangulate import triangulate_robust
from labsys.core.cameras import CameraRig
from labsys.core.session import TrialKind
from labsys.core.skeleton import BODY_25B, mirrored_name
from labsys.storage.exchange.openpose import read_openpose_folder
from labsys.storage.exchange.trc import read_trc
from pipelines.synthetic.noise import NoiseModel, observe
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import make_trial
from pipelines.trajectory import bones_of, limbs_of
from tests.accept.accuracy import runner_for

RATE_HZ = 120.0
BALANCING = Path("pose2sim_balancing")
PUBLISHED = BALANCING / "results_a948c20/T01/pose-3d/S00_P00_T01_BalancingTrial_0-100.trc"
BALANCING_HZ = 60.0
SPOILT = NoiseModel.white(1.0, outliers=0.05, missing=0.1)

# Pixels (T, K, C, 2), confidence (T, K, C) and rig to points (T, K, 3) m.
Engine = Callable[[CameraRig, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Seen:
    """What cameras saw of a runner: pixels (T, K, C, 2), confidence (T, K, C); truth (T, K, 3) m."""

    rig: CameraRig
    landmarks: tuple[str, ...]
    xy_px: np.ndarray
    confidence: np.ndarray
    xyz_m: np.ndarray


def see_runner(
    noise: NoiseModel, seed: int, *, n_frames: int, swaps: float = 0.0, runner: RunnerParameters | None = None
) -> Seen:
    """Some frames of a synthetic runner; in a share `swaps` of pictures all landmarks have left and right exchanged."""
    seconds = (n_frames + 60) / RATE_HZ
    trial = make_trial(
        runner or RunnerParameters(),
        kind=TrialKind.RUN,
        seconds=seconds,
        rate_hz=RATE_HZ,
        seed=seed,
        visit_seed=seed,
    )
    rig = make_rig(4)
    seen = observe(trial, rig, noise, seed)
    part = slice(60, 60 + n_frames)
    xy, confidence = (np.moveaxis(a[part], 1, 2).copy() for a in (seen.xy_px, seen.confidence))
    other = [seen.landmarks.index(mirrored_name(n)) for n in seen.landmarks]
    exchanged = np.random.default_rng([seed, 7]).random((xy.shape[0], xy.shape[2])) < swaps
    xy = np.where(exchanged[:, None, :, None], xy[:, other], xy)
    confidence = np.where(exchanged[:, None, :], confidence[:, other], confidence)
    return Seen(rig, seen.landmarks, xy, confidence, trial.landmarks.xyz_m[part])


def our_engine(landmarks: tuple[str, ...], rate_hz: float) -> Engine:
    """The default engine."""
    return lambda rig, xy, confidence: solve(rig, landmarks, xy, confidence, rate_hz).xyz_m


def solve(
    rig: CameraRig, landmarks: tuple[str, ...], xy: np.ndarray, confidence: np.ndarray, rate_hz: float
) -> Trajectory:
    """As the default engine solves a trial."""
    start = triangulate_robust(rig, xy, confidence)
    return solve_trajectory(rig, xy, confidence, start, bones=limbs_of(landmarks), rate_hz=rate_hz)


def anipose_engine(landmarks: tuple[str, ...], method: AniposeMethod, min_confidence: float = 0.3) -> Engine:
    """aniposelib with its defaults."""

    def run(rig: CameraRig, xy: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        pixels, scores = np.moveaxis(xy, 1, 2), np.moveaxis(confidence, 1, 2)
        found = triangulate_with_anipose(
            rig, pixels, scores, method=method, bones=bones_of(landmarks), min_confidence=min_confidence
        )
        return found.xyz_m

    return run


@dataclass(frozen=True, eq=False)
class Beside:
    """Errors of the default engine and of a peer on the same pixels, (N,) mm."""

    ours_mm: np.ndarray
    theirs_mm: np.ndarray


def beside_peer(noise: NoiseModel, method: AniposeMethod, seed: int, *, n_frames: int, swaps: float) -> Beside:
    """Both on one runner, whose body, style and speed are the seed's own."""
    seen = see_runner(noise, seed, n_frames=n_frames, swaps=swaps, runner=runner_for(seed))
    engines = our_engine(seen.landmarks, RATE_HZ), anipose_engine(seen.landmarks, method)
    return Beside(*(errors_mm(run(seen.rig, seen.xy_px, seen.confidence), seen.xyz_m) for run in engines))


def errors_mm(found_m: np.ndarray, truth_m: np.ndarray) -> np.ndarray:
    """Distances of what was found, mm."""
    error = 1000.0 * np.linalg.norm(found_m - truth_m, axis=-1)
    return error[np.isfinite(error)]


def load_balancing(
    data: Path, calibration: str = "Calib_qualisys.toml"
) -> tuple[CameraRig, tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
    """Rig (the file's z up), landmarks, pixels (T, K, C, 2), confidence (T, K, C), published points (T, K, 3) m."""
    rig = read_calibration(data / BALANCING / "calibration" / calibration, axes=WorldAxes.parse("forward=+x,up=+z")).rig
    published = read_trc(data / PUBLISHED)
    tracks = [
        read_openpose_folder(
            data / BALANCING / f"T01_BalancingTrial/pose/cam0{i}_json", landmark_set=BODY_25B
        ).subject_track()
        for i in (1, 2, 3, 4)
    ]
    columns = [BODY_25B.landmarks.index(m) for m in published.markers]
    xy = np.stack([t.xy_px[:, columns] for t in tracks], axis=2)
    confidence = np.stack([t.confidence[:, columns] for t in tracks], axis=2)
    return rig, published.markers, xy, confidence, published.xyz_m


def limb_variation_pct(xyz_m: np.ndarray, landmarks: tuple[str, ...]) -> float:
    """Standard deviation of limb lengths over their mean, mean over limbs, %."""
    lengths = [np.linalg.norm(xyz_m[:, a] - xyz_m[:, b], axis=-1) for a, b in bones_of(landmarks)]
    return float(100.0 * np.mean([np.nanstd(length) / np.nanmean(length) for length in lengths]))


def acceleration_mps2(xyz_m: np.ndarray, rate_hz: float) -> float:
    """Root mean square of the second difference, m/s²: in a calm trial mostly noise."""
    return float(np.sqrt(np.nanmean(np.sum(np.diff(xyz_m, n=2, axis=0) ** 2, axis=-1))) * rate_hz**2)


def left_out_errors_px(engine: Engine, rig: CameraRig, xy: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(C, T, K) px: distance between each camera's pixels and the points found without it; NaN below 0.3."""
    out = []
    for camera in range(len(rig.cameras)):
        others = [i for i in range(len(rig.cameras)) if i != camera]
        part = rig.select(tuple(rig.names[i] for i in others))
        found = engine(part, np.ascontiguousarray(xy[:, :, others]), np.ascontiguousarray(confidence[:, :, others]))
        error = np.linalg.norm(project_rig(rig, found)[:, :, camera] - xy[:, :, camera], axis=-1)
        out.append(np.where(confidence[:, :, camera] >= 0.3, error, np.nan))
    return np.stack(out)


def common_medians(errors: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Median error of each engine over the cells that all of them answer."""
    common = np.all([np.isfinite(e) for e in errors.values()], axis=0)
    return {name: float(np.median(e[common])) for name, e in errors.items()}
