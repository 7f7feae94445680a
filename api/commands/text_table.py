"""Tables as aligned text, the same in a terminal, a pipe and a file."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> str:
    """Rows under headers, columns two spaces apart; columns named in `right` align right; None is a dash."""
    cells = [[_text(c) for c in row] for row in rows]
    widths = [max([len(h), *(len(row[i]) for row in cells)]) for i, h in enumerate(headers)]
    lines = [headers, ["-" * w for w in widths], *cells]
    return "\n".join(_line(line, widths, headers, right) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], headers: Sequence[str], right: Sequence[str]) -> str:
    padded = (
        cell.rjust(w) if header in right else cell.ljust(w)
        for cell, w, header in zip(cells, widths, headers, strict=True)
    )
    return "  ".join(padded).rstrip()


def _text(value: object) -> str:
    if value is None or value == "":
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def format_number(value: float | None, digits: int = 1) -> str:
    """A number with so many decimals, no zero below zero; None is a dash."""
    return "-" if value is None else f"{value:z.{digits}f}"


def format_interval(bounds: Sequence[float] | None, digits: int = 1) -> str:
    """`[low, high]`; None is a dash."""
    return "-" if bounds is None else f"[{bounds[0]:z.{digits}f}, {bounds[1]:z.{digits}f}]"


def format_share(share: float | None) -> str:
    """A share as percent, so that a little is not nothing; None is a dash."""
    if share is None:
        return "-"
    return "< 0.1 %" if 0.0 < share < 0.0005 else f"{100.0 * share:.1f} %"
