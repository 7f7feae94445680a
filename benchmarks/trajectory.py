"""The trajectory solve beside aniposelib's `optim_points`: its objective, its input, its accuracy."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np

from benchmarks.measure import Result, error_summary, time_alternating, time_once
from benchmarks.scenes import Scene, moving_body, observe, ring_rig
from calibration.trajectory.anipose import AniposeSolution, minimise_anipose_objective
from calibration.trajectory.trajectory import solve_trajectory
from calibration.triangulation.anipose import to_camera_group
from calibration.triangulation.triangulate import triangulate_robust
from labsys.core.arrays import FloatArray

RATE_HZ, N_LANDMARKS = 120.0, 25
# aniposelib's sparsity pattern and differences grow with the trial; LABSYS_BENCH_FRAMES chooses another length.
N_FRAMES = int(os.environ.get("LABSYS_BENCH_FRAMES", "1000"))
BONES = tuple((i, i + 1) for i in range(N_LANDMARKS - 1))


def measure_trajectory() -> Result:
    """Both minimise aniposelib's objective from the same start; and ours its own objective, for accuracy."""
    scene = _scene(N_FRAMES)
    start = triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
    ours_s, default_s = time_alternating(
        lambda: _solve_theirs(scene, start.xyz_m),
        lambda: solve_trajectory(scene.rig, scene.xy_px, scene.confidence, start, bones=BONES, rate_hz=RATE_HZ),
        repeats=3,
    )
    cpu = [time.process_time()]
    theirs_s, theirs = time_once(lambda: _run_peer(scene, start.xyz_m))
    cpu.append(time.process_time())
    ours = _solve_theirs(scene, start.xyz_m)
    cpu.append(time.process_time())
    default = solve_trajectory(scene.rig, scene.xy_px, scene.confidence, start, bones=BONES, rate_hz=RATE_HZ)
    n_points = N_FRAMES * N_LANDMARKS
    accuracy = error_summary("ours", default.xyz_m, scene.xyz_m)
    accuracy |= error_summary("theirs", theirs, scene.xyz_m)
    accuracy |= error_summary("ours_their_objective", ours.xyz_m, scene.xyz_m)
    accuracy |= error_summary("start", start.xyz_m, scene.xyz_m)
    return Result(
        name="trajectory",
        asked=100.0,
        ours=n_points / ours_s,
        peer=f"aniposelib {version('aniposelib')} optim_points",
        theirs=n_points / theirs_s,
        unit="points/s",
        accuracy=accuracy,
        details={
            "input": f"4 cameras, {N_FRAMES} frames x {N_LANDMARKS} landmarks, white 1 px, 5 % outliers of 30-200 px, "
            "10 % missing; same start, its objective",
            "cost": {"start": ours.cost_start, "ours": ours.cost, "theirs": _cost(scene, start.xyz_m, theirs)},
            # Processor time, which other work on the machine disturbs less than wall time.
            "cpu": {
                "ours": n_points / (cpu[2] - cpu[1]),
                "theirs": n_points / (cpu[1] - cpu[0]),
                "ratio": (cpu[1] - cpu[0]) / (cpu[2] - cpu[1]),
            },
            "default_objective": {"ours": n_points / default_s, "ratio": theirs_s / default_s},
        },
    )


def _scene(n_frames: int) -> Scene:
    truth = moving_body(n_frames, N_LANDMARKS, rate_hz=RATE_HZ, seed=3)
    return observe(ring_rig(4), truth, sigma_px=1.0, outliers=0.05, missing=0.1, seed=4)


def _solve_theirs(scene: Scene, start_m: FloatArray) -> AniposeSolution:
    return minimise_anipose_objective(scene.rig, np.moveaxis(scene.xy_px, 2, 1), start_m, bones=BONES)


def _run_peer(scene: Scene, start_m: FloatArray) -> FloatArray:
    points = np.ascontiguousarray(np.moveaxis(scene.xy_px, 2, 0))
    with _quiet():
        found = to_camera_group(scene.rig).optim_points(points, start_m, constraints=[list(b) for b in BONES])
    return np.asarray(found, dtype=np.float64)


def _cost(scene: Scene, start_m: FloatArray, found_m: FloatArray) -> float:
    """aniposelib's cost of its points, with the limb lengths that suit them best: zero steps from there."""
    return minimise_anipose_objective(
        scene.rig, np.moveaxis(scene.xy_px, 2, 1), start_m, bones=BONES, begin_m=found_m
    ).cost_start


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
