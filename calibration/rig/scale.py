"""Scale from something other than the board: squares can be measured wrongly, and nothing else would show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calibration.match import match_cameras
from calibration.projection import project
from calibration.rig.quality import triangulate_corners
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.units import millimetres

MOST_SCALE_ERROR = 0.012  # four times grade A
_MOST_MARK_SHARE = 0.008  # of the image's width: three times what a hand that marks on a screen errs


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
        InputError: ends that no two cameras of the rig see, or marks that do not fit each other; names the camera.
    """
    match = match_cameras(rig.names, known.ends_px)
    xy = np.full((1, len(rig.cameras), 2, 2), np.nan)
    for name, ends in known.ends_px.items():
        xy[0, rig.names.index(match[name])] = ends
    points = triangulate_corners(xy, rig)[0]
    if not np.isfinite(points).all():
        raise InputError("its ends cannot be triangulated", where=known.name, remedy="Mark both ends in two cameras")
    _check_marks(rig, known.name, xy)
    return ScaleCheck(known.name, known.length_m, float(np.linalg.norm(points[1] - points[0])))


def _check_marks(rig: CameraRig, name: str, xy: FloatArray) -> None:
    """Refuse marks (1, C, 2, 2) px whose rays do not meet; names the camera whose marks the others contradict."""
    misfit = _misfit_px(rig, xy)
    limits = np.array([_MOST_MARK_SHARE * c.intrinsics.size_px[0] for c in rig.cameras])
    if _fits(misfit, limits):
        return
    seen = [i for i in range(len(rig.cameras)) if np.isfinite(xy[0, i]).any()]
    exchanged = [i for i in seen if _fits(_misfit_px(rig, _exchange_ends(xy, i)), limits)]
    worst_px = float(np.nanmax(misfit))
    if exchanged:
        named = _among(rig, exchanged)
        raise InputError(
            f"the ends in {named} do not fit the others ({worst_px:.0f} px); exchanged they would",
            where=name,
            remedy="Write both ends in the same order in every camera",
        )
    end = int(np.argmax(np.nanmax(misfit, axis=0)))
    marked = [i for i in seen if np.isfinite(xy[0, i, end]).all()]
    alone = [i for i in marked if len(marked) > 2 and _fits(_misfit_px(rig, _without(xy, i, end))[:, [end]], limits)]
    raise InputError(
        f"end {end + 1} in {_among(rig, alone or marked)} does not fit the others ({worst_px:.0f} px off)",
        where=name,
        remedy="Mark it again",
    )


def _among(rig: CameraRig, indices: list[int]) -> str:
    return " or ".join(rig.names[i] for i in indices)


def _fits(misfit_px: FloatArray, limits_px: FloatArray) -> bool:
    return not bool((misfit_px > limits_px[:, None]).any())


def _misfit_px(rig: CameraRig, xy: FloatArray) -> FloatArray:
    """Distance (C, 2) px from each mark to the image of its triangulated end; inf behind a camera, NaN unmarked."""
    ends = triangulate_corners(xy, rig)[0]
    image = np.stack([project(c, ends) for c in rig.cameras])
    distance = np.linalg.norm(xy[0] - image, axis=-1)
    unseen = np.isfinite(xy[0]).all(axis=-1) & np.isfinite(ends).all(axis=-1) & ~np.isfinite(distance)
    return np.asarray(np.where(unseen, np.inf, distance), dtype=np.float64)


def _exchange_ends(xy: FloatArray, camera: int) -> FloatArray:
    turned = xy.copy()
    turned[0, camera] = xy[0, camera, ::-1]
    return turned


def _without(xy: FloatArray, camera: int, end: int) -> FloatArray:
    rest = xy.copy()
    rest[0, camera, end] = np.nan
    return rest


def check_scale(checks: tuple[ScaleCheck, ...], *, square_m: float) -> float:
    """The largest scale error of independent lengths, when it is small enough.

    Raises:
        GateRefusedError: lengths that contradict each other, with the error of each; or names the length, the error in
            mm and %, and the square length that would explain it.
    """
    longest, shortest = max(checks, key=lambda c: c.error), min(checks, key=lambda c: c.error)
    if longest.error - shortest.error > MOST_SCALE_ERROR:
        raise GateRefusedError(
            f"{longest.name} and {shortest.name} contradict each other: {100 * longest.error:+.1f} % and "
            f"{100 * shortest.error:+.1f} %; no scale fits both",
            remedy="Measure both again with the tape, and mark their ends again",
        )
    worst = max(checks, key=lambda c: abs(c.error))
    if abs(worst.error) > MOST_SCALE_ERROR:
        off_mm = millimetres(worst.measured_m - worst.true_m)
        raise GateRefusedError(
            f"{worst.name} measures {millimetres(worst.measured_m):.0f} mm instead of "
            f"{millimetres(worst.true_m):.0f} mm ({off_mm:+.0f} mm, {100 * worst.error:+.1f} %)",
            remedy=f"Measure the board's squares: {millimetres(square_m / (1 + worst.error)):.2f} mm would explain it, "
            f"the board file says {millimetres(square_m):.2f} mm",
        )
    return worst.error
