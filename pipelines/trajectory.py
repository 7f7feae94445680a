"""The trial stage around the trajectory solve: 2D landmarks to trajectories, and what a run keeps of the solve."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from calibration.trajectory.trajectory import Trajectory, TrajectorySettings, solve_trajectory
from calibration.triangulation.triangulate import Triangulation
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.landmarks import Landmarks2D
from labsys.core.skeleton import LANDMARK_SETS

SOLVE_FILE = "trajectory.json"  # of a run: `describe_solve`, empty where no trajectory was solved

# Landmarks that move as one body, by the names of the landmark sets.
_RIGID_SEGMENTS: tuple[tuple[str, ...], ...] = (
    ("RASIS", "LASIS", "RPSIS", "LPSIS", "S3"),
    ("C7", "T10", "IJ", "XP", "RAC", "LAC"),
    *(tuple(f"{side}{name}" for name in names) for side in "RL" for names in (
        ("GT", "LFE", "MFE"), ("LFE", "MFE", "LM", "MM"), ("LM", "MM", "HEEL"), ("HEEL", "MT5", "MT1", "TOE"),
        ("Heel", "BigToe", "SmallToe"),
    )),
    ("Nose", "LEye", "REye", "LEar", "REar"),
)  # fmt: skip
# Bones that the hip bends: their length swings with every stride, and holding it turned the pelvis with the legs (its
# rotation came out 4 to 12 % too wide on synthetic runners).
_ACROSS_HIP = (("RASIS", "RGT"), ("LASIS", "LGT"))


def solve_landmarks(
    landmarks: Landmarks2D, rig: CameraRig, start: Triangulation, *, min_likelihood: float, max_gap_s: float
) -> Trajectory:
    """Solve the trajectories of a whole trial, bones of all known landmark sets taken as limbs.

    Args:
        rig: the cameras of the landmarks, in their order. start: the same trial triangulated, (T, K).

    Raises:
        InputError: a setting out of range.
    """
    return solve_trajectory(
        rig,
        np.moveaxis(landmarks.xy_px, 1, 2),
        np.moveaxis(landmarks.confidence, 1, 2),
        start,
        bones=limbs_of(landmarks.landmarks),
        rate_hz=landmarks.rate_hz,
        settings=TrajectorySettings(min_confidence=min_likelihood, max_gap_s=max_gap_s),
    )


def bones_of(landmarks: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Pairs of indices of landmarks that a bone joins, in any landmark set that labsys knows."""
    index = {name: i for i, name in enumerate(landmarks)}
    pairs = {(a, b) for s in LANDMARK_SETS.values() for a, b in s.bones if a in index and b in index}
    return tuple(sorted((index[a], index[b]) for a, b in pairs))


def limbs_of(landmarks: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Pairs of indices whose distance changes little: bones, and all pairs on one rigid segment."""
    index = {name: i for i, name in enumerate(landmarks)}
    rigid = [[index[n] for n in segment if n in index] for segment in _RIGID_SEGMENTS]
    pairs = {tuple(sorted(pair)) for members in rigid for pair in combinations(members, 2)}
    bending = {(index[a], index[b]) for a, b in _ACROSS_HIP if a in index and b in index}
    bones = [bone for bone in bones_of(landmarks) if bone not in bending]
    return tuple(sorted({(min(p), max(p)) for p in (*pairs, *bones)}))


def describe_solve(trajectory: Trajectory, landmarks: Landmarks2D) -> dict[str, Any]:
    """What the run keeps of a solve: cost and steps, and per landmark what it was tuned to; the same every time."""
    report = trajectory.report
    lasting_s = correlation_time_frames(trajectory.error_correlation) / landmarks.rate_hz
    return {
        "cost_start": report.cost_start,
        "cost": report.cost,
        "iterations": report.iterations,
        "sections": report.sections,
        "landmarks": {
            name: {
                "noise_px": _rounded(report.noise_px[k]),
                "cutoff_hz": _rounded(report.cutoff_hz[k]),
                "interpolated_pct": _rounded(100.0 * trajectory.interpolated[:, k].mean()),
                "error_lasts_s": _rounded(lasting_s[k]),
            }
            for k, name in enumerate(landmarks.landmarks)
        },
        "limbs": [
            {
                "from": landmarks.landmarks[i],
                "to": landmarks.landmarks[j],
                "length_m": _rounded(length),
                "sd_m": _rounded(sd),
            }
            for (i, j), length, sd in zip(report.limbs, report.lengths_m, report.limb_sd_m, strict=True)
        ],
    }


def correlation_time_frames(error_correlation: FloatArray) -> FloatArray:
    """(K,) frames per independent error, of autocorrelations (K, L): 1 + 2 sum of what comes before the first zero."""
    positive = np.cumprod(error_correlation > 0.0, axis=1) * error_correlation
    return np.asarray(2.0 * positive.sum(axis=1) - 1.0)


def _rounded(value: float) -> float:
    return round(float(value), 4)
