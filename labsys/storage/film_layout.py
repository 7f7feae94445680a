"""Where everything stands in a film: a panel per camera, and the frame's number in a row of blocks below them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NUMBER_BITS, NUMBER_BLOCK_PX = 20, 8


@dataclass(frozen=True)
class Panel:
    """Where a camera's pictures stand in a film: left, top, width and height, px; all even."""

    left: int
    top: int
    width: int
    height: int


def lay_out(sizes_px: Sequence[tuple[int, int]], *, most_px: tuple[int, int], columns: int = 0) -> tuple[Panel, ...]:
    """Panels of pictures of these sizes (width, height), reduced to fit into `most_px`, row by row.

    columns: how many stand in a row; 0: about as many as rows.
    """
    fitted = [_fit(size, most_px) for size in sizes_px]
    columns = columns or math.ceil(math.sqrt(len(fitted)))
    wide, high = max(w for w, _ in fitted), max(h for _, h in fitted)
    return tuple(Panel(i % columns * wide, i // columns * high, w, h) for i, (w, h) in enumerate(fitted))


def number_top(panels: Sequence[Panel]) -> int:
    """Where the frame's number stands in a film: from the left edge and this many px from above, highest bit first."""
    return max(p.top + p.height for p in panels)


def film_size(panels: Sequence[Panel]) -> tuple[int, int]:
    """(width, height) of a film, px, with the row of the frame's number."""
    wide = max(p.left + p.width for p in panels)
    return max(wide, NUMBER_BITS * NUMBER_BLOCK_PX), number_top(panels) + NUMBER_BLOCK_PX


def _fit(size_px: tuple[int, int], most_px: tuple[int, int]) -> tuple[int, int]:
    share = min(1.0, *(most / size for size, most in zip(size_px, most_px, strict=True)))
    width, height = (max(2, 2 * round(size * share / 2)) for size in size_px)
    return width, height
