"""A copy of a lab folder, file by file with its SHA-256, and the way back.

What others make again is left out: `derived/` of trials, lock files, and what is being written under another name.
A copy is made in passes: each takes what is new or changed since the one before, and forgets what went.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from labsys.core.errors import InputError
from labsys.core.progress import Progress
from labsys.storage.atomic import make_folder

_CHUNK = 1 << 20
_UNFINISHED = ".partial"
# subjects/<subject>/<session>/<trial>/derived
_DERIVED_DEPTH = 5


@dataclass(frozen=True)
class CopiedFile:
    """One file of a copy. sha256: of the copied bytes; modified_ns: when the original was written, in unix time."""

    sha256: str
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True)
class FolderCopy:
    """What a copy holds: files by their path inside the folder ('/' between parts), and every folder."""

    files: Mapping[str, CopiedFile] = field(default_factory=dict)
    folders: tuple[str, ...] = ()


def copy_changes(
    source: Path, target: Path, known: FolderCopy, *, leave_out: Iterable[Path], progress: Progress
) -> FolderCopy:
    """Bring `target` up to date with `source`; what `known` holds with equal size and time is not copied again.

    Raises:
        InputError: a file cannot be read or written, or is a link, whose content would not come along.
    """
    paths, folders = _list_tree(source, frozenset(leave_out))
    for gone in known.files.keys() - set(paths):
        (target / gone).unlink(missing_ok=True)
    files: dict[str, CopiedFile] = {}
    progress.stage("Copying files", len(paths))
    for path in paths:
        copied = _copy_if_changed(source / path, target / path, known.files.get(path))
        if copied is not None:
            files[path] = copied
        progress.advance()
    for folder in folders:
        make_folder(target / folder)
    return FolderCopy(files, tuple(folders))


def is_settled(before: FolderCopy, after: FolderCopy) -> bool:
    """Whether a pass found the folder as the one before left it, so that nothing moved past it from place to place.

    In hidden folders, where recordings and runs are in the making, more may have come, and nothing may have gone.
    """
    held = {*before.files, *before.folders}
    appeared = {*after.files, *after.folders} - held
    if not held <= {*after.files, *after.folders} or not all(_is_in_the_making(path) for path in appeared):
        return False
    return all(after.files[path] == file for path, file in before.files.items() if not _is_in_the_making(path))


def _is_in_the_making(path: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


def copy_back(source: Path, target: Path, held: FolderCopy, *, progress: Progress) -> None:
    """Write what a copy holds into a new folder, each file compared with its hash on the way.

    Raises:
        InputError: a file of the copy is missing, differs, or would be written elsewhere; says which.
    """
    for folder in held.folders:
        make_folder(target / _inner(folder))
    progress.stage("Restoring files", len(held.files))
    for path, file in held.files.items():
        place = target / _inner(path)
        make_folder(place.parent)
        copied = copy_hashed(source / path, place)
        if (copied.sha256, copied.size_bytes) != (file.sha256, file.size_bytes):
            raise InputError(
                "differs from what was backed up", where=str(source / path), remedy="Restore from another backup"
            )
        os.utime(place, ns=(file.modified_ns, file.modified_ns))
        progress.advance()


def copy_hashed(source: Path, target: Path) -> CopiedFile:
    """Copy one file to the disk; its size and hash are those of the copied bytes (InputError: cannot be copied)."""
    digest, size = hashlib.sha256(), 0
    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            # Before reading: what is written meanwhile counts as a change.
            modified_ns = os.fstat(reader.fileno()).st_mtime_ns
            while chunk := reader.read(_CHUNK):
                digest.update(chunk)
                size += writer.write(chunk)
            writer.flush()
            os.fsync(writer.fileno())
    except OSError as error:
        raise InputError(
            f"cannot be copied: {error.strerror or error}", where=str(source), remedy="Check rights and free space"
        ) from error
    return CopiedFile(digest.hexdigest(), size, modified_ns)


def _copy_if_changed(source: Path, target: Path, known: CopiedFile | None) -> CopiedFile | None:
    """None where the file went after it was listed; the next pass finds where to."""
    try:
        stat = source.stat()
    except FileNotFoundError:
        target.unlink(missing_ok=True)
        return None
    if known is not None and (known.size_bytes, known.modified_ns) == (stat.st_size, stat.st_mtime_ns):
        return known
    make_folder(target.parent)
    try:
        return copy_hashed(source, target)
    except InputError:
        if source.exists():
            raise
        target.unlink(missing_ok=True)
        return None


def _list_tree(root: Path, leave_out: frozenset[Path]) -> tuple[list[str], list[str]]:
    """Paths of files and of folders below `root`, both in order."""
    files, folders = [], []
    for place, inner, names in os.walk(root, onerror=_refuse_unreadable):
        folder = Path(place)
        inner[:] = sorted(name for name in inner if _is_kept(root, folder / name))
        folders += [(folder / name).relative_to(root).as_posix() for name in inner]
        for path in (folder / name for name in sorted(names) if not name.startswith(".")):
            if path not in leave_out:
                _refuse_link(path)
                files.append(path.relative_to(root).as_posix())
    return files, folders


def _is_kept(root: Path, folder: Path) -> bool:
    _refuse_link(folder)
    parts = folder.relative_to(root).parts
    is_derived = len(parts) == _DERIVED_DEPTH and parts[0] == "subjects" and parts[-1] == "derived"
    return not (folder.name.startswith(".") and folder.name.endswith(_UNFINISHED)) and not is_derived


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise InputError(
            "is a link, and what it leads to would be missing in the backup",
            where=str(path),
            remedy="Put the files themselves in its place",
        )


def _refuse_unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(error.filename)) from error


def _inner(path: str) -> PurePosixPath:
    """A path that stays inside the folder (InputError: it would lead out)."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise InputError(f"the backup names a file outside the lab: '{path}'", remedy="It was not made by labsys")
    return parts
