"""Which pictures a model was trained on, by their content: to be judged on one of them would flatter it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from labsys.storage.atomic import hash_file, is_there, read_text, write_text_atomic
from labsys.storage.exchange.dlc_project import DlcProject, read_labels

SEEN_FILE = "pictures.txt"
# A line that stands for pictures that nobody noted: those of a model that the training started from.
OTHERS = "others"
_DIGITS = 16


def note_seen(project: DlcProject, groups: Sequence[str], path: Path, *, before: frozenset[str] = frozenset()) -> None:
    """Write a line for every labelled picture of some groups (InputError: one cannot be read).

    Args:
        before: what the model that the training starts from had seen.
    """
    digests = (picture_digest(project.pictures(group) / name) for group in groups for name in _labelled(project, group))
    write_text_atomic(path, "".join(f"{digest}\n" for digest in sorted({*digests, *before})))


def _labelled(project: DlcProject, group: str) -> Iterator[str]:
    """Pictures with any label: the others are nothing to learn from, and may be judged on where they are labelled."""
    labels = read_labels(project, group)
    marked = np.asarray(np.isfinite(labels.xy_px).any(axis=(1, 2)))
    yield from (name for name, is_marked in zip(labels.pictures, marked, strict=True) if is_marked)


def load_seen(folder: Path) -> frozenset[str] | None:
    """Digests of the pictures that a training or a pack has seen, OTHERS among them where some were not noted; None
    where nobody noted any."""
    path = folder / SEEN_FILE
    return frozenset(read_text(path).split()) if is_there(path) else None


def seen_before(folder: Path | None) -> frozenset[str]:
    """What a training starts with that begins with a pack, or with none."""
    if folder is None:
        return frozenset()
    found = load_seen(folder)
    return frozenset({OTHERS}) if found is None else found


def picture_digest(path: Path) -> str:
    """What tells a picture from others, whatever it is called (InputError: it cannot be read)."""
    return hash_file(path)[:_DIGITS]
