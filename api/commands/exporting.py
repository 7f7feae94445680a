"""`labsys export`: a trial's results as files that other programs read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal


class ExportFormat(StrEnum):
    """What can be written."""

    TRC = "trc"
    MOT = "mot"
    CSV = "csv"
    PARQUET = "parquet"
    ANIPOSE = "anipose"
    VIDEOS = "videos"


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("export")(export)


def export(
    trial: Annotated[str, typer.Argument(metavar="SUBJECT/SESSION/TRIAL")],
    format: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="trc: 3D landmarks; mot: OpenSim's coordinates; csv and parquet: everything, as "
            "a folder; anipose: a project folder.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="PATH", help="New file, or new folder.")],
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Another run than the current one.")] = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a trial's 3D landmarks, angles, events and metrics for other programs.

    \b
    Example: labsys export S01/2026-11-22/run1 --format trc --out run1.trc
    """
    from labsys.core.session import TrialName
    from pipelines.export_anipose import export_anipose
    from pipelines.export_constant_rate import export_constant_rate
    from pipelines.export_trial import export_csv, export_mot, export_parquet, export_trc

    writers = {
        ExportFormat.TRC: export_trc,
        ExportFormat.MOT: export_mot,
        ExportFormat.CSV: export_csv,
        ExportFormat.PARQUET: export_parquet,
        ExportFormat.ANIPOSE: export_anipose,
        ExportFormat.VIDEOS: export_constant_rate,
    }
    terminal = Terminal(lab, as_json, quiet)
    written = writers[format](terminal.open_lab(), TrialName.parse(trial), out, run=run)
    terminal.give(
        {"trial": trial, "format": format.value, "files": [str(p) for p in written]}, "\n".join(str(p) for p in written)
    )
