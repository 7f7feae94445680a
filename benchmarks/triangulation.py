"""Triangulation beside aniposelib's, on identical input."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.measure import Result, error_summary, processor_time, time_alternating, time_cold, time_once
from benchmarks.scenes import Scene, observe, ring_rig, scattered_points
from calibration.triangulation.anipose import to_camera_group
from calibration.triangulation.triangulate import triangulate_robust

PEER = f"aniposelib {version('aniposelib')}"
N_FRAMES, N_LANDMARKS = 7200, 25
RANSAC_POINTS = 2500

_OURS_COLD = """
from benchmarks.scenes import observe, ring_rig, scattered_points
from calibration.triangulation.triangulate import triangulate_robust
scene = observe(ring_rig(4), scattered_points(10, 25, 1), sigma_px=1.0, outliers=0.05, seed=2)
triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
"""
_THEIRS_COLD = """
import numpy as np
from benchmarks.scenes import observe, ring_rig, scattered_points
from calibration.triangulation.anipose import to_camera_group
scene = observe(ring_rig(4), scattered_points(10, 25, 1), sigma_px=1.0, outliers=0.05, seed=2)
to_camera_group(scene.rig).triangulate(np.moveaxis(scene.xy_px, 2, 0).reshape(4, -1, 2))
"""


_PEAK = f"""
from benchmarks.measure import peak_memory_mb
{_OURS_COLD.replace("scattered_points(10,", f"scattered_points({N_FRAMES},")}
print(peak_memory_mb())
"""


def measure_robust() -> Result:
    """4 cameras x 7,200 frames x 25 landmarks with 5 % outliers, beside `CameraGroup.triangulate`."""
    scene = _scene(4, N_FRAMES)
    group, points = _as_anipose(scene)
    ours_s, theirs_s = time_alternating(lambda: _run_ours(scene), lambda: group.triangulate(points), repeats=4)
    n_points = N_FRAMES * N_LANDMARKS
    wide = _scene(16, N_FRAMES)
    (wide_s,) = time_alternating(lambda: _run_ours(wide), repeats=3)
    easy = observe(ring_rig(4), scattered_points(N_FRAMES, N_LANDMARKS, seed=3), sigma_px=1.0, seed=4)
    (easy_s,) = time_alternating(lambda: _run_ours(easy), repeats=3)
    accuracy = error_summary("ours", _run_ours(scene), scene.xyz_m)
    accuracy |= error_summary("theirs", group.triangulate(points).reshape(scene.xyz_m.shape), scene.xyz_m)
    return Result(
        name="triangulate_robust",
        asked=14.0,
        ours=n_points / ours_s,
        peer=f"{PEER} triangulate",
        theirs=n_points / theirs_s,
        unit="points/s",
        accuracy=accuracy,
        details={
            "input": "4 cameras, 180,000 points, white 1 px, 5 % outliers of 30-200 px; ours with covariance",
            "cold": {
                "ours_s": time_cold(_OURS_COLD, compiled=False),
                "ours_compiled_s": time_cold(_OURS_COLD, compiled=True),
                "theirs_s": time_cold(_THEIRS_COLD, compiled=True),
            },
            # What is left when no camera ever disagrees: undistortion, one fit, its covariance.
            "limit": {"without_outliers": n_points / easy_s, "distance": ours_s / easy_s, "peak_memory_mb": _peak_mb()},
            "cameras_16": {"ours": n_points / wide_s, "time_over_4_cameras": wide_s / ours_s},
        },
    )


def measure_ransac() -> Result:
    """The same few points through both robust engines, and ours on the full size."""
    scene = _scene(4, RANSAC_POINTS // N_LANDMARKS)
    full = _scene(4, N_FRAMES)
    group, points = _as_anipose(scene)
    found: list[Any] = []

    def run_theirs() -> None:
        found.append(group.triangulate_ransac(points)[0])

    group.triangulate_ransac(points[:, :10])  # compiles
    began = time.process_time()
    theirs_s, _ = time_once(run_theirs)
    theirs_cpu_s = time.process_time() - began
    ours_s, full_s = time_alternating(lambda: _run_ours(scene), lambda: _run_ours(full), repeats=9)
    ours_cpu_s, full_cpu_s = (processor_time(partial(_run_ours, s), repeats=9) for s in (scene, full))
    n_points, n_full = scene.xyz_m[..., 0].size, full.xyz_m[..., 0].size
    accuracy = error_summary("ours", _run_ours(scene), scene.xyz_m)
    accuracy |= error_summary("theirs", found[-1].reshape(scene.xyz_m.shape), scene.xyz_m)
    return Result(
        name="triangulate_ransac",
        asked=100_000.0,
        ours=n_points / ours_s,
        peer=f"{PEER} triangulate_ransac",
        theirs=n_points / theirs_s,
        unit="points/s",
        accuracy=accuracy,
        details={
            "input": f"4 cameras, {n_points} points, white 1 px, 5 % outliers of 30-200 px",
            "full_size": {"ours": n_full / full_s, "n_points": n_full, "ratio": n_full / full_s * theirs_s / n_points},
            "points_per_processor_second": {
                "ours": n_points / ours_cpu_s,
                "ours_full_size": n_full / full_cpu_s,
                "theirs": n_points / theirs_cpu_s,
                "ratio": theirs_cpu_s / ours_cpu_s,
            },
        },
    )


def _peak_mb() -> float:
    """Peak memory of a fresh process that makes the scene and triangulates it, MB."""
    return float(subprocess.run([sys.executable, "-c", _PEAK], check=True, capture_output=True, text=True).stdout)


def _scene(n_cameras: int, n_frames: int) -> Scene:
    truth = scattered_points(n_frames, N_LANDMARKS, seed=3)
    return observe(ring_rig(n_cameras), truth, sigma_px=1.0, outliers=0.05, seed=4)


def _as_anipose(scene: Scene) -> tuple[Any, Any]:
    """Camera group and pixels (C, N, 2)."""
    points = np.moveaxis(scene.xy_px, 2, 0).reshape(len(scene.rig.cameras), -1, 2)
    return to_camera_group(scene.rig), np.ascontiguousarray(points)


def _run_ours(scene: Scene) -> Any:
    return triangulate_robust(scene.rig, scene.xy_px, scene.confidence).xyz_m
