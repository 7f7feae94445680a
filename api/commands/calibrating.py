"""`labsys board` and `labsys calibrate`: from a printed board to a calibrated rig."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal, parse_pairs
from labsys.core.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from labsys.core.board import Board
    from pipelines.calibration_placement import LabSource


class EngineName(StrEnum):
    """Who solves the rig."""

    LABSYS = "labsys"
    ANIPOSE = "anipose"


class LensName(StrEnum):
    """Which lens model is solved where no lenses are given."""

    PINHOLE = "pinhole"
    FISHEYE = "fisheye"


board_app = typer.Typer(no_args_is_help=True, help="Calibration boards.")


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("calibrate")(calibrate)


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
    from calibration.board_print import board_pdf
    from labsys.core.units import millimetres
    from labsys.storage.atomic import write_bytes_atomic

    terminal = Terminal(lab, as_json, quiet)
    loaded = _load_board(terminal, board)
    write_bytes_atomic(out, board_pdf(loaded, paper_m=_paper(paper)))
    square_mm = millimetres(loaded.square_m)
    terminal.say(
        "Print it at 100 %, not fitted to the page. Then lay a ruler on it: both printed rulers must measure 100.0 mm, "
        f"and {loaded.columns} squares in a row {loaded.columns * square_mm:.1f} mm. If they do not, measure over "
        "as many squares as you can and write square_m and marker_m into the board file. Glue it on something flat."
    )
    document = {"file": str(out), "columns": loaded.columns, "rows": loaded.rows, "square_mm": square_mm}
    terminal.give(document, str(out))


def calibrate(
    videos: Annotated[list[str], typer.Option("--videos", metavar="CAM=PATH …", help="One video per camera.")],
    board: Annotated[
        str, typer.Option("--board", metavar="FILE", help="Board file, or name of one in the lab's boards/.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Gets calibration.toml, report.json and report.html.")
    ],
    timestamps: Annotated[
        Path | None,
        typer.Option("--timestamps", metavar="FILE", help="CSV cam_id,frame_time[,frame] in s, free-running cameras."),
    ] = None,
    intrinsics: Annotated[
        Path | None,
        typer.Option(
            "--intrinsics", metavar="FILE", help="Lenses: Anipose, Caliscope or OpenCV; else from the videos."
        ),
    ] = None,
    engine: Annotated[EngineName, typer.Option("--engine")] = EngineName.LABSYS,
    lens_model: Annotated[
        LensName, typer.Option("--lens-model", help="Of lenses that are solved from the videos.")
    ] = LensName.PINHOLE,
    known_length: Annotated[
        list[Path] | None,
        typer.Option("--known-length", metavar="FILE …", help="YAML: name, length_m, ends_px; checks the scale."),
    ] = None,
    world_axes: Annotated[
        str | None,
        typer.Option(
            "--world-axes",
            metavar="forward=+x,up=-y",
            help="How the first camera (x right, y down, z ahead) stands in the room.",
        ),
    ] = None,
    belt_board: Annotated[
        str | None,
        typer.Option(
            "--belt-board",
            metavar="forward:FROM-TO",
            help="The board lies on the belt in these frames, its columns run forward, backward, left or right.",
        ),
    ] = None,
    override: Annotated[
        str | None, typer.Option("--override", metavar="REASON", help="Go on after a refusal; stays on record.")
    ] = None,
    save: Annotated[
        str | None, typer.Option("--save", metavar="LABEL", help="Keep it in the lab's calibrations/ too.")
    ] = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Calibrate cameras from videos of a waved board; a grade worse than C is refused.

    \b
    Example: labsys calibrate --videos cam0=cam0.mp4 cam1=cam1.mp4 --board charuco_4x5 --out calibration1
    Example: labsys calibrate --videos cam0=cam0.mp4 cam1=cam1.mp4 --board board.yaml --intrinsics camera_array.toml
             --belt-board forward:0-30 --out calibration1
    """
    from calibration.calibrate import Engine
    from labsys.core.cameras import LensModel
    from pipelines.calibration_files import store_calibration
    from pipelines.calibration_take import CalibrationRequest, calibrate_take

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab() if save else None
    request = CalibrationRequest(
        videos={c: Path(p).expanduser() for c, p in parse_pairs(videos, "--videos", "cam0=PATH cam1=PATH").items()},
        board=_load_board(terminal, board),
        timestamps=timestamps,
        lenses=intrinsics,
        known_lengths=tuple(known_length or ()),
        engine=Engine(engine.value),
        lens_model=LensModel(lens_model.value),
        source=_lab_source(world_axes, belt_board),
        override_reason=_reason(override),
    )
    with terminal.progress() as progress:
        files = calibrate_take(request, out, progress=progress)
    document = dict(files.document)
    for remark in document.get("remarks") or ():
        terminal.say(str(remark))
    if files.refusal is not None:
        if as_json:
            terminal.give(document, "")
        terminal.say(f"the report is in {out}")
        raise files.refusal
    if folder is not None and save is not None:
        document["saved"] = store_calibration(folder, files, label=save)
    terminal.give(document, _text(document))


