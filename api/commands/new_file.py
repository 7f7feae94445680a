"""A file that a command is asked to write: checked before the work begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labsys.core.errors import InputError

if TYPE_CHECKING:
    from labsys.storage.lab import Lab


def check_place(lab: Lab, path: Path, *, option: str, endings: Sequence[str]) -> None:
    """A name that ends so, in a folder that is there, and not among what is written once (InputError)."""
    if path.suffix.lower() not in endings:
        wanted = " or ".join(endings)
        raise InputError(
            f"'{path.name}' does not end in {wanted}", where=option, remedy=f"Write a name that ends in {wanted}"
        )
    folder = path.resolve().parent
    if not folder.is_dir():
        raise InputError("the folder does not exist", where=str(folder), remedy="Make it, or name another")
    if folder.is_relative_to((lab.root / "subjects").resolve()):
        raise InputError(
            "takes and runs are written once; nothing else goes among them",
            where=str(path),
            remedy="Name a file outside the lab's subjects",
        )
