"""The files of a trial as rows: where they lie inside the lab, their size and their hash. Nothing is read or hashed here."""

from __future__ import annotations

from api.tables import FileRow, TrialRow
from labsys.core.errors import InputError
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from labsys.storage.takes import has_take, load_take


def take_files(lab: Lab, name: TrialName, trial: TrialRow) -> list[FileRow]:
    """Files of the trial's take, as take.json lists them."""
    if not has_take(lab, name):
        return []
    take = load_take(lab, name)
    held = [("video", f) for f in take.cameras.values()]
    others = [("landmarks2d", f) for f in take.landmarks2d.values()] + list(take.files.items())
    folder = f"subjects/{name}/take"
    return [file_row(lab, trial, f"{folder}/{f.path}", kind=k, sha256=f.sha256) for k, f in [*held, *others]]


def file_row(lab: Lab, trial: TrialRow, path: str, *, kind: str, sha256: str, run: str | None = None) -> FileRow:
    """Row of one file, by its path inside the lab (InputError where it is gone)."""
    try:
        size = (lab.root / path).stat().st_size
    except OSError as error:
        raise InputError("a file that the lab lists is gone", where=path, remedy="Restore it from a backup") from error
    return FileRow(path=path, trial_id=trial.id, run=run, kind=kind, size_bytes=size, sha256=sha256)
