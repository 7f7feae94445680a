"""Worlds that cannot be: each has its own refusal, however small the error in pixels is."""

from __future__ import annotations

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError
from labsys.core.units import degrees, millimetres

_UP_TOLERANCE_RAD = np.radians(20.0)
_FEET_TOLERANCE_M = 0.05
_BELT_TOLERANCE_RAD = np.radians(15.0)
_LEAST_BELT_MPS = 0.3


def check_lab(
    rig: CameraRig,
    *,
    up_lab: FloatArray | None = None,
    feet_m: FloatArray | None = None,
    belt_velocity_mps: FloatArray | None = None,
) -> None:
    """Refuse a LAB that cannot be.

    Args:
        rig: in LAB.
        up_lab: (3,) against gravity as measured by something else.
        feet_m: (N, 3) m, places of feet in stance. belt_velocity_mps: (3,) their mean velocity there.

    Raises:
        GateRefusedError: cameras below the belt, up against gravity, feet off the belt, belt moving the wrong way.
    """
    below = [c.name for c in rig.cameras if c.centre_lab_m[1] < -_FEET_TOLERANCE_M]
    if below:
        raise GateRefusedError(
            f"the world is upside down: {', '.join(below)} would stand below the belt",
            remedy="Check which side of the board was up, and the sign of the up axis",
        )
    if up_lab is not None:
        tilt = float(np.arccos(np.clip(up_lab[1] / np.linalg.norm(up_lab), -1.0, 1.0)))
        if tilt > _UP_TOLERANCE_RAD:
            raise GateRefusedError(
                f"up is {degrees(tilt):.0f} degrees away from against gravity", remedy="Level the board, or plumb again"
            )
    if feet_m is not None:
        height = float(np.nanmedian(feet_m[..., 1]))
        if abs(height) > _FEET_TOLERANCE_M:
            raise GateRefusedError(
                f"feet in stance are {millimetres(height):+.0f} mm above the belt",
                remedy="The calibration does not belong to this take, or its origin was not on the belt",
            )
    if belt_velocity_mps is not None:
        _check_belt(belt_velocity_mps)


def _check_belt(velocity_mps: FloatArray) -> None:
    speed = float(np.linalg.norm(velocity_mps))
    if speed < _LEAST_BELT_MPS:
        return
    off = float(np.arccos(np.clip(-velocity_mps[0] / speed, -1.0, 1.0)))
    if off > np.pi - _BELT_TOLERANCE_RAD:
        raise GateRefusedError("the belt moves forward: X points backward", remedy="Turn the board's direction round")
    if off > _BELT_TOLERANCE_RAD:
        raise GateRefusedError(
            f"the belt moves {degrees(off):.0f} degrees off -X", remedy="Lay the board along the belt, or mark its edge"
        )
