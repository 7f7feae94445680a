"""TRC, the marker file of OpenSim and Cortex: text, a header of five lines, one row per frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labsys.core.arrays import FloatArray
from labsys.core.landmarks import Landmarks3D


@dataclass(frozen=True, eq=False)
class MarkerTable:
    """Markers of a file, in the file's own axes.

    Attributes:
        markers: K names. times_s: (T,) s. xyz_m: (T, K, 3) m, NaN where empty. rate_hz: as the header says.
        unit: the unit that the file was written in ("m", "mm", "cm").
    """

    markers: tuple[str, ...]
    times_s: FloatArray
    xyz_m: FloatArray
    rate_hz: float
    unit: str


def read_trc(path: Path) -> MarkerTable:
    """Read a TRC file.

    Raises:
        InputError: no TRC, counts that contradict each other, unknown or implausible units, or no frames.
    """
    raise NotImplementedError


def write_trc(path: Path, landmarks: Landmarks3D) -> None:
    """Write landmarks in mm and LAB axes (Y up), as OpenSim loads them; missing is an empty cell."""
    raise NotImplementedError
