"""TRC, the marker file of OpenSim and Cortex: text, a header of five lines, one row per frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labsys.core.arrays import FloatArray, as_floats, check_unique
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.units import Unit, to_outside_array
from labsys.storage.atomic import write_text_atomic
from labsys.storage.exchange.text import parse_number, read_lines

_HEADER_KEYS = (
    "DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame", "OrigNumFrames",
)  # fmt: skip
_METRES_PER_UNIT = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_UNIT_NAMES = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), "m"),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), "cm"),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), "mm"),
}
# Markers on one person span less than the upper and (six of them or more) more than the lower bound; a file whose
# unit is wrong by a factor of ten or a thousand falls outside.
_BODY_EXTENT_M = (0.25, 8.0)
_BODY_MARKERS = 6
# Times are often rounded to a millisecond; within this share of a frame the header's rate is the better witness.
_TIME_ROUNDING_FRAMES = 0.1
_RATE_TOLERANCE = 0.01


@dataclass(frozen=True, eq=False)
class MarkerTable:
    """Markers of a file, in the file's own axes.

    Attributes:
        markers: K names. times_s: (T,) s, strictly increasing. xyz_m: (T, K, 3) m, NaN where empty.
        rate_hz: as the header says. unit: the unit that the file was written in ("m", "cm", "mm").
    """

    markers: tuple[str, ...]
    times_s: FloatArray
    xyz_m: FloatArray
    rate_hz: float
    unit: str

    def __post_init__(self) -> None:
        check_unique("marker names", self.markers)
        times = as_floats("times", self.times_s, (None,), finite=True)
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "xyz_m", as_floats("markers", self.xyz_m, (times.size, len(self.markers), 3)))


@dataclass(frozen=True)
class _Header:
    rate_hz: float
    n_frames: int
    unit: str
    markers: tuple[str, ...]


def read_trc(path: Path) -> MarkerTable:
    """Read a TRC file; positions are in metres, axes are the file's.

    Times that are the header's rate, rounded, are given unrounded.

    Raises:
        InputError: no TRC, counts that contradict each other, unknown or implausible units, or no frames.
    """
    lines = read_lines(path)
    header = _read_header(lines, path)
    times, cells = _read_rows(lines, header, path)
    if not times.size:
        raise InputError("holds no frames", where=str(path))
    xyz = cells.reshape(times.size, len(header.markers), 3)
    incomplete = np.isnan(xyz).any(axis=-1, keepdims=True)
    xyz_m = np.where(incomplete, np.nan, xyz * _METRES_PER_UNIT[header.unit])
    _check_extent(xyz_m, header.unit, path)
    try:
        return MarkerTable(
            header.markers, _check_times(times, header.rate_hz, path), xyz_m, header.rate_hz, header.unit
        )
    except InputError as error:
        raise InputError(error.what, where=str(path), remedy=error.remedy) from error


def write_trc(path: Path, landmarks: Landmarks3D, *, rate_hz: float | None = None) -> None:
    """Write landmarks in mm and LAB axes (Y up), as OpenSim loads them; missing is an empty cell.

    `rate_hz` is needed for a single frame, and otherwise taken from the times.

    Raises:
        InputError: no frames, no rate, a name that holds a tab, or the folder cannot be written.
    """
    names, n_frames = landmarks.landmarks, landmarks.times_s.size
    rate = landmarks.rate_hz if rate_hz is None else rate_hz
    if not names or not n_frames or not math.isfinite(rate):
        raise InputError("there are too few landmarks or frames for a TRC", where=str(path))
    if any("\t" in name or not name.strip() for name in names):
        raise InputError("a landmark name is empty or holds a tab", where=str(path))
    values = (f"{rate:.6f}", f"{rate:.6f}", str(n_frames), str(len(names)), "mm", f"{rate:.6f}", "1", str(n_frames))
    axes = "".join(f"X{i}\tY{i}\tZ{i}\t" for i in range(1, len(names) + 1))
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "\t".join(_HEADER_KEYS),
        "\t".join(values),
        "Frame#\tTime\t" + "".join(f"{name}\t\t\t" for name in names),
        f"\t\t{axes}",
        "",
        *_rows(landmarks),
    ]
    write_text_atomic(path, "\n".join(lines) + "\n")


def _rows(landmarks: Landmarks3D) -> list[str]:
    # Every cell ends with a tab: OpenSim counts cells and forgives one empty cell at the end of a line, no more.
    xyz_mm = to_outside_array(landmarks.xyz_m, Unit.MM).reshape(landmarks.times_s.size, -1)
    return [
        f"{i}\t{time:.9f}\t" + "".join(f"{v:.6f}\t" if math.isfinite(v) else "\t" for v in row)
        for i, (time, row) in enumerate(zip(landmarks.times_s.tolist(), xyz_mm.tolist(), strict=True), start=1)
    ]


def _read_header(lines: list[str], path: Path) -> _Header:
    if len(lines) < 5 or not lines[0].startswith("PathFileType"):
        raise InputError("is no TRC file (it does not begin with PathFileType)", where=str(path))
    fields = dict(zip(lines[1].split(), lines[2].split(), strict=False))
    missing = [key for key in ("DataRate", "NumFrames", "NumMarkers", "Units") if key not in fields]
    if missing:
        raise InputError(f"the header does not give {', '.join(missing)}", where=str(path))
    unit = _UNIT_NAMES.get(fields["Units"].casefold())
    if unit is None:
        raise InputError(
            f"unknown units '{fields['Units']}'", where=str(path), remedy="Write m, cm or mm in the header"
        )
    rate_hz = parse_number(fields["DataRate"], f"{path}, DataRate")
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise InputError(f"DataRate {fields['DataRate']} is not positive", where=str(path))
    markers = tuple(name.strip() for name in lines[3].split("\t") if name.strip())[2:]
    n_markers = int(parse_number(fields["NumMarkers"], f"{path}, NumMarkers"))
    if len(markers) != n_markers or not markers:
        raise InputError(f"the header announces {n_markers} markers and names {len(markers)}", where=str(path))
    return _Header(rate_hz, int(parse_number(fields["NumFrames"], f"{path}, NumFrames")), unit, markers)


def _read_rows(lines: list[str], header: _Header, path: Path) -> tuple[FloatArray, FloatArray]:
    width = 2 + 3 * len(header.markers)
    table = [_read_row(line, width, f"{path}, line {i}") for i, line in enumerate(lines[5:], 6) if line.strip()]
    if len(table) != header.n_frames:
        raise InputError(
            f"the header announces {header.n_frames} frames, the file holds {len(table)}",
            where=str(path),
            remedy="Export the file again",
        )
    rows = np.array(table, dtype=np.float64).reshape(-1, width)
    return rows[:, 1], rows[:, 2:]


def _read_row(line: str, width: int, where: str) -> list[float]:
    """All numbers of a row, NaN for empty cells; a row whose last cells are empty may be shorter, or have more tabs."""
    cells = [cell.strip() for cell in line.split("\t")]
    if any(cells[width:]):
        raise InputError(f"has {len(cells)} cells, expected {width}", where=where)
    if len(cells) < 2 or not cells[1]:
        raise InputError("has no time", where=where)
    numbers = [parse_number(cell, where) if cell else math.nan for cell in cells[:width]]
    return numbers + [math.nan] * (width - len(numbers))


def _check_times(times_s: FloatArray, rate_hz: float, path: Path) -> FloatArray:
    nominal: FloatArray = times_s[0] + np.arange(times_s.size) / rate_hz
    if np.abs(times_s - nominal).max() * rate_hz <= _TIME_ROUNDING_FRAMES:
        return nominal
    steps = np.diff(times_s)
    if not (steps > 0).all():
        frame = int(np.flatnonzero(~(steps > 0))[0]) + 2
        raise InputError(f"time does not increase at row {frame}", where=str(path))
    measured_hz = 1.0 / float(np.median(steps))
    if abs(measured_hz / rate_hz - 1.0) > _RATE_TOLERANCE:
        raise InputError(
            f"the header says {rate_hz:g} Hz, the times say {measured_hz:g} Hz", where=str(path), remedy="Correct one"
        )
    return times_s


def _check_extent(xyz_m: FloatArray, unit: str, path: Path) -> None:
    seen = np.isfinite(xyz_m).all(axis=-1)
    frames = xyz_m[seen.sum(axis=1) >= _BODY_MARKERS]
    if not len(frames):
        return
    extent_m = float(np.median(np.linalg.norm(np.nanmax(frames, axis=1) - np.nanmin(frames, axis=1), axis=-1)))
    low, high = _BODY_EXTENT_M
    if not low <= extent_m <= high:
        raise InputError(
            f"the header says {unit}, which makes a body of {extent_m:.3g} m: the units are wrong",
            where=str(path),
            remedy="Correct 'Units' in the header",
        )