def _text(document: Mapping[str, Any]) -> str:
    from api.commands.text_table import format_number, format_table

    rows = [
        (name, c["boards"], format_number(c["rms_px"], 2), format_number(c["coverage_pct"], 0),
         format_number(c["time_offset_ms"], 1))
        for name, c in document["cameras"].items()
    ]  # fmt: skip
    headers = ("camera", "boards", "rms px", "covered %", "lag ms")
    worst = document["criteria"][0]["text"]
    lines = [
        f"grade {document['grade']} (decided by: {worst})",
        f"board fit {format_number(document['board_fit_rms_mm'], 2)} mm, edges "
        f"{format_number(document['edge_mean_mm'], 2)} of {format_number(document['edge_true_mm'], 2)} mm, "
        f"{format_number(document['rms_px'], 2)} px, held out {format_number(document['heldout_rms_px'], 2)} px",
        format_table(headers, rows, right=headers[1:]),
        *([f"overridden: {document['override_reason']}"] if document["override_reason"] else []),
        *([f"kept as {document['saved']}"] if "saved" in document else []),
        str(document["calibration"]),
    ]
    return "\n".join(lines)


def _load_board(terminal: Terminal, text: str) -> Board:
    """A board file by its path, else by its name in the lab's boards/."""
    from labsys.capture.board_file import load_board_config

    path = Path(text).expanduser()
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1 or path.is_file():
        return load_board_config(path)
    boards = terminal.open_lab().root / "boards"
    names = sorted(p.stem for p in boards.glob("*.yaml"))
    if text not in names:
        raise UnknownNameError("board", text, valid=names, where=str(boards))
    return load_board_config(boards / f"{text}.yaml")


def _paper(text: str | None) -> tuple[float, float] | None:
    """Width and height in m."""
    from calibration.board_print import PAPER_M

    if text is None:
        return None
    if text.lower() in PAPER_M:
        return PAPER_M[text.lower()]
    size = re.fullmatch(r"(\d+(?:\.\d+)?)\s*[x×]\s*(\d+(?:\.\d+)?)(?:\s*mm)?", text.lower())
    if size is None:
        raise UnknownNameError("paper", text, valid=(*PAPER_M, "WxH in mm"), where="--paper")
    return float(size[1]) / 1000, float(size[2]) / 1000


def _lab_source(world_axes: str | None, belt_board: str | None) -> LabSource | None:
    from calibration.align import WorldAxes
    from calibration.lab_frame import BoardDirection
    from pipelines.calibration_placement import BeltBoard

    if world_axes is not None and belt_board is not None:
        raise InputError("both --world-axes and --belt-board were given", remedy="Give one of them")
    if world_axes is not None:
        return WorldAxes.parse(world_axes)
    if belt_board is None:
        return None
    found = re.fullmatch(r"(\w+):(\d+)-(\d+)", belt_board.strip().lower())
    if found is None:
        raise InputError(f"'{belt_board}' is not understood", where="--belt-board", remedy="Write forward:0-30")
    directions = [d.value for d in BoardDirection]
    if found[1] not in directions:
        raise UnknownNameError("direction", found[1], valid=directions, where="--belt-board")
    return BeltBoard(BoardDirection(found[1]), int(found[2]), int(found[3]))


def _reason(text: str | None) -> str:
    if text is not None and not text.strip():
        raise InputError("an override needs a reason", where="--override", remedy="Say why, it stays on record")
    return (text or "").strip()
