"""`labsys export`: a trial's results as files that other programs read."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import InputError


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
            "a folder; anipose: a project folder; videos: at one even rate.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="PATH", help="New file, or new folder.")],
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Another run than the current one.")] = None,
    blur_faces: Annotated[
        bool, typer.Option("--blur-faces", help="Of videos: blur the runner's face, and count where none was found.")
    ] = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a trial's 3D landmarks, angles, events and metrics for other programs.

    \b
    Example: labsys export S01/2026-11-22/run1 --format trc --out run1.trc
    Example: labsys export S01/2026-11-22/run1 --format videos --blur-faces --out videos
    """
    from api.commands.changes import note_export, refuse_erased
    from labsys.core.session import TrialName
    from labsys.storage.atomic import read_json
    from labsys.storage.films import Faces
    from labsys.storage.trials import require_trial
    from pipelines.export_anipose import export_anipose
    from pipelines.export_constant_rate import README, export_constant_rate
    from pipelines.export_trial import export_csv, export_mot, export_parquet, export_trc

    writers: dict[ExportFormat, Callable[..., tuple[Path, ...]]] = {
        ExportFormat.TRC: export_trc,
        ExportFormat.MOT: export_mot,
        ExportFormat.CSV: export_csv,
        ExportFormat.PARQUET: export_parquet,
        ExportFormat.ANIPOSE: export_anipose,
        ExportFormat.VIDEOS: partial(export_constant_rate, faces=Faces.BLURRED if blur_faces else Faces.SHOWN),
    }
    if blur_faces and format is not ExportFormat.VIDEOS:
        raise InputError("--blur-faces is of videos", where=f"--format {format}", remedy="Use --format videos")
    terminal = Terminal(lab, as_json, quiet)
    folder, name = terminal.open_lab(), TrialName.parse(trial)
    if format in (ExportFormat.ANIPOSE, ExportFormat.VIDEOS):
        refuse_erased(folder, name)
    require_trial(folder, name)
    note_export(folder, f"{name}{f', run {run}' if run else ''} as {'blurred ' if blur_faces else ''}{format.value}")
    written = writers[format](folder, name, out, run=run)
    told: dict[str, Any] = {"trial": trial, "format": format.value, "files": [str(p) for p in written]}
    if blur_faces:
        told["faces"] = read_json(out / README)["faces"]
        terminal.say(told["faces"]["read_this"])
    terminal.give(told, "\n".join(str(p) for p in written))
