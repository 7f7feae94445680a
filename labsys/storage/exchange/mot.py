"""MOT, OpenSim's motion file: a header, then one row per time; angles in degrees, translations in m."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labsys.core.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class MotTable:
    """Columns of a MOT file over time, as the file has them.

    Attributes:
        times_s: (T,) s. columns: name -> (T,) in the file's unit.
        in_degrees: what the header says about rotational columns, None where it says nothing.
    """

    times_s: FloatArray
    columns: Mapping[str, FloatArray]
    in_degrees: bool | None

    def angle_rad(self, name: str) -> FloatArray:
        """A rotational column, (T,) rad (UnknownNameError; InputError where the header does not state the unit)."""
        raise NotImplementedError

    def length_m(self, name: str) -> FloatArray:
        """A translational column, (T,) m (UnknownNameError)."""
        raise NotImplementedError


def read_mot(path: Path) -> MotTable:
    """Read a MOT or STO file (InputError: unreadable, counts that contradict each other, cells that are no numbers)."""
    raise NotImplementedError


def write_mot(
    path: Path, times_s: FloatArray, *, angles_rad: Mapping[str, FloatArray], lengths_m: Mapping[str, FloatArray]
) -> None:
    """Write coordinates under OpenSim's names, angles in degrees; rotational columns first."""
    raise NotImplementedError
