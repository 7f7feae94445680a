"""Finding one board in the successive pictures of one camera, cheaply, without losing a picture to the cheapness.

Where the time goes: OpenCV thresholds the picture once per window size, follows every contour, and compares every
four-sided one with the dictionary. One window over the place where the board just was costs a tenth of the default
search over the picture; it is believed only when it found every corner that the picture can hold. Otherwise the search
widens: the whole picture with one window, then every window on the place where the board shows, and where nothing
showed, every window on the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.board.board import corners_between, make_cv_board, marker_corners
from labsys.core.arrays import FloatArray, IntArray
from labsys.core.board import Board

Gray = NDArray[np.uint8]

_SMALLEST_MARKER_RATE = 0.03  # OpenCV's default: perimeter of a marker over the longer side of the picture
_SMALLEST_CROP_PX = 32
_TRACK_MARGIN = 0.6  # how far, in board sizes, a board may move between two pictures and still be tracked
_BOARD_MARGIN = 0.08


@dataclass(frozen=True)
class Windows:
    """Sizes of the adaptive threshold's window, px: smallest, largest, step."""

    smallest: int
    largest: int
    step: int


ONE_WINDOW = Windows(23, 23, 10)
ALL_WINDOWS = Windows(3, 53, 5)
COARSE_WINDOWS = Windows(3, 53, 10)
DEFAULT_WINDOWS = Windows(3, 23, 10)


@dataclass(frozen=True, eq=False)
class Sighting:
    """What one search saw.

    Attributes:
        ids: (n,) corner numbers; xy_px: (n, 2) px in IMAGE.
        marker_ids: (m,); markers_px: (m, 4, 2) px in IMAGE.
    """

    ids: IntArray
    xy_px: FloatArray
    marker_ids: IntArray
    markers_px: FloatArray


@dataclass(frozen=True)
class _Box:
    left: int
    top: int
    right: int
    bottom: int


def search(
    picture: Gray, board: Board, *, windows: Windows, detector_board: cv2.aruco.CharucoBoard | None = None
) -> Sighting:
    """Search a whole picture once with these windows (`picture` is already inverted for an inverted board)."""
    box = _Box(0, 0, picture.shape[1], picture.shape[0])
    return _search_box(picture, detector_board or make_cv_board(board), windows, box)


def full_search(picture: Gray, board: Board) -> Sighting:
    """The slow reference search: whole picture, whole dictionary, every window."""
    shown = np.ascontiguousarray(~picture if board.inverted else picture)
    whole = make_cv_board(board, whole_dictionary=True)
    return search(shown, board, windows=ALL_WINDOWS, detector_board=whole)


