"""`labsys recalibrate`: solve a camera that moved anew from a trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.session import TrialName

if TYPE_CHECKING:
    from pipelines.recalibrate import Recalibration


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("recalibrate")(recalibrate)


def recalibrate(
    trial: Annotated[str, typer.Argument(metavar="SUBJECT/SESSION/TRIAL")],
    also: Annotated[
        list[str] | None,
        typer.Option("--also", metavar="TRIAL", help="Another trial recorded after the camera moved; repeatable."),
    ] = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Solve the pose of a camera that moved anew, from the body's landmarks in a trial, and process the trial with it.

    The lab keeps both calibrations. Results made with the repaired one are not for comparison until
    `labsys calibrate --check` confirms it.

    \b
    Example: labsys recalibrate S01/2026-11-22/run1
    Example: labsys recalibrate S01/2026-11-22/run1 --also S01/2026-11-22/run2
    """
    from api.commands.changes import settle_session
    from pipelines.recalibrate import recalibrate_trial

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    others = [TrialName.parse(name) for name in also or ()]
    with terminal.progress() as progress:
        done = recalibrate_trial(folder, TrialName.parse(trial), also=others, progress=progress)
    for subject, session in sorted({(t.subject, t.session) for t in done.trials}):
        settle_session(terminal, folder, subject, session)
    document = {
        "calibration": done.calibration,
        "made_from": done.made_from,
        "repair": done.document,
        "trials": [str(t) for t in done.trials],
        "run": done.run,
    }
    terminal.give(document, _text(done))


def _text(done: Recalibration) -> str:
    from api.commands.text_table import format_number

    repair = done.document
    parts = {
        "turned": (repair["rotation_deg"], repair["rotation_sd_deg"], 2, "°"),
        "shifted": (repair["translation_mm"], repair["translation_sd_mm"], 1, " mm"),
    }
    moved = [f"{verb} by {v:.{n}f} ± {sd:.{n}f}{unit}" for verb, (v, sd, n, unit) in parts.items() if v > 0]
    name = done.trials[0]
    return "\n".join(
        [
            f"{repair['camera']} had {' and '.join(moved)}",
            f"its landmarks lay {format_number(repair['before_px'], 1)} px from where the other cameras place them, "
            f"now {format_number(repair['after_px'], 1)} px",
            f"kept as {done.calibration} (was {done.made_from}), used by {', '.join(str(t) for t in done.trials)}",
            f"{name} was processed again, run {done.run}; not for comparison until the board confirms the pose:",
            f"  labsys calibrate --check --calibration {done.calibration} --videos … --board …",
        ]
    )
