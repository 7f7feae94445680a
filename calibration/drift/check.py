"""Whether a calibration still holds: which camera moved since, how far and how surely.

The hypothesis that nothing moved is tried first; then that one camera moved, two, and so on, taking the camera each
time whose own freedom explains most. What is left must agree by chance alone. A move must also show in the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.stats import chi2

from calibration.board.detect import BoardCorners
from calibration.drift.check_poses import PoseDifferences, camera_shift, compare_poses
from calibration.rig.quality import measure_corners, summarise
from calibration.rig.solve import SolveSettings
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError
from labsys.core.units import degrees, millimetres

MIN_SHARED = 10
_CHANCE = 1e-4
_UNSURE_GAIN = 12.0  # how much worse the second suspect must explain the sweep, squared standard deviations
_MOST_SCALE_ERROR = 0.012
_LENS_RATIO = 2.5  # corners that fit a camera this much worse than the others do: a blurred picture, another lens
_LENS_PX = 0.8  # below this nobody minds


class Verdict(StrEnum):
    """What a check says of a calibration."""

    STILL_VALID = "still_valid"
    MOVED = "moved"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True)
class CheckLimits:
    """How far the image of what a camera looks at may shift, and how surely that must be known."""

    shift_px: float = 0.8
    shift_sd_px: float = 0.8


@dataclass(frozen=True)
class CameraCheck:
    """One camera against the others.

    Attributes:
        n_boards: instants at which it and another camera saw the board. checked: False when those were too few.
        turn_rad, shift_m, image_px: how far it turned, its centre moved, and what it sees shifts, each with its
            standard deviation; NaN when not checked.
        rms_px: of the sweep in a rig solved anew; a blurred picture shows here, another focal length does not: that
            shows as a move.
    """

    name: str
    n_boards: int
    checked: bool
    moved: bool
    turn_rad: float
    turn_sd_rad: float
    shift_m: float
    shift_sd_m: float
    image_px: float
    image_sd_px: float
    rms_px: float


@dataclass(frozen=True)
class CalibrationCheck:
    """What a sweep says of a calibration.

    Attributes:
        suspects: cameras of which one moved and it cannot be told which; empty when it can.
        scale_error: relative, of the board's edges in the calibration's rig.
        reason: the verdict in words.
    """

    verdict: Verdict
    cameras: tuple[CameraCheck, ...]
    suspects: tuple[str, ...]
    scale_error: float
    rms_px: float
    n_instants: int
    reason: str


def check_rig(
    corners: BoardCorners,
    rig: CameraRig,
    *,
    limits: CheckLimits | None = None,
    settings: SolveSettings | None = None,
) -> CalibrationCheck:
    """Check a calibration on the corners of one sweep of the board.

    Args:
        corners: of the sweep. rig: the calibration's cameras, in the order of `corners.cameras`.

    Raises:
        GateRefusedError: too few boards that two cameras saw, or cameras that share none.
    """
    chosen = limits or CheckLimits()
    shared = _shared_boards(corners)
    usable = tuple(n for n, count in zip(corners.cameras, shared, strict=True) if count >= MIN_SHARED)
    if len(usable) < 2:
        raise GateRefusedError(
            f"the sweep shows two cameras at once only {int(shared.max(initial=0))} boards",
            where="cameras " + ", ".join(corners.cameras),
            remedy="Carry the board slowly through the whole volume for 30 s, turned to two cameras at a time",
        )
    seen, known = corners.of_cameras(usable), rig.select(usable)
    differences = compare_poses(seen, known, settings=settings)
    moved, suspects = _find_moved(differences, chosen)
    quality = summarise(seen, measure_corners(seen, known))
    checks = tuple(
        _camera_check(differences, usable.index(n), moved, int(count)) if n in usable else _unchecked(n, int(count))
        for n, count in zip(corners.cameras, shared, strict=True)
    )
    verdict, reason = _judge(checks, suspects, chosen)
    scale_error = quality.edge_mean_m / corners.board.square_m - 1.0
    if abs(scale_error) > _MOST_SCALE_ERROR and (verdict is not Verdict.MOVED or len(moved) > len(usable) // 2):
        verdict, reason = Verdict.CANNOT_TELL, _other_board(scale_error)
    worse = _worse_lenses(checks)
    if worse and verdict is Verdict.STILL_VALID:
        verdict, reason = Verdict.CANNOT_TELL, "; ".join(worse)
    elif worse:
        reason = "; ".join([reason, *worse])
    return CalibrationCheck(verdict, checks, suspects, scale_error, quality.rms_px, int(shared.sum()), reason)


def _shared_boards(corners: BoardCorners) -> FloatArray:
    has = corners.has_board
    return np.asarray((has & (has.sum(axis=1, keepdims=True) >= 2)).sum(axis=0))


def _find_moved(differences: PoseDifferences, limits: CheckLimits) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Indices of the cameras that moved, and the names of those between which it cannot be told."""
    everyone = range(len(differences.cameras))
    moved: tuple[int, ...] = ()
    while True:
        left = [c for c in everyone if c not in moved]
        if len(left) < 2 or _agrees(differences, moved):
            break
        misfits = {c: _misfit(differences, (*moved, c)) for c in left}
        ranked = sorted(misfits, key=lambda c: misfits[c])
        if len(left) == 2 or misfits[ranked[1]] - misfits[ranked[0]] < _UNSURE_GAIN:
            alike = [c for c in ranked if misfits[c] - misfits[ranked[0]] < _UNSURE_GAIN]
            trial = (*moved, ranked[0])
            worst = max((_estimate(differences, c, trial) for c in trial), key=lambda move: move.image_px)
            # A sweep that hardly ties the cameras together differs somewhere; that is no camera that moved.
            shows = worst.image_px > limits.shift_px and worst.image_sd_px <= limits.shift_sd_px
            return (trial, tuple(differences.cameras[c] for c in sorted(alike))) if shows else ((), ())
        moved = (*moved, ranked[0])
    shown = {c: _estimate(differences, c, moved).image_px for c in moved}
    return tuple(c for c in sorted(moved) if shown[c] > limits.shift_px), ()


