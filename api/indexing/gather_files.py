"""The files of a trial as rows: where they lie inside the lab, size and hash. Nothing is hashed here."""

from __future__ import annotations

from typing import Any

from api.database.tables import TrialRow
from labsys.core.errors import InputError
from labsys.core.session import TrialName
from labsys.storage.archived_take import find_archived
from labsys.storage.atomic import is_there
from labsys.storage.erasures import find_erasure
from labsys.storage.lab import Lab
from labsys.storage.takes import has_take, load_take


def take_files(lab: Lab, name: TrialName, trial: TrialRow) -> list[dict[str, Any]]:
    """Files of the trial's take, as take.json lists them."""
    if not has_take(lab, name):
        return []
    take = load_take(lab, name)
    folder = f"subjects/{name}/take"
    # Videos in the archive are no files of the lab, until they are fetched; those of an erased subject go in time.
    may_be_away = find_archived(lab, name) is not None or find_erasure(lab, name.subject) is not None
    here = [v for v in take.cameras.values() if not may_be_away or is_there(lab.root / folder / v.path)]
    held = [("video", v.path, v.sha256) for v in here]
    held += [("landmarks2d", f.path, f.sha256) for f in take.landmarks2d.values()]
    held += [(role, f.path, f.sha256) for role, f in take.files.items()]
    return [file_row(lab, trial, f"{folder}/{path}", kind=kind, sha256=sha256) for kind, path, sha256 in held]


def file_row(lab: Lab, trial: TrialRow, path: str, *, kind: str, sha256: str, run: str | None = None) -> dict[str, Any]:
    """Row of one file, by its path inside the lab (InputError where it is gone)."""
    try:
        size = (lab.root / path).stat().st_size
    except OSError as error:
        raise InputError("a file that the lab lists is gone", where=path, remedy="Restore it from a backup") from error
    return {"path": path, "trial_id": trial.id, "run": run, "kind": kind, "size_bytes": size, "sha256": sha256}
