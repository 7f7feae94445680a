"""A lab's own reference values: references/running.json."""

from __future__ import annotations

from pathlib import Path

from labsys.core.references import OwnReferences
from labsys.storage.atomic import is_there
from labsys.storage.documents import load_document, save_document
from labsys.storage.lab import Lab

REFERENCES_FILE = "references/running.json"


def references_path(lab: Lab) -> Path:
    """Where they are, whether or not they were learnt."""
    return lab.root / REFERENCES_FILE


def save_references(lab: Lab, references: OwnReferences) -> Path:
    """Write what was learnt, in place of what was learnt before (InputError where it cannot be written)."""
    path = references_path(lab)
    save_document(path, references)
    return path


def load_references(lab: Lab) -> OwnReferences | None:
    """What the lab learnt, or None (InputError: unreadable; NewerSchemaError)."""
    path = references_path(lab)
    return load_document(path, OwnReferences) if is_there(path) else None
