"""`labsys model propose`: labels carried from the views that have them into those that have none."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.terminal import JsonOption, QuietOption, Terminal

if TYPE_CHECKING:
    from pipelines.modelling.propose import ProposedSet

_MOST_DOUBTS = 12


def register(app: typer.Typer) -> None:
    """Add the commands to `labsys model`."""
    app.command("propose")(propose)


def propose(
    project: Annotated[Path, typer.Argument(metavar="PROJECT", help="Folder that labsys model new made.")],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Carry labels of two views or more through space into the views that have none; yours are never changed.

    Close the labelling tool first, and go through the proposals afterwards: drag what is off, delete what is hidden.

    \b
    Example: labsys model propose labels
    """
    from labsys.storage.exchange.dlc_project import read_dlc_project
    from pipelines.modelling.propose import propose_labels

    terminal = Terminal(None, as_json, quiet)
    found = read_dlc_project(project)
    with terminal.progress() as progress:
        proposed = propose_labels(found, progress=progress)
    terminal.say(
        "next: go through the proposals in DeepLabCut's labelling tool: drag points that are off, delete points that "
        "are hidden in a view (labsys cannot know which are); moved points count as yours, deleted ones stay away"
    )
    terminal.give({**asdict(proposed), "saved": round(proposed.saved, 4)}, _text(proposed))


def _text(proposed: ProposedSet) -> str:
    lines = [
        f"{proposed.proposed} labels proposed in {proposed.pictures} pictures, from {proposed.by_hand} made by hand: "
        f"{100.0 * proposed.saved:.0f} % of all labels of these moments"
    ]
    if proposed.kept_away:
        lines.append(f"not proposed again: {proposed.kept_away} that somebody deleted")
    if proposed.uncalibrated:
        lines.append(f"without calibration, so nothing was carried: {', '.join(proposed.uncalibrated)}")
    lines += [f"look at {d.capture} {d.picture} {d.body_part}: {d.why}" for d in proposed.doubts[:_MOST_DOUBTS]]
    if len(proposed.doubts) > _MOST_DOUBTS:
        lines.append(f"and {len(proposed.doubts) - _MOST_DOUBTS} more (--json lists them)")
    return "\n".join(lines)
