"""labsys's board as OpenCV's object, and where its marks lie in its own plane."""

from __future__ import annotations

import cv2
import numpy as np

from labsys.core.arrays import FloatArray, IntArray
from labsys.core.board import Board


def make_cv_board(board: Board, *, whole_dictionary: bool = False) -> cv2.aruco.CharucoBoard:
    """The board as OpenCV draws and detects it.

    Args:
        whole_dictionary: keep markers that the board does not carry. Detection is twice as fast without them and finds
            the same corners; a search for foreign markers needs them.
    """
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, board.dictionary))
    if not whole_dictionary:
        own = np.ascontiguousarray(dictionary.bytesList[: board.n_markers])
        dictionary = cv2.aruco.Dictionary(own, dictionary.markerSize, dictionary.maxCorrectionBits)
    made = cv2.aruco.CharucoBoard((board.columns, board.rows), board.square_m, board.marker_m, dictionary)
    made.setLegacyPattern(board.legacy_pattern)
    return made


def marker_corners(board: Board) -> FloatArray:
    """Corners of every marker in the board's plane, (n_markers, 4, 2) m, row i is marker id i."""
    made = make_cv_board(board)
    ids = np.ravel(made.getIds())
    corners = np.asarray(made.getObjPoints(), dtype=np.float64)[..., :2]
    return np.asarray(corners[np.argsort(ids)], dtype=np.float64)


def neighbour_pairs(board: Board) -> IntArray:
    """Pairs of inner corners that are one square apart, (E, 2)."""
    across, down = board.columns - 1, board.rows - 1
    ids = np.arange(across * down).reshape(down, across)
    along_x = np.stack([ids[:, :-1].ravel(), ids[:, 1:].ravel()], axis=1)
    along_y = np.stack([ids[:-1].ravel(), ids[1:].ravel()], axis=1)
    return np.concatenate([along_x, along_y]).astype(np.int64)


def corners_between(board: Board) -> tuple[IntArray, IntArray]:
    """The two markers that an inner corner lies between, (n_corners, 2), by nearness of their centres."""
    centres = marker_corners(board).mean(axis=1)
    distance = np.linalg.norm(board.corners_m[:, None, :2] - centres[None], axis=2)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :2]
    return nearest[:, 0].astype(np.int64), nearest[:, 1].astype(np.int64)