class BoardFinder:
    """Finds the board in the pictures of one camera, given in order; remembers where it was last."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._made = make_cv_board(board)
        self._markers_m = marker_corners(board)
        self._between = corners_between(board)
        self._outline_m = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * [board.columns, board.rows] * board.square_m
        self._last: _Box | None = None

    def find(self, gray: Gray) -> Sighting:
        """Corners in the next picture, (H, W) uint8; on a two-sided board also those of its mirrored back."""
        shown = np.ascontiguousarray(~gray if self._board.inverted else gray)
        seen = self._find_front(shown)
        if self._board.mirrored_back and seen.ids.size == 0:
            return self._find_back(shown)
        return seen

    def witness(self, gray: Gray) -> Sighting:
        """Every marker of the whole dictionary, the board's own and foreign ones, where the board was just seen."""
        shown = np.ascontiguousarray(~gray if self._board.inverted else gray)
        whole = _Box(0, 0, shown.shape[1], shown.shape[0])
        made = make_cv_board(self._board, whole_dictionary=True)
        return _search_box(shown, made, ONE_WINDOW, self._last or whole)

    def _find_front(self, shown: Gray) -> Sighting:
        seen = self._track(shown)
        whole = _Box(0, 0, shown.shape[1], shown.shape[0])
        if seen is None or seen.marker_ids.size == 0:
            seen = _search_box(shown, self._made, ONE_WINDOW, whole)
        if seen.marker_ids.size == 0:
            seen = _search_box(shown, self._made, COARSE_WINDOWS, whole)
        if seen.marker_ids.size and not self._is_complete(seen, whole):
            seen = self._widen(shown, seen, whole)
        self._last = self._place(seen, whole, _TRACK_MARGIN) if seen.marker_ids.size else None
        return seen

    def _find_back(self, shown: Gray) -> Sighting:
        flipped = np.ascontiguousarray(shown[:, ::-1])
        seen = search(flipped, self._board, windows=COARSE_WINDOWS, detector_board=self._made)
        mirror = np.array([shown.shape[1] - 1.0, 0.0])
        sign = np.array([-1.0, 1.0])
        return Sighting(seen.ids, mirror + sign * seen.xy_px, seen.marker_ids, mirror + sign * seen.markers_px)

    def _track(self, shown: Gray) -> Sighting | None:
        return None if self._last is None else _search_box(shown, self._made, ONE_WINDOW, self._last)

    def _widen(self, shown: Gray, seen: Sighting, whole: _Box) -> Sighting:
        """Every window where the board shows; where its outline cannot be told, on the whole picture."""
        wider = _search_box(shown, self._made, ALL_WINDOWS, self._place(seen, whole, _BOARD_MARGIN) or whole)
        return wider if wider.ids.size >= seen.ids.size else seen

    def _plane_to_image(self, seen: Sighting) -> FloatArray | None:
        board_m = self._markers_m[seen.marker_ids].reshape(-1, 2)
        H, _ = cv2.findHomography(board_m, seen.markers_px.reshape(-1, 2), 0)
        return None if H is None else np.asarray(H, dtype=np.float64)

    def _place(self, seen: Sighting, whole: _Box, margin: float) -> _Box | None:
        """Where the whole board must lie, grown by a share of its size; None when that cannot be told."""
        H = self._plane_to_image(seen)
        outline = None if H is None else _map_plane(H, self._outline_m)
        if outline is None:
            return None
        low, high = outline.min(axis=0), outline.max(axis=0)
        low, high = low - margin * (high - low), high + margin * (high - low)
        box = _Box(
            max(int(np.floor(low[0])), 0),
            max(int(np.floor(low[1])), 0),
            min(int(np.ceil(high[0])), whole.right),
            min(int(np.ceil(high[1])), whole.bottom),
        )
        return box if min(box.right - box.left, box.bottom - box.top) >= _SMALLEST_CROP_PX else None

    def _is_complete(self, seen: Sighting, whole: _Box) -> bool:
        """True when every corner between two markers that lie wholly in the picture was found."""
        if seen.ids.size == self._board.n_corners:
            return True
        H = self._plane_to_image(seen)
        markers = None if H is None else _map_plane(H, self._markers_m.reshape(-1, 2))
        if markers is None:
            return False
        beyond = np.array([whole.right - 1.0, whole.bottom - 1.0])
        inside = np.logical_and(markers >= 0, markers <= beyond)
        marker_inside = np.all(inside.reshape(-1, 8), axis=1)
        expected = marker_inside[self._between[0]] & marker_inside[self._between[1]]
        found = np.zeros(self._board.n_corners, dtype=np.bool_)
        found[seen.ids] = True
        return not (expected & ~found).any()


def _map_plane(H: FloatArray, points_m: FloatArray) -> FloatArray | None:
    """Points of the board's plane in the picture; None when one of them lies behind the horizon."""
    homogeneous = np.column_stack([points_m, np.ones(len(points_m))]) @ H.T
    scale = homogeneous[:, 2:]
    if not np.isfinite(homogeneous).all() or np.any(scale[:, 0] * np.sign(scale[0, 0]) < 1e-9):
        return None
    return np.asarray(homogeneous[:, :2] / scale, dtype=np.float64)


def _search_box(picture: Gray, made: cv2.aruco.CharucoBoard, windows: Windows, box: _Box) -> Sighting:
    crop = np.ascontiguousarray(picture[box.top : box.bottom, box.left : box.right])
    parameters = cv2.aruco.DetectorParameters()
    parameters.adaptiveThreshWinSizeMin = windows.smallest
    parameters.adaptiveThreshWinSizeMax = windows.largest
    parameters.adaptiveThreshWinSizeStep = windows.step
    # The rate is relative to the crop; this keeps the smallest marker in pixels what it is on the whole picture.
    parameters.minMarkerPerimeterRate = _SMALLEST_MARKER_RATE * max(picture.shape) / max(crop.shape)
    detector = cv2.aruco.CharucoDetector(made, cv2.aruco.CharucoParameters(), parameters)
    corners, ids, markers, marker_ids = detector.detectBoard(crop)
    return _as_sighting(corners, ids, markers, marker_ids, np.array([box.left, box.top], dtype=np.float64))


def _as_sighting(corners: object, ids: object, markers: object, marker_ids: object, origin_px: FloatArray) -> Sighting:
    """One shape for OpenCV's answers: 4.x gives (n, 1, 2) and (n, 1), 5.x gives (n, 2) and (n,), both may give None."""
    none_found = np.zeros(0, dtype=np.int64)
    corner_ids = none_found if ids is None else np.ravel(np.asarray(ids)).astype(np.int64)
    found_ids = none_found if marker_ids is None else np.ravel(np.asarray(marker_ids)).astype(np.int64)
    xy = np.zeros((0, 2)) if corner_ids.size == 0 else np.reshape(np.asarray(corners, dtype=np.float64), (-1, 2))
    quads = (
        np.zeros((0, 4, 2)) if found_ids.size == 0 else np.reshape(np.asarray(markers, dtype=np.float64), (-1, 4, 2))
    )
    return Sighting(corner_ids, xy + origin_px, found_ids, quads + origin_px)
