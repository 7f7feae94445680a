"""`labsys quick`: a first look at a take while the runner is still there."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import InputError
from labsys.core.session import TrialName

_MOST_S = 60.0


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("quick")(show_quick)


def show_quick(
    trial: Annotated[str, typer.Argument(metavar="SUBJECT/SESSION/TRIAL")],
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="How much of the middle to look at.")] = 10.0,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="Finds 2D landmarks in the videos; see 'labsys model'.")
    ] = "",
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Look at a few seconds of a take: landmarks seen, strides, goals beside the last visit. Nothing is stored.

    \b
    Example: labsys quick S01/2026-11-22/run1 --model runner37
    """
    from api.views.first_look import quick_document
    from pipelines.config import load_config
    from pipelines.quick import look_quickly

    terminal, name = Terminal(lab, as_json, quiet), TrialName.parse(trial)
    if not 0 < seconds <= _MOST_S:
        raise InputError(f"--seconds {seconds:g} is not between 0 and {_MOST_S:g}", remedy="Use 10")
    folder = terminal.open_lab()
    config = load_config(sets=[f"pose2d.model={json.dumps(model)}"] if model else [])
    with terminal.progress() as progress:
        found = look_quickly(folder, name, config=config, seconds=seconds, progress=progress)
    document = quick_document(folder, found)
    terminal.give(document, quick_text(document))


def quick_text(document: dict[str, Any]) -> str:
    """A first look as people read it."""
    strides = document["n_strides"]
    lines = [
        f"QUICK, not stored: {document['trial']} from {document['from_s']:.1f} to {document['until_s']:.1f} s, "
        f"in {document['took_s']:.0f} s; landmarks reach {document['tier'] or 'no tier'}",
        f"strides: {strides['left']} left, {strides['right']} right",
    ]
    if document["landmarks_not_seen"]:
        lines.append(f"not seen: {', '.join(document['landmarks_not_seen'])}")
    lines += [f"{key}: {text}" for key, text in document["notes"].items()]
    lines += [_goal_line(goal) for goal in document["goals"]] or ["no goals are declared for this subject"]
    return "\n".join(lines)


def _goal_line(goal: dict[str, Any]) -> str:
    from api.commands.text_table import format_number
    from labsys.core.digits import digits_of

    if goal["mean"] is None:
        return f"{goal['metric']} {goal['side']}: not measured ({goal['reason']})"
    digits, last = digits_of(goal["unit"]), goal["last"]
    known = last is not None and last["mean"] is not None
    before = f", {format_number(last['mean'], digits)} in {last['trial']}" if known else ""
    return f"{goal['metric']} {goal['side']}: {format_number(goal['mean'], digits)} {goal['unit']}{before}"
