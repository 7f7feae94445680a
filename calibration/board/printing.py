"""A board as a PDF page in its true size, with rulers to check the print; plain vector PDF that needs no library.

PDF 1.4 (ISO 32000-1), one page, lengths in points of 1/72 inch. Every square is a filled rectangle, so that nothing is
resampled; the viewer preference PrintScaling None asks the printing program not to fit the page.
"""

from __future__ import annotations

import numpy as np

from calibration.board.board import make_cv_board
from labsys.core.arrays import BoolArray
from labsys.core.board import Board
from labsys.core.errors import InputError
from labsys.core.units import millimetres

POINTS_PER_M = 72.0 / 0.0254
PAPER_M: dict[str, tuple[float, float]] = {
    "a4": (0.210, 0.297),
    "a3": (0.297, 0.420),
    "a2": (0.420, 0.594),
    "a1": (0.594, 0.841),
    "a0": (0.841, 1.189),
    "letter": (0.2159, 0.2794),
    "tabloid": (0.2794, 0.4318),
}
_MARGIN_M = 0.008
_RULER_M = 0.014  # room for the ruler below and beside the board


def board_pdf(board: Board, *, paper_m: tuple[float, float] | None = None) -> bytes:
    """The board centred on a page, with rulers of 100 mm below and at its left.

    Args:
        paper_m: (width, height) of the page, turned where the board fits only that way; None makes a page that fits.

    Raises:
        InputError: the board is larger than the page.
    """
    size = (board.columns * board.square_m, board.rows * board.square_m)
    page = _fit_page(size, paper_m)
    left = (page[0] - size[0] + _RULER_M) / 2
    bottom = (page[1] - size[1] + _RULER_M) / 2
    drawing = [*_draw_board(board, left, bottom), *_draw_rulers(board, left, bottom)]
    return _write_pdf("\n".join(drawing).encode("ascii"), page)


def _fit_page(size_m: tuple[float, float], paper_m: tuple[float, float] | None) -> tuple[float, float]:
    need = tuple(s + 2 * _MARGIN_M + _RULER_M for s in size_m)
    if paper_m is None:
        return max(need[0], 0.14), max(need[1], 0.14)
    for page in (paper_m, paper_m[::-1]):
        if need[0] <= page[0] and need[1] <= page[1]:
            return page
    sizes = ", ".join(n for n, p in PAPER_M.items() if min(need) <= min(p) and max(need) <= max(p))
    raise InputError(
        f"a board of {millimetres(size_m[0]):.0f} x {millimetres(size_m[1]):.0f} mm does not fit on "
        f"{millimetres(paper_m[0]):.0f} x {millimetres(paper_m[1]):.0f} mm",
        remedy=f"Paper that fits: {sizes}" if sizes else "Print it on a plotter: leave the paper size out",
    )


def _draw_board(board: Board, left_m: float, bottom_m: float) -> list[str]:
    """Dark cells as rectangles; what is dark follows from the picture that the detector compares with."""
    dark, cell_m, offsets = _cells(board)
    width, height = board.columns * board.square_m, board.rows * board.square_m
    lines = ["0 g"]
    for square_row in range(board.rows):
        for square_column in range(board.columns):
            x, y = left_m + square_column * board.square_m, bottom_m + height - (square_row + 1) * board.square_m
            lines += _draw_square(dark[square_row][square_column], x, y, cell_m, offsets, board)
    if board.inverted:  # a dark rim, as wide as the margin of a marker, so that outer squares have an edge
        rim = _MARGIN_M / 2
        lines.insert(1, _rectangle(left_m - rim, bottom_m - rim, width + 2 * rim, height + 2 * rim))
    return lines


def _draw_square(dark: BoolArray, x: float, y: float, cell_m: float, offset_m: float, board: Board) -> list[str]:
    """One square: plain where its cells are all alike, else a marker's cells on the ground that surrounds them."""
    if dark.all() or not dark.any():
        return ["0 g" if dark.all() else "1 g", _rectangle(x, y, board.square_m, board.square_m)]
    lines = ["0 g" if board.inverted else "1 g", _rectangle(x, y, board.square_m, board.square_m)]
    for row, cells in enumerate(dark):
        for column, is_dark in enumerate(cells):
            lower = y + offset_m + (len(dark) - 1 - row) * cell_m
            lines += ["0 g" if is_dark else "1 g", _rectangle(x + offset_m + column * cell_m, lower, cell_m, cell_m)]
    return lines


def _cells(board: Board) -> tuple[list[list[BoolArray]], float, float]:
    """Per square its cells (n, n) True where dark, the edge of a cell and where the marker begins in its square, m."""
    made = make_cv_board(board)
    per_side = int(made.getDictionary().markerSize) + 2
    cell_m = board.marker_m / per_side
    offset_m = (board.square_m - board.marker_m) / 2
    square_px = 240
    picture = made.generateImage((board.columns * square_px, board.rows * square_px), marginSize=0, borderBits=1)
    picture = 255 - picture if board.inverted else picture
    at = (offset_m + cell_m * (np.arange(per_side) + 0.5)) / board.square_m * square_px
    rows: list[list[BoolArray]] = []
    for r in range(board.rows):
        ys = np.clip(np.round(r * square_px + at), 0, None).astype(int)
        xs = [np.round(c * square_px + at).astype(int) for c in range(board.columns)]
        rows.append([np.asarray(picture[np.ix_(ys, x)] < 128, dtype=np.bool_) for x in xs])
    return rows, cell_m, offset_m


def _draw_rulers(board: Board, left_m: float, bottom_m: float) -> list[str]:
    lines = ["0 g 0 G 0.3 w"]
    foot = bottom_m - _RULER_M * 0.55
    side = left_m - _RULER_M * 0.55
    for step in range(101):
        tick = 0.004 if step % 10 == 0 else 0.0025 if step % 5 == 0 else 0.0015
        along = step / 1000
        lines.append(_line(left_m + along, foot, left_m + along, foot - tick))
        lines.append(_line(side, bottom_m + along, side - tick, bottom_m + along))
    text = (
        f"{board.columns} x {board.rows} squares of {millimetres(board.square_m):.2f} mm, markers "
        f"{millimetres(board.marker_m):.2f} mm, {board.dictionary}. Both rulers must measure 100 mm."
    )
    lines.append(f"BT /F1 6 Tf {_pt(left_m)} {_pt(max(foot - 0.007, 0.002))} Td ({text}) Tj ET")
    return lines


def _pt(length_m: float) -> str:
    return f"{length_m * POINTS_PER_M:.4f}"


def _rectangle(x: float, y: float, width: float, height: float) -> str:
    return f"{_pt(x)} {_pt(y)} {_pt(width)} {_pt(height)} re f"


def _line(x0: float, y0: float, x1: float, y1: float) -> str:
    return f"{_pt(x0)} {_pt(y0)} m {_pt(x1)} {_pt(y1)} l S"


def _write_pdf(drawing: bytes, page_m: tuple[float, float]) -> bytes:
    box = f"[0 0 {_pt(page_m[0])} {_pt(page_m[1])}]"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>".encode("ascii"),
        b"<< /Length %d >>\nstream\n" % len(drawing) + drawing + b"\nendstream",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)
