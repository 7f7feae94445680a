"""`labsys model new` and `propose`: pictures to label, and labels carried from view to view."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal

if TYPE_CHECKING:
    from pipelines.modelling.new_project import LabellingPlan, NewCapture
    from pipelines.modelling.propose import ProposedSet

_MOST_DOUBTS = 12
_MANY_DOUBTS = 0.25
# A foot moves 1 cm in this time.
_APART_S = 0.002


def register(app: typer.Typer) -> None:
    """Add the commands to `labsys model`."""
    app.command("new")(new)
    app.command("propose")(propose)


def new(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New or empty folder.")],
    trials: Annotated[
        list[str],
        typer.Argument(metavar="SUBJECT/SESSION/TRIAL…", help="Trials with videos, best of several subjects."),
    ],
    frames: Annotated[
        int, typer.Option("--frames", min=1, help="Moments in all; each gives a picture in every camera.")
    ] = 60,
    landmarks: Annotated[
        str, typer.Option("--landmarks", metavar="SET|FILE", help="A landmark set, or a file with a name a line.")
    ] = "labsys-run-37",
    scorer: Annotated[str, typer.Option("--scorer", metavar="NAME", help="Who labels; no personal data.")] = "labeller",
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a DeepLabCut project with pictures to label: the same moments through every camera of each trial.

    Trials that were processed give moments in all phases of the stride, others pictures that differ.

    \b
    Example: labsys model new labels S01/2026-01-10/run1 S02/2026-01-12/run1 --frames 60
    """
    from api.commands.changes import note_export, refuse_erased
    from labsys.core.clock import utc_now
    from labsys.core.session import TrialName
    from labsys.storage.trials import require_trial
    from pipelines.modelling.new_project import make_project, read_plan

    terminal = Terminal(lab, as_json, quiet)
    plan = read_plan(landmarks, moments=frames, scorer=scorer, seed=seed)
    names, opened = [TrialName.parse(trial) for trial in trials], terminal.open_lab()
    for name in names:
        refuse_erased(opened, name)
        require_trial(opened, name)
    for name in names:
        note_export(opened, f"{name} as pictures to label")
    with terminal.progress() as progress:
        made = make_project(opened, folder, names, plan, date=utc_now()[:10], progress=progress)
    _say_next(terminal, folder, plan, made)
    terminal.give(
        {"project": str(folder), "landmarks": list(plan.landmarks), "captures": [asdict(c) for c in made]},
        "\n".join(_describe(capture) for capture in made),
    )


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
    if proposed.doubts:
        many = len(proposed.doubts) > _MANY_DOUBTS * proposed.shared
        why = "; with so many, see whether calibration, sync or the choice of the views is to blame" if many else ""
        lines.append(f"to look at: {len(proposed.doubts)} of {proposed.shared} points{why}")
    lines += [f"look at {d.capture} {d.picture} {d.body_part}: {d.why}" for d in proposed.doubts[:_MOST_DOUBTS]]
    if len(proposed.doubts) > _MOST_DOUBTS:
        lines.append(f"and {len(proposed.doubts) - _MOST_DOUBTS} more (--json lists them)")
    return "\n".join(lines)


def _describe(capture: NewCapture) -> str:
    count = capture.moments * capture.cameras
    said = f"{capture.trial}: {capture.moments} moments through {capture.cameras} cameras, {count} pictures"
    if capture.left_out:
        said += f"; without {', '.join(capture.left_out)}, which the calibration lacks"
    if capture.apart_s > _APART_S:
        said += (
            f"; frames of one moment are up to {1000.0 * capture.apart_s:.0f} ms apart, so that fast points will not "
            "meet well"
        )
    return said


def _say_next(terminal: Terminal, folder: Path, plan: LabellingPlan, made: tuple[NewCapture, ...]) -> None:
    from labsys.core.landmark_contract import check_landmarks

    contract = check_landmarks(plan.landmarks)
    tier = "no measure at all" if contract.tier is None else f"tier {contract.tier.name}"
    terminal.say(f"{len(plan.landmarks)} landmarks, which give {tier}; {len(contract.missing)} metrics will be missing")
    if contract.unknown:
        terminal.say(f"not used, as labsys does not know them: {', '.join(contract.unknown)}")
    views = dict.fromkeys(" and ".join(c.first_views) for c in made if c.first_views)
    where = f", first in {'; '.join(views)}" if views else ""
    terminal.say(f"next: label in DeepLabCut's tool (napari with napari-deeplabcut){where}; mark only what you see")
    if views:
        terminal.say(f"then: labsys model propose {folder}")
    if any(not c.first_views for c in made):
        alone = ", ".join(c.trial for c in made if not c.first_views)
        terminal.say(f"label every view of {alone}: without two calibrated cameras nothing can be proposed")
    terminal.say(f"at last: labsys model train {folder} --out trained")
