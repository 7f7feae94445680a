"""The only file that knows aniposelib's objects. It takes seconds to import (JAX), so it is imported when used."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from numpy.typing import ArrayLike

from calibration.triangulate import Triangulation
from labsys.core.cameras import CameraRig


class AniposeMethod(StrEnum):
    """aniposelib's ways from 2D to 3D."""

    TRIANGULATE = "triangulate"
    RANSAC = "ransac"
    OPTIM = "optim"


def to_camera_group(rig: CameraRig) -> Any:
    """The rig as an aniposelib `CameraGroup` (world = LAB, metres)."""
    raise NotImplementedError


def from_camera_group(group: Any) -> CameraRig:
    """The rig of an aniposelib `CameraGroup` whose world is LAB in metres (InputError when a camera is not usable)."""
    raise NotImplementedError


def triangulate_with_anipose(
    rig: CameraRig,
    xy_px: ArrayLike,
    confidence: ArrayLike,
    *,
    method: AniposeMethod,
    bones: tuple[tuple[int, int], ...] = (),
    min_confidence: float = 0.3,
) -> Triangulation:
    """Run aniposelib's own engine on a trial.

    Args:
        xy_px: (T, C, K, 2) px in IMAGE; NaN where missing.
        confidence: (T, C, K) in 0..1; observations below `min_confidence` are left out.
        bones: pairs of landmark indices whose distance is constant (OPTIM only).

    Raises:
        InputError: fewer than two cameras, or shapes that do not fit together.
    """
    raise NotImplementedError