def _agrees(differences: PoseDifferences, moved: tuple[int, ...]) -> bool:
    freedom = 6 * (len(differences.cameras) - len(moved) - 1)
    return bool(_misfit(differences, moved) < chi2.isf(_CHANCE, freedom))


def _misfit(differences: PoseDifferences, moved: tuple[int, ...]) -> float:
    """Squared Mahalanobis distance of the cameras that did not move, from where the calibration has them."""
    reference, rest = _parts(differences, moved)
    change, covariance = differences.relative_to(reference)
    at = _columns(rest)
    return float(change[at] @ np.linalg.solve(covariance[np.ix_(at, at)], change[at])) if at.size else 0.0


def _parts(differences: PoseDifferences, moved: tuple[int, ...]) -> tuple[int, list[int]]:
    still = [c for c in range(len(differences.cameras)) if c not in moved]
    return still[0], still[1:]


def _columns(cameras: list[int]) -> FloatArray:
    return np.array([6 * c + k for c in cameras for k in range(6)], dtype=np.int64)


@dataclass(frozen=True)
class _Move:
    turn_rad: float
    turn_sd_rad: float
    shift_m: float
    shift_sd_m: float
    image_px: float
    image_sd_px: float


def _estimate(differences: PoseDifferences, camera: int, moved: tuple[int, ...]) -> _Move:
    """One camera's difference from the cameras that did not move, it itself not counted among these."""
    others = tuple(sorted({*moved, camera}))
    if len(others) == len(differences.cameras):
        others = (camera,)
    reference, rest = _parts(differences, others)
    change, covariance = differences.relative_to(reference)
    own, at = _columns([camera]), _columns(rest)
    estimate, V = change[own], covariance[np.ix_(own, own)]
    if at.size:
        gain = np.linalg.solve(covariance[np.ix_(at, at)], covariance[np.ix_(at, own)]).T
        estimate, V = estimate - gain @ change[at], V - gain @ covariance[np.ix_(at, own)]
    effect = differences.image[camera]
    by_shift = np.column_stack([camera_shift(differences, camera, unit) for unit in np.eye(6)])
    shift = by_shift @ estimate
    return _Move(
        *_length(estimate[:3], V[:3, :3]),
        *_length(shift, by_shift @ V @ by_shift.T),
        float(np.sqrt(max(estimate @ effect @ estimate, 0.0))),
        float(np.sqrt(max(np.trace(effect @ V), 0.0))),
    )


