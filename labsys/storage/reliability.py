"""What a lab learnt of its own error: reliability/<name>.json, written once; `current` names the one that counts."""

from __future__ import annotations

from pathlib import Path

from labsys.core.errors import InputError
from labsys.core.learnt_error import LearntErrors
from labsys.core.session import check_code
from labsys.storage.atomic import is_there, read_text, write_text_atomic
from labsys.storage.documents import load_document, save_document
from labsys.storage.lab import Lab
from labsys.storage.locks import hold_lock
from labsys.storage.nouns import list_folder, require_known

_CURRENT = "current"


def reliability_folder(lab: Lab) -> Path:
    """reliability/."""
    return lab.root / "reliability"


def list_reliability(lab: Lab) -> tuple[str, ...]:
    """Names of all that was learnt, oldest first."""
    return tuple(p.stem for p in list_folder(reliability_folder(lab)) if p.suffix == ".json")


def save_reliability(lab: Lab, learnt: LearntErrors) -> str:
    """Keep what was learnt and let it count from now on; returns its name, which is the day (InputError)."""
    day = learnt.made_at[:10]
    with hold_lock(reliability_folder(lab) / ".lock", what="the folder of reliability", wait=True):
        taken = list_reliability(lab)
        number = next(n for n in range(1, len(taken) + 2) if f"{day}-{n:03d}" not in taken)
        name = check_code("reliability", f"{day}-{number:03d}")
        save_document(reliability_folder(lab) / f"{name}.json", learnt)
        write_text_atomic(reliability_folder(lab) / _CURRENT, f"{name}\n")
    return name


def load_reliability(lab: Lab, name: str) -> LearntErrors:
    """Read what was learnt (UnknownNameError; InputError; NewerSchemaError)."""
    require_known("reliability", name, list_reliability(lab), where=str(reliability_folder(lab)))
    return load_document(reliability_folder(lab) / f"{name}.json", LearntErrors)


def current_reliability(lab: Lab) -> str | None:
    """Name of the one that counts, or None before the first (InputError where it names none that is there)."""
    path = reliability_folder(lab) / _CURRENT
    if not is_there(path):
        return None
    name = read_text(path).strip()
    if name not in list_reliability(lab):
        raise InputError(
            f"names '{name}', which is not there",
            where=str(path),
            remedy="Restore that file from a backup, or delete this one and run 'labsys reliability --save'",
        )
    return name
