"""A ChArUco board as a value. Detection and printing live in `calibration/`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labsys.core.arrays import FloatArray, as_floats
from labsys.core.errors import InputError, UnknownNameError

# OpenCV's predefined ArUco dictionaries and the number of markers that each holds.
DICTIONARIES: dict[str, int] = {
    **{f"DICT_{b}X{b}_{n}": n for b in (4, 5, 6, 7) for n in (50, 100, 250, 1000)},
    "DICT_ARUCO_ORIGINAL": 1024,
    "DICT_APRILTAG_16H5": 30,
    "DICT_APRILTAG_25H9": 35,
    "DICT_APRILTAG_36H10": 2320,
    "DICT_APRILTAG_36H11": 587,
}


@dataclass(frozen=True)
class Board:
    """A ChArUco board: markers in the white squares of a chessboard.

    Attributes:
        columns, rows: squares along x and y, at least 3 each.
        square_m, marker_m: edge of a square and of a marker, m; the marker is the smaller.
        dictionary: OpenCV's name of the ArUco dictionary.
        inverted: white on black; the image is inverted before detection.
        legacy_pattern: the pattern of OpenCV before 4.6, whose first square differs on boards with an even row count.
        mirrored_back: printed on both sides, corner under corner.
    """

    columns: int
    rows: int
    square_m: float
    marker_m: float
    dictionary: str
    inverted: bool = False
    legacy_pattern: bool = False
    mirrored_back: bool = False

    def __post_init__(self) -> None:
        if self.columns < 3 or self.rows < 3:
            raise InputError(
                f"a board of {self.columns} x {self.rows} squares is too small", remedy="Use at least 3 x 3"
            )
        if not (math.isfinite(self.square_m) and 0 < self.marker_m < self.square_m):
            raise InputError(
                f"marker edge {self.marker_m:g} m and square edge {self.square_m:g} m do not fit",
                remedy="Both are metres, both are positive, and the marker is the smaller",
            )
        if self.dictionary not in DICTIONARIES:
            raise UnknownNameError("ArUco dictionary", self.dictionary, valid=DICTIONARIES)
        if self.n_markers > DICTIONARIES[self.dictionary]:
            raise InputError(
                f"the board needs {self.n_markers} markers and {self.dictionary} has {DICTIONARIES[self.dictionary]}",
                remedy="Use a larger dictionary or fewer squares",
            )

    @property
    def n_markers(self) -> int:
        """Number of markers on the board: one per white square."""
        return self.columns * self.rows // 2

    @property
    def n_corners(self) -> int:
        """Number of inner chessboard corners."""
        return (self.columns - 1) * (self.rows - 1)

    @property
    def corners_m(self) -> FloatArray:
        """Inner corners in the board's own plane, (n_corners, 3) m, z = 0, numbered row by row as OpenCV does."""
        xy = [(c + 1.0, r + 1.0, 0.0) for r in range(self.rows - 1) for c in range(self.columns - 1)]
        return as_floats("board corners", [[v * self.square_m for v in p] for p in xy], (self.n_corners, 3))
