"""The printed board is the board that is detected, in its true size."""

from __future__ import annotations

import re

import numpy as np
import pytest

from calibration.board.detector import DEFAULT_WINDOWS, search
from calibration.board.printing import PAPER_M, POINTS_PER_M, board_pdf
from labsys.core.board import Board
from labsys.core.errors import InputError

PX_PER_M = 4000.0


def draw(pdf: bytes) -> np.ndarray:
    """Paint the rectangles of the PDF in order, as a viewer does, at 4 px per mm."""
    text = pdf.decode("latin-1")
    width, height = (float(v) for v in re.search(r"MediaBox \[0 0 (\S+) (\S+)\]", text).groups())  # type: ignore[union-attr]
    scale = PX_PER_M / POINTS_PER_M
    page = np.full((round(height * scale), round(width * scale)), 255, dtype=np.uint8)
    shade = 0
    for line in text.split("stream\n")[1].split("\n"):
        if line in ("0 g", "1 g"):
            shade = 255 * int(line[0])
        elif line.endswith("re f"):
            x, y, w, h = (float(v) * scale for v in line.split()[:4])
            top = page.shape[0] - round(y + h)
            page[top : page.shape[0] - round(y), round(x) : round(x + w)] = shade
    return page


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_the_print_is_detected_in_its_true_size(inverted: bool, legacy: bool) -> None:
    board = Board(5, 6, 0.03, 0.022, "DICT_4X4_50", inverted=inverted, legacy_pattern=legacy)
    page = draw(board_pdf(board, paper_m=PAPER_M["a4"]))
    assert page.shape == (1188, 840)
    seen = search(255 - page if inverted else page, board, windows=DEFAULT_WINDOWS)
    assert sorted(seen.ids) == list(range(board.n_corners))
    xy = seen.xy_px[np.argsort(seen.ids)]
    true = board.corners_m[:, :2] * PX_PER_M
    np.testing.assert_allclose(xy - xy[0], true - true[0], atol=1.0)


def test_a_board_that_does_not_fit_names_paper_that_does() -> None:
    with pytest.raises(InputError, match=r"does not fit on 210 x 297 mm.*a2"):
        board_pdf(Board(7, 5, 0.06, 0.045, "DICT_4X4_50"), paper_m=PAPER_M["a4"])


def test_without_paper_the_page_fits_the_board() -> None:
    page = draw(board_pdf(Board(12, 9, 0.06, 0.045, "DICT_5X5_100")))
    assert page.shape[1] > 12 * 0.06 * PX_PER_M


def test_the_file_is_a_pdf_with_a_right_table_of_objects() -> None:
    pdf = board_pdf(Board(5, 6, 0.03, 0.022, "DICT_4X4_50"))
    table = int(pdf.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert pdf[table : table + 4] == b"xref"
    for number, row in enumerate(re.findall(rb"(\d{10}) 00000 n", pdf), start=1):
        assert pdf[int(row) :].startswith(b"%d 0 obj" % number)