def _length(vector: FloatArray, covariance: FloatArray) -> tuple[float, float]:
    """Length of a vector and its standard deviation; of a short one, that of any component."""
    length = float(np.linalg.norm(vector))
    along = float(vector @ covariance @ vector) / length**2 if length > 0 else 0.0
    return length, float(np.sqrt(max(along, np.trace(covariance) / 3.0 if length == 0 else along)))


def _camera_check(differences: PoseDifferences, index: int, moved: tuple[int, ...], n_boards: int) -> CameraCheck:
    move = _estimate(differences, index, moved)
    return CameraCheck(
        differences.cameras[index],
        n_boards,
        True,
        index in moved,
        move.turn_rad,
        move.turn_sd_rad,
        move.shift_m,
        move.shift_sd_m,
        move.image_px,
        move.image_sd_px,
        float(differences.rms_px[index]),
    )


def _unchecked(name: str, n_boards: int) -> CameraCheck:
    return CameraCheck(name, n_boards, False, False, *[float("nan")] * 7)


def _judge(checks: tuple[CameraCheck, ...], suspects: tuple[str, ...], limits: CheckLimits) -> tuple[Verdict, str]:
    moved = [c for c in checks if c.moved]
    if moved and suspects:
        return Verdict.MOVED, f"one of {', '.join(suspects)} moved; this sweep cannot tell which ({_say(moved[0])})"
    if moved:
        return Verdict.MOVED, "; ".join(f"{c.name} moved: {_say(c)}" for c in moved)
    unseen = [f"{c.name} saw {c.n_boards} boards together with another camera" for c in checks if not c.checked]
    unsure = [
        f"{c.name} is known to ± {c.image_sd_px:.1f} px only"
        for c in checks
        if c.checked and c.image_sd_px > limits.shift_sd_px
    ]
    if unseen or unsure:
        return Verdict.CANNOT_TELL, "; ".join([*unseen, *unsure])
    worst = max(checks, key=lambda c: c.image_px)
    return Verdict.STILL_VALID, f"no camera moved; {worst.name} differs most: {_say(worst)}"


def _say(camera: CameraCheck) -> str:
    return (
        f"{degrees(camera.turn_rad):.2f} ± {degrees(camera.turn_sd_rad):.2f} degrees, "
        f"{millimetres(camera.shift_m):.1f} ± {millimetres(camera.shift_sd_m):.1f} mm, "
        f"{camera.image_px:.1f} px in its image"
    )


def _worse_lenses(checks: tuple[CameraCheck, ...]) -> list[str]:
    """Cameras whose corners fit no pose as well as the other cameras' do, in words; needs three cameras."""
    rms = {c.name: c.rms_px for c in checks if c.checked}
    found = []
    for name, own_px in rms.items():
        others_px = float(np.median([px for other, px in rms.items() if other != name])) if len(rms) > 2 else own_px
        if own_px > max(_LENS_RATIO * others_px, _LENS_PX):
            found.append(
                f"the board fits {name} to {own_px:.1f} px, the other cameras to {others_px:.1f} px: its picture "
                "is blurred, or its lens is another"
            )
    return found


def _other_board(scale_error: float) -> str:
    return (
        f"the sweep's board measures {100 * scale_error:+.1f} % against the calibration: "
        "it is another board, or its file says another square"
    )
