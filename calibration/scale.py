"""Scale from something other than the board: squares can be measured wrongly, and nothing else would show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calibration.match import match_cameras
from calibration.quality import triangulate_corners
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.units import millimetres

MOST_SCALE_ERROR = 0.012  # four times grade A


@dataclass(frozen=True, eq=False)
class KnownLength:
    """Two marked points whose distance was measured with a tape: the belt's length, a bar, a second board's edge.

    Attributes:
        length_m: as measured by hand.
        ends_px: camera -> (2, 2) px of both ends, from two cameras or more.
    """

    name: str
    length_m: float
    ends_px: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        if not (np.isfinite(self.length_m) and self.length_m > 0):
            raise InputError(f"length {self.length_m:g} m is not positive", where=self.name)
        if len(self.ends_px) < 2:
            raise InputError("the ends are marked in fewer than two cameras", where=self.name)


@dataclass(frozen=True)
class ScaleCheck:
    """One known length as the rig sees it; `error` is relative: 0.02 is 2 % too long."""

    name: str
    true_m: float
    measured_m: float

    @property
    def error(self) -> float:
        """Measured over true, minus 1."""
        return self.measured_m / self.true_m - 1.0


def measure_length(rig: CameraRig, known: KnownLength) -> ScaleCheck:
    """Triangulate both ends and compare their distance with the tape's.

    Raises:
        InputError: ends that no two cameras of the rig see.
    """
    match = match_cameras(rig.names, known.ends_px)
    xy = np.full((1, len(rig.cameras), 2, 2), np.nan)
    for name, ends in known.ends_px.items():
        xy[0, rig.names.index(match[name])] = ends
    points = triangulate_corners(xy, rig)[0]
    if not np.isfinite(points).all():
        raise InputError("its ends cannot be triangulated", where=known.name, remedy="Mark both ends in two cameras")
    return ScaleCheck(known.name, known.length_m, float(np.linalg.norm(points[1] - points[0])))


def check_scale(checks: tuple[ScaleCheck, ...], *, square_m: float) -> float:
    """The mean scale error of independent lengths, when it is small enough.

    Raises:
        GateRefusedError: names the length, the error in mm and %, and the square length that would explain it.
    """
    worst = max(checks, key=lambda c: abs(c.error))
    if abs(worst.error) > MOST_SCALE_ERROR:
        off_mm = millimetres(worst.measured_m - worst.true_m)
        raise GateRefusedError(
            f"{worst.name} measures {millimetres(worst.measured_m):.0f} mm instead of "
            f"{millimetres(worst.true_m):.0f} mm ({off_mm:+.0f} mm, {100 * worst.error:+.1f} %)",
            remedy=f"Measure the board's squares: {millimetres(square_m / (1 + worst.error)):.2f} mm would explain it, "
            f"the board file says {millimetres(square_m):.2f} mm",
        )
    return float(np.mean([c.error for c in checks]))
