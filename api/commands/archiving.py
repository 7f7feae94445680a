"""`labsys archive`: videos of old takes on another disk, compared before they leave the lab, and brought back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import GateRefusedError, LabsysError
from labsys.core.session import TrialName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labsys.storage.lab import Lab

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Videos of old takes on another disk: take out, fetch, check."
)

Trials = Annotated[list[str] | None, typer.Argument(metavar="[SUBJECT/SESSION/TRIAL]...")]


@app.command("takes")
def archive_takes(
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Folder on another disk.")],
    trials: Trials = None,
    older_than: Annotated[
        int, typer.Option("--older-than", min=0, metavar="DAYS", help="Where no trial is named: recorded longer ago.")
    ] = 30,
    same_disk: Annotated[
        bool, typer.Option("--same-disk", help="Allow a folder on the disk of the lab, which gains no room by it.")
    ] = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Move videos to another disk: copied, read back, compared with their hash, and only then removed from the lab.

    Without names: of every trial that is old enough and was processed, or is excluded. Cut short, it is asked again.

    \b
    Example: labsys archive takes --to /mnt/archive
    """
    from labsys.storage.archived_take import count_bytes_in_lab
    from labsys.storage.take_archive import archive_take

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    names = [TrialName.parse(t) for t in trials] if trials else _old_trials(folder, older_than)
    done, refused = [], []
    with terminal.progress() as progress:
        for name in names:
            try:
                moved = count_bytes_in_lab(folder, name)  # others of its videos may have gone before
                there = archive_take(folder, name, to, same_disk=same_disk, progress=progress)
            except LabsysError as error:
                refused.append({"trial": str(name), "why": str(error)})
                continue
            done.append({"trial": str(name), "folder": there.folder, "size_bytes": moved})
    _settle(terminal, folder, [d["trial"] for d in done if d["size_bytes"]], "take.archive")
    freed = sum(int(str(d["size_bytes"])) for d in done)
    lines = [f"{d['trial']}: {int(str(d['size_bytes'])) / 1e9:.2f} GB" for d in done]
    lines += [f"{r['trial']}: {r['why']}" for r in refused]
    text = "\n".join(
        [*lines, f"{sum(d['size_bytes'] != 0 for d in done)} takes, {freed / 1e9:.2f} GB taken out of the lab"]
    )
    terminal.give({"archived": done, "refused": refused, "size_bytes": freed}, text)
    if refused:
        raise typer.Exit(GateRefusedError.exit_code)


@app.command("fetch")
def fetch_takes(
    trials: Annotated[list[str], typer.Argument(metavar="SUBJECT/SESSION/TRIAL...")],
    place: Annotated[
        Path | None, typer.Option("--from", metavar="FOLDER", help="Where the archive is now, if mounted elsewhere.")
    ] = None,
    remove_copies: Annotated[
        bool,
        typer.Option("--remove-copies", help="Remove the copies once all are here; no other copy of the lab has any."),
    ] = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring videos back into the lab, compared with their hash; the copies are kept unless asked to be removed.

    Keep them where the lab was copied or restored from a backup: the other lab's videos are the same copies.

    \b
    Example: labsys archive fetch S01/2026-01-10/run1
    """
    from labsys.storage.take_archive import fetch_take

    terminal = Terminal(lab, as_json, quiet)
    folder, done = terminal.open_lab(), []
    try:
        with terminal.progress() as progress:
            for text in trials:
                fetch_take(folder, TrialName.parse(text), place=place, removing=remove_copies, progress=progress)
                done.append(text)
    finally:
        _settle(terminal, folder, done, "take.fetch")
    terminal.give({"fetched": done}, "\n".join(done))


@app.command("check")
def check_copies(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Read every archived video whole and compare it with its hash; exit code 3 where one is not what was recorded.

    \b
    Example: labsys archive check
    """
    from labsys.storage.archived_take import check_archived, find_archived

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    held = {name: there for name in _all_trials(folder) if (there := find_archived(folder, name)) is not None}
    found = []
    with terminal.progress() as progress:
        progress.stage("Checking the archive", sum(len(there.videos) for there in held.values()))
        for name, there in held.items():
            faults = check_archived(there, progress=progress)
            found.append({"trial": str(name), "folder": there.folder, "faults": list(faults)})
    lines = [f"{f['trial']}: {'; '.join(f['faults']) or 'as recorded'}" for f in found]
    terminal.give({"takes": found}, "\n".join(lines) or "nothing is archived")
    if any(f["faults"] for f in found):
        raise typer.Exit(GateRefusedError.exit_code)


def _all_trials(lab: Lab) -> list[TrialName]:
    from labsys.storage.sessions import session_codes
    from labsys.storage.subjects import list_subjects
    from labsys.storage.trials import trial_codes

    visits = [(s.code, code) for s in list_subjects(lab) for code in session_codes(lab, s.code)]
    return [TrialName(*visit, trial) for visit in visits for trial in trial_codes(lab, *visit)]


def _old_trials(lab: Lab, days: int) -> list[TrialName]:
    """Trials with videos in the lab that were recorded before, and whose videos nobody waits for."""
    from labsys.storage.archived_take import count_bytes_in_lab
    from labsys.storage.runs import current_run
    from labsys.storage.takes import has_take
    from labsys.storage.trials import load_trial

    before, found = datetime.now(UTC) - timedelta(days=days), []
    for name in _all_trials(lab):
        if not has_take(lab, name) or not count_bytes_in_lab(lab, name):
            continue
        trial = load_trial(lab, name)
        is_old = datetime.fromisoformat(trial.recorded_at) < before
        if is_old and (trial.excluded or current_run(lab, name) is not None):
            found.append(name)
    return found


def _settle(terminal: Terminal, lab: Lab, trials: Sequence[object], action: str) -> None:
    """The audit and the index learn of it."""
    from api.commands.changes import note_in_audit, update_index

    for trial in trials:
        note_in_audit(lab, action, str(trial))
    for subject in sorted({TrialName.parse(str(trial)).subject for trial in trials}):
        update_index(terminal, lab, subject)
