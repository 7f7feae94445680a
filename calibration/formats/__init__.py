"""Calibration files of other systems and our own, one file each, all to the same value."""

from __future__ import annotations

from pathlib import Path

from calibration.align import WorldAxes
from labsys.core.cameras import Calibration


def read_calibration(path: Path, *, axes: WorldAxes | None = None) -> Calibration:
    """Read a calibration file, recognised by its content.

    Anipose and Pose2Sim TOML, Caliscope's camera_array.toml, Qualisys .qca.txt, OpenCV FileStorage (yml, xml, json).

    Args:
        axes: what the axes of the file's world mean; needed for files that do not say, ignored for labsys's own.

    Raises:
        InputError: unreadable, incomplete or impossible; names the camera and the key.
    """
    raise NotImplementedError


def write_anipose(path: Path, calibration: Calibration) -> None:
    """Write a calibration as Anipose's calibration.toml, with what only labsys knows in its metadata table."""
    raise NotImplementedError


def format_anipose(calibration: Calibration) -> str:
    """The text that `write_anipose` writes."""
    raise NotImplementedError
