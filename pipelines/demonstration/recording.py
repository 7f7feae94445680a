"""A public recording as a demonstration: imported and processed as its owner would, what was published beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.align import WorldAxes
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import TrialResult
from labsys.core.progress import Progress
from labsys.core.session import TrialKind, TrialName
from labsys.storage.exchange.trc import read_trc
from labsys.storage.lab import Lab
from labsys.storage.results import load_trial_result
from pipelines.config import PipelineConfig, Profile, load_config
from pipelines.importing.request import ImportRequest
from pipelines.importing.trial import import_trial
from pipelines.run import run_trial

_CAMERAS = ("cam01", "cam02", "cam03", "cam04")
_PUBLISHED = "results_a948c20/T01/pose-3d/S00_P00_T01_BalancingTrial_0-100.trc"
_CLOSE_M = 0.001


@dataclass(frozen=True)
class PublishedRow:
    """How far a landmark is from where its publisher has it; distances in m, None where never both have it.

    Attributes:
        cells: frames in which either has it. close: share of these in which they are within 1 mm.
    """

    landmark: str
    cells: int
    close: float
    median_m: float | None
    p95_m: float | None


def make_pose2sim_demo(lab: Lab, folder: Path, *, progress: Progress) -> tuple[TrialResult, tuple[PublishedRow, ...]]:
    """Import Pose2Sim's balancing trial (four cameras, OpenPose 2D) and process it under its own rule.

    Args:
        folder: the recording, as `fetch_data_set` gives it.
    """
    name = TrialName("pose2sim", "balancing", "T01")
    import_trial(lab, pose2sim_request(folder, name), progress=progress)
    run_trial(lab, name, config=_config(), progress=progress)
    result = load_trial_result(lab, name)
    return result, compare_published(result.landmarks, folder / _PUBLISHED)


def pose2sim_request(folder: Path, name: TrialName) -> ImportRequest:
    """The balancing trial as an import: two of its videos are narrower than their calibration."""
    trial = folder / "T01_BalancingTrial"
    return ImportRequest(
        name=name,
        kind=TrialKind.OTHER,
        videos={c: trial / "videos" / f"{c}.mp4" for c in _CAMERAS},
        accepted_sizes={"cam01": (1080, 1920), "cam02": (1080, 1920)},
        landmarks2d={c: trial / "pose" / f"{c}_json" for c in _CAMERAS},
        calibration=folder / "calibration" / "Calib_qualisys.toml",
        # The publisher's .trc has the same axes: forward, up, right.
        world_axes=WorldAxes.parse("forward=+y,up=+z"),
    )


def compare_published(found: Landmarks3D, published: Path) -> tuple[PublishedRow, ...]:
    """Distances between our landmarks and published ones, by landmark, all together in the last row.

    Raises:
        InputError: another number of frames, or a published landmark that we lack.
    """
    theirs = read_trc(published)
    lacking = sorted(set(theirs.markers) - set(found.landmarks))
    if lacking or theirs.times_s.size != found.times_s.size:
        raise InputError(
            f"{theirs.times_s.size} frames of {len(theirs.markers)} landmarks are published, we have "
            f"{found.times_s.size} frames" + (f" and lack {', '.join(lacking)}" if lacking else ""),
            where=str(published),
        )
    ours_m = found.xyz_m[:, [found.index(name) for name in theirs.markers]]
    apart_m = np.asarray(np.linalg.norm(ours_m - theirs.xyz_m, axis=-1))
    either = np.asarray(np.isfinite(ours_m).all(axis=-1) | np.isfinite(theirs.xyz_m).all(axis=-1))
    rows = [_row(name, apart_m[:, k], either[:, k]) for k, name in enumerate(theirs.markers)]
    return (*rows, _row("all", apart_m, either))


def _row(landmark: str, apart_m: FloatArray, either: BoolArray) -> PublishedRow:
    both = apart_m[np.isfinite(apart_m)]
    median_m, p95_m = (float(np.percentile(both, q)) if both.size else None for q in (50, 95))
    close = float((apart_m[either] < _CLOSE_M).mean()) if either.any() else 0.0
    return PublishedRow(landmark, int(either.sum()), close, median_m, p95_m)


def _config() -> PipelineConfig:
    return load_config(Profile.POSE2SIM)
