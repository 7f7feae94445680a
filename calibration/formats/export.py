"""A calibration as a file of another program, and what that file cannot hold.

What would make another camera of it (a fisheye lens where a format knows none, skew) is refused by name. What is only
known about the calibration (LAB, grade, override) has no place in other programs' files; `not_carried` says it aloud.
"""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path

from calibration.formats.anipose import format_anipose
from calibration.formats.caliscope import format_caliscope, number_cameras
from calibration.formats.opencv import format_opencv
from calibration.formats.qualisys import format_qualisys
from labsys.core.cameras import Calibration
from labsys.core.errors import InputError


class CalibrationFormat(StrEnum):
    """Whose file is written. OPENCV: FileStorage as .yml, .xml or .json, by the file's name."""

    ANIPOSE = "anipose"
    CALISCOPE = "caliscope"
    OPENCV = "opencv"
    QUALISYS = "qualisys"


_SUFFIXES: dict[CalibrationFormat, tuple[str, ...]] = {
    CalibrationFormat.ANIPOSE: (".toml",),
    CalibrationFormat.CALISCOPE: (".toml",),
    CalibrationFormat.OPENCV: (".yml", ".yaml", ".xml", ".json"),
    CalibrationFormat.QUALISYS: (".txt", ".xml"),
}


def format_calibration(calibration: Calibration, wanted: CalibrationFormat, *, name: str, in_lab: bool = True) -> str:
    """The calibration as text of a file with this name.

    Args:
        in_lab: False for a rig in some other world, which the file then has, too.

    Raises:
        InputError: a file name that does not fit the format, or a camera that the format cannot hold; names it.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in _SUFFIXES[wanted]:
        raise InputError(
            f"a file for {wanted} is not called '*{suffix}'", where=name, remedy=f"Use {' or '.join(_SUFFIXES[wanted])}"
        )
    match wanted:
        case CalibrationFormat.ANIPOSE:
            return format_anipose(calibration, in_lab=in_lab)
        case CalibrationFormat.CALISCOPE:
            return format_caliscope(calibration.rig)
        case CalibrationFormat.OPENCV:
            return format_opencv(calibration.rig, suffix=suffix)
        case CalibrationFormat.QUALISYS:
            return format_qualisys(calibration.rig)


def not_carried(calibration: Calibration, wanted: CalibrationFormat, *, in_lab: bool = True) -> tuple[str, ...]:
    """What the file cannot say although it is known, one sentence each; nothing where it holds everything."""
    if wanted is CalibrationFormat.ANIPOSE:
        return ()
    left = []
    if in_lab:
        heading = "forward=+x,up=+y" if calibration.heading_known else "up=+y"
        left.append(f"its world is LAB (x forward, y up, z right): bring it back with --world-axes {heading}")
    if calibration.grade:
        left.append(f"it is graded {calibration.grade}")
    if calibration.override_reason:
        left.append(
            f"its refusal was overridden ({calibration.override_reason}): results made from it are not for comparison"
        )
    if math.isfinite(calibration.up_sd_rad) or math.isfinite(calibration.heading_sd_rad):
        left.append("how uncertain up and heading are")
    numbers = number_cameras(calibration.rig.names)
    if wanted is CalibrationFormat.CALISCOPE and not all(n.endswith(str(i)) for n, i in numbers.items()):
        listed = ", ".join(f"{name} is {number}" for name, number in numbers.items())
        left.append(f"its cameras' names in Caliscope, which numbers them: {listed}")
    return tuple(left)
