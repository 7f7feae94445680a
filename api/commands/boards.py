"""`labsys board`: boards to print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from api.commands.calibrating_options import load_board
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import InputError, UnknownNameError

board_app = typer.Typer(no_args_is_help=True, help="Calibration boards.")


@board_app.command("print")
def print_board(
    board: Annotated[str, typer.Argument(metavar="BOARD", help="Board file, or name of one in the lab's boards/.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="New PDF file.")],
    paper: Annotated[
        str | None,
        typer.Option("--paper", metavar="a4|a3|letter|WxH", help="WxH in mm; a page that fits if not given."),
    ] = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a board as a PDF in its true size, with rulers to check the print.

    \b
    Example: labsys board print charuco_4x5 --paper a3 --out board.pdf
    Example: labsys board print board.yaml --paper 500x700 --out board.pdf
    """
    from calibration.board.printing import board_pdf
    from labsys.core.units import millimetres
    from labsys.storage.atomic import write_bytes_atomic

    terminal = Terminal(lab, as_json, quiet)
    loaded = load_board(terminal, board)
    if not out.absolute().parent.is_dir():
        raise InputError("there is no such folder", where=str(out.parent), remedy="Make it first, or check --out")
    write_bytes_atomic(out, board_pdf(loaded, paper_m=_paper(paper)))
    square_mm = millimetres(loaded.square_m)
    terminal.say(
        "Print it at 100 %, not fitted to the page. Then lay a ruler on it: both printed rulers must measure 100.0 mm, "
        f"and {loaded.columns} squares in a row {loaded.columns * square_mm:.1f} mm. If they do not, measure over "
        "as many squares as you can and write square_m and marker_m into the board file. Glue it on something flat."
    )
    document = {"file": str(out), "columns": loaded.columns, "rows": loaded.rows, "square_mm": square_mm}
    terminal.give(document, str(out))


def _paper(text: str | None) -> tuple[float, float] | None:
    """Width and height in m."""
    from calibration.board.printing import PAPER_M

    if text is None:
        return None
    if text.lower() in PAPER_M:
        return PAPER_M[text.lower()]
    size = re.fullmatch(r"(\d+(?:\.\d+)?)\s*[x×]\s*(\d+(?:\.\d+)?)(?:\s*mm)?", text.lower())
    if size is None:
        raise UnknownNameError("paper", text, valid=(*PAPER_M, "WxH in mm"), where="--paper")
    return float(size[1]) / 1000, float(size[2]) / 1000
