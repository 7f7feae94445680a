"""aniposelib's own calibration on our detections, so that a lab can compare. Objects are made by `anipose`."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

from calibration.board.detect import BoardCorners
from calibration.triangulation.anipose import from_camera_group, to_camera_group
from labsys.core.board import Board
from labsys.core.cameras import Camera, CameraRig, Intrinsics
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.rigid import RigidTransform

_SEED = 0  # aniposelib draws its samples from numpy's global generator


def calibrate_with_anipose(corners: BoardCorners, lenses: tuple[Intrinsics, ...] | None) -> CameraRig:
    """Run aniposelib's `calibrate_rows` with its defaults.

    Args:
        lenses: kept as they are; None lets aniposelib find them as it does.

    Raises:
        InputError: a board that aniposelib does not know.
        GateRefusedError: aniposelib fails on these boards.
    """
    own = lenses or tuple(_blank_lens(size) for size in corners.sizes_px)
    nowhere = RigidTransform.identity()
    rig = CameraRig(tuple(Camera(n, lens, nowhere) for n, lens in zip(corners.cameras, own, strict=True)))
    group = to_camera_group(rig)
    board = _make_board(corners.board)
    rows = [_rows_of(corners, i, board) for i in range(len(corners.cameras))]
    with _seeded(), contextlib.redirect_stdout(io.StringIO()):  # it prints its cameras and asks for no permission
        try:
            group.calibrate_rows(
                rows, board, init_intrinsics=lenses is None, verbose=False, only_extrinsics=lenses is not None
            )
        except (ValueError, IndexError, KeyError, np.linalg.LinAlgError) as error:
            raise GateRefusedError(
                f"aniposelib cannot calibrate from these boards: {error}",
                remedy="Use --engine labsys, which says which camera lacks what",
            ) from error
    return from_camera_group(group)


@contextlib.contextmanager
def _seeded() -> Any:
    """aniposelib samples with numpy's global generator; the same corners shall give the same rig."""
    before = np.random.get_state()  # noqa: NPY002  # theirs
    np.random.seed(_SEED)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _blank_lens(size_px: tuple[int, int]) -> Intrinsics:
    width, height = size_px
    matrix = np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1.0]])
    return Intrinsics(matrix, np.zeros(5), size_px)


def _make_board(board: Board) -> Any:
    from aniposelib.boards import CharucoBoard

    parts = board.dictionary.removeprefix("DICT_").split("_")
    if len(parts) != 2 or "X" not in parts[0] or board.legacy_pattern:
        raise InputError(
            f"aniposelib does not know boards of {board.dictionary}"
            + (" in the legacy pattern" * board.legacy_pattern),
            remedy="Use --engine labsys",
        )
    return CharucoBoard(
        board.columns,
        board.rows,
        square_length=board.square_m,
        marker_length=board.marker_m,
        marker_bits=int(parts[0][0]),
        dict_size=int(parts[1]),
    )


def _rows_of(corners: BoardCorners, index: int, board: Any) -> list[dict[str, Any]]:
    rows = []
    for t in np.flatnonzero(corners.has_board[:, index]):
        seen = corners.seen[t, index]
        xy = corners.xy_px[t, index, seen].astype(np.float32)[:, None]
        rows.append({"framenum": (0, int(t)), "corners": xy, "ids": np.flatnonzero(seen).astype(np.int32)[:, None]})
    board.fill_points_rows(rows)
    return rows
