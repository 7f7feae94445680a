"""`labsys calibration export`: a calibration as a file of another program."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Calibration files.")


class FormatName(StrEnum):
    """What can be written."""

    ANIPOSE = "anipose"
    CALISCOPE = "caliscope"
    OPENCV = "opencv"
    QUALISYS = "qualisys"


@app.command("export")
def export_calibration(
    calibration: Annotated[
        str, typer.Argument(metavar="CALIBRATION", help="Calibration file, or name of one in the lab's calibrations/.")
    ],
    format: Annotated[FormatName, typer.Option("--format", help="Whose file is written.")],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="New file: .toml; .yml, .xml or .json for opencv; .txt, qualisys."),
    ],
    world_axes: Annotated[
        str | None,
        typer.Option(
            "--world-axes", metavar="forward=+x,up=+z", help="Place it in LAB first, by what the file's axes mean."
        ),
    ] = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a calibration for another program, and say what that program's file cannot hold.

    \b
    Example: labsys calibration export 2026-11-22_rig1_001 --format qualisys --out rig1.qca.txt
    Example: labsys calibration export calibration.toml --format opencv --out cameras.yml
    """
    from calibration.align import WorldAxes
    from calibration.formats import (
        CalibrationFormat,
        format_calibration,
        not_carried,
        read_as_written,
        read_calibration,
    )
    from labsys.storage.atomic import write_text_atomic

    terminal = Terminal(lab, as_json, quiet)
    source = _find(terminal, calibration)
    if out.exists():
        raise InputError("it exists already", where=str(out), remedy="Give another --out, or remove it first")
    if world_axes is None:
        found, in_lab = read_as_written(source)
    else:
        found, in_lab = read_calibration(source, axes=WorldAxes.parse(world_axes)), True
    wanted = CalibrationFormat(format.value)
    text = format_calibration(found, wanted, name=out.name, in_lab=in_lab)
    write_text_atomic(out, text)
    lost = not_carried(found, wanted, in_lab=in_lab)
    for sentence in lost:
        terminal.say(f"{out.name} does not say: {sentence}")
    document = {"file": str(out), "format": format.value, "cameras": list(found.rig.names), "not_carried": list(lost)}
    terminal.give(document, str(out))


def _find(terminal: Terminal, text: str) -> Path:
    """A calibration file by its path, else by its name in the lab's calibrations/."""
    from labsys.storage.calibrations import calibration_folder

    path = Path(text).expanduser()
    if path.suffix or len(path.parts) > 1 or path.is_file():
        return path
    return calibration_folder(terminal.open_lab(), text) / "calibration.toml"
