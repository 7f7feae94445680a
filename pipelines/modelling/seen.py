"""Which pictures a model was trained on, by their content: to be judged on one of them would flatter it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labsys.storage.atomic import hash_file, is_there, read_text, write_text_atomic
from labsys.storage.exchange.dlc_project import DlcProject, read_labels

SEEN_FILE = "pictures.txt"
_DIGITS = 16


def note_seen(project: DlcProject, groups: Sequence[str], path: Path) -> None:
    """Write a line for every labelled picture of some groups (InputError: one cannot be read)."""
    digests = (
        picture_digest(project.pictures(group) / name)
        for group in groups
        for name in read_labels(project, group).pictures
    )
    write_text_atomic(path, "".join(f"{digest}\n" for digest in sorted(set(digests))))


def load_seen(folder: Path) -> frozenset[str] | None:
    """Digests of the pictures that a training or a pack has seen; None where nobody noted them."""
    path = folder / SEEN_FILE
    return frozenset(read_text(path).split()) if is_there(path) else None


def picture_digest(path: Path) -> str:
    """What tells a picture from others, whatever it is called (InputError: it cannot be read)."""
    return hash_file(path)[:_DIGITS]
