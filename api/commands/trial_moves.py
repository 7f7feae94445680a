"""What becomes of a trial: `labsys trial exclude`, `include`, `move`, `delete` and `restore`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from typing import Annotated

import typer

from api import kept_days
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from api.commands.trials import TrialArgument, save_stated, trial_document
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import TrialName


def register(app: typer.Typer) -> None:
    """Add the commands to those of trials."""
    app.command("exclude")(exclude_trial)
    app.command("include")(include_trial)
    app.command("move")(move_trial_to)
    app.command("delete")(delete)
    app.command("restore")(restore)


def exclude_trial(
    name: TrialArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why it does not count; people will read it.")],
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Keep a trial visible, and never count it.

    \b
    Example: labsys trial exclude S01/2026-11-22/run1 --reason "shoe came off"
    """
    from labsys.storage.trials import load_trial

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    if not reason.strip():
        raise InputError("no reason was given", where="--reason", remedy="Say why the trial does not count")
    trial = load_trial(folder, TrialName.parse(name))
    excluded = replace(trial, excluded=True, exclusion_reason=reason.strip())
    save_stated(terminal, folder, excluded, "trial.exclude", f"{trial.name}: {reason.strip()}")


def include_trial(
    name: TrialArgument, lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Count an excluded trial again.

    \b
    Example: labsys trial include S01/2026-11-22/run1
    """
    from labsys.storage.trials import load_trial

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    trial = load_trial(folder, TrialName.parse(name))
    save_stated(terminal, folder, replace(trial, excluded=False, exclusion_reason=""), "trial.include", str(trial.name))


def move_trial_to(
    name: TrialArgument,
    target: Annotated[str, typer.Argument(metavar="SUBJECT/SESSION/TRIAL", help="Its new name.")],
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Move a trial with its files to another name, visit or subject; its UUID and its runs stay.

    \b
    Example: labsys trial move S01/2026-11-22/run1 S02/2026-11-22/run1
    """
    from api.commands.changes import auditing, settle_session
    from api.commands.users import writing
    from api.jobs.queue import follow_move
    from api.queries import find_trial
    from labsys.storage.trial_bin import move_trial_away

    terminal = Terminal(lab, as_json, quiet)
    folder, old, new = terminal.open_lab(), TrialName.parse(name), TrialName.parse(target)
    with auditing(folder, "trial.move", f"{old} to {new}"):
        moved = move_trial_away(folder, old, new)
    # In this order: a subject whose trial the index still holds as another's would be refused it as a copy.
    settle_session(terminal, folder, old.subject, old.session)
    settle_session(terminal, folder, moved.name.subject, moved.name.session)
    with suppress(UnknownNameError), writing(folder) as session:  # what cannot be indexed has been told
        follow_move(session, str(old), str(moved.name), find_trial(session, moved.name).session.subject_id)
    terminal.give(trial_document(moved), str(moved.name))


def delete(
    name: TrialArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why it is deleted; people will read it.")],
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Move a trial with its files into the lab's bin; 'labsys trial restore' brings it back, for a month.

    \b
    Example: labsys trial delete S01/2026-11-22/run1 --reason "consent withdrawn"
    """
    from datetime import datetime, timedelta

    from api.commands.changes import auditing, settle_session
    from labsys.storage.trial_bin import delete_trial

    terminal = Terminal(lab, as_json, quiet)
    folder, gone = terminal.open_lab(), TrialName.parse(name)
    with auditing(folder, "trial.delete", f"{gone}: {reason.strip()}"):
        entry = delete_trial(folder, gone, reason=reason)
    settle_session(terminal, folder, entry.name.subject, entry.name.session)
    day = (datetime.fromisoformat(entry.deleted_at) + timedelta(days=kept_days.BINNED)).date()
    terminal.say(f"'labsys trial restore {entry.name}' brings it back; a running service destroys it after {day}")
    terminal.give(asdict(entry) | {"name": str(entry.name)}, str(entry.name))


def restore(
    name: TrialArgument, lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Bring a deleted trial back from the lab's bin.

    \b
    Example: labsys trial restore S01/2026-11-22/run1
    """
    from api.commands.changes import auditing, settle_session
    from labsys.storage.trial_bin import restore_trial

    terminal = Terminal(lab, as_json, quiet)
    folder, back = terminal.open_lab(), TrialName.parse(name)
    with auditing(folder, "trial.restore", str(back)):
        entry = restore_trial(folder, back)
    settle_session(terminal, folder, entry.name.subject, entry.name.session)
    terminal.give(asdict(entry) | {"name": str(entry.name)}, str(entry.name))
