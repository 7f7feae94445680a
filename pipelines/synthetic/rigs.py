"""Cameras around a treadmill, and clocks that run free."""

from __future__ import annotations

from dataclasses import dataclass

from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig


@dataclass(frozen=True)
class ClockModel:
    """Free-running cameras: phase uniform within a frame, rate error, jitter, dropped frames."""

    ppm_sd: float = 30.0
    jitter_s: float = 0.0002
    drop_probability: float = 0.0


def make_rig(n_cameras: int, *, size_px: tuple[int, int] = (1280, 720), radius_m: float = 3.2) -> CameraRig:
    """Cameras on a ring around the treadmill, all looking at the runner, the ring opened to the rear and both sides.

    Raises:
        InputError: fewer than 2 or more than 16 cameras.
    """
    raise NotImplementedError


def free_running_times(
    n_cameras: int, *, seconds: float, rate_hz: float, clock: ClockModel, seed: int
) -> tuple[FloatArray, ...]:
    """Exposure times of every camera on the true clock, s; dropped frames are absent."""
    raise NotImplementedError
