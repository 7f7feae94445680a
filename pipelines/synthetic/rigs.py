"""Cameras around a treadmill, and clocks that run free."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.cameras import Calibration, Camera, CameraRig, Intrinsics
from labsys.core.errors import InputError
from labsys.core.rigid import look_at

_TARGET_M = np.array([0.0, 0.95, 0.0])
_HEIGHTS_M = (1.1, 1.9)
_DISTORTION = np.array([-0.12, 0.05, 0.0004, -0.0003, 0.0])
# Height of the scene that fills the image at the target: a tall runner in flight, arms included.
_SCENE_HEIGHT_M = 2.5


def exact_calibration(rig: CameraRig) -> Calibration:
    """The calibration of cameras that stand where the scene was made with them: gravity and heading are exact."""
    return Calibration(rig, source="synthetic", grade="A", up_sd_rad=0.0, heading_sd_rad=0.0)


@dataclass(frozen=True)
class ClockModel:
    """Free-running cameras: phase uniform within a frame, rate error, jitter, dropped frames.

    Attributes:
        jitter_s: standard deviation of the exposure itself against an even beat.
        stamp_jitter_s: mean lateness of the timestamps (exponential: late, never early).
        latency_s: standard deviation between cameras of a lateness that stays.
    """

    ppm_sd: float = 30.0
    jitter_s: float = 0.0002
    drop_probability: float = 0.0
    stamp_jitter_s: float = 0.0
    latency_s: float = 0.0


def make_rig(n_cameras: int, *, size_px: tuple[int, int] = (1280, 720), radius_m: float = 3.2) -> CameraRig:
    """Cameras evenly on a ring around the treadmill at two heights, none straight ahead, all looking at the runner.

    Raises:
        InputError: fewer than 2 or more than 16 cameras, or a ring through the runner.
    """
    if not 2 <= n_cameras <= 16:
        raise InputError(f"a synthetic rig of {n_cameras} cameras", remedy="Use 2 to 16 cameras")
    if not radius_m >= 1.5:
        raise InputError(f"cameras {radius_m:g} m from the runner stand on the treadmill", remedy="Use 1.5 m or more")
    # Two cameras face each other across no line: a quarter turn apart they see depth best.
    turn = math.pi / 2 if n_cameras == 2 else 2 * math.pi / n_cameras
    azimuths = math.pi / n_cameras + turn * np.arange(n_cameras)
    return CameraRig(
        tuple(_camera(f"cam{i}", float(a), _HEIGHTS_M[i % 2], size_px, radius_m) for i, a in enumerate(azimuths))
    )


def free_running_times(
    n_cameras: int, *, seconds: float, rate_hz: float, clock: ClockModel, seed: int
) -> tuple[FloatArray, ...]:
    """Exposure times of every camera on the true clock within 0..seconds, s; dropped frames are absent."""
    rng = np.random.default_rng([seed, 71])
    return tuple(_run_clock(rng, seconds, rate_hz, clock) for _ in range(n_cameras))


def stamp_frames(times_s: tuple[FloatArray, ...], clock: ClockModel, seed: int) -> tuple[FloatArray, ...]:
    """Timestamps that a computer would give frames taken at these times: all of a camera's off by one latency
    (either way), and each later by its own share."""
    rng = np.random.default_rng([seed, 73])
    stamps = []
    for own_s in times_s:
        latency_s = clock.latency_s * rng.standard_normal()
        stamps.append(own_s + latency_s + clock.stamp_jitter_s * rng.exponential(size=own_s.size))
    return tuple(stamps)


def _camera(name: str, azimuth_rad: float, height_m: float, size_px: tuple[int, int], radius_m: float) -> Camera:
    centre = np.array([radius_m * math.cos(azimuth_rad), height_m, radius_m * math.sin(azimuth_rad)])
    width, height = size_px
    focal = height * radius_m / _SCENE_HEIGHT_M
    matrix = np.array([[focal, 0.0, (width - 1) / 2 + 3.0], [0.0, focal, (height - 1) / 2 - 2.0], [0.0, 0.0, 1.0]])
    return Camera(name, Intrinsics(matrix, _DISTORTION, size_px), look_at(centre, _TARGET_M))


def _run_clock(rng: np.random.Generator, seconds: float, rate_hz: float, clock: ClockModel) -> FloatArray:
    period = (1.0 + 1e-6 * clock.ppm_sd * rng.standard_normal()) / rate_hz
    ticks = period * (rng.uniform() + np.arange(math.ceil(seconds / period)))
    # Jitter stays below half a period, so that frames keep their order.
    jitter = np.clip(clock.jitter_s * rng.standard_normal(ticks.size), -0.4 * period, 0.4 * period)
    kept = rng.uniform(size=ticks.size) >= clock.drop_probability
    times = (ticks + jitter)[kept]
    return np.asarray(times[(times >= 0) & (times <= seconds)])
