"""What the modules of all nouns share: finding JSON files by readable code, and stamping what is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from labsys.core.clock import utc_now
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import Episode, Session, Subject, Trial
from labsys.storage.atomic import is_there
from labsys.storage.documents import save_document
from labsys.storage.identity import new_uuid

Noun = TypeVar("Noun", Subject, Episode, Session, Trial)


def stamp_and_save(path: Path, noun: Noun) -> Noun:
    """Write a noun with `updated_at` set to now and a uuid if it had none; returns what was written."""
    stamped = replace(noun, uuid=noun.uuid or new_uuid(), updated_at=utc_now())
    save_document(path, stamped)
    return stamped


def list_folder(folder: Path) -> tuple[Path, ...]:
    """Visible entries by name; none where the folder does not exist (InputError where it cannot be read)."""
    try:
        return tuple(sorted(p for p in folder.iterdir() if not p.name.startswith(".")))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(folder)) from error


def list_codes(folder: Path, file_name: str) -> tuple[str, ...]:
    """Names of the folders below that hold `file_name`."""
    return tuple(p.name for p in list_folder(folder) if is_there(p / file_name))


def require_known(kind: str, code: str, codes: Iterable[str], *, where: str) -> None:
    """UnknownNameError, naming the nearest, unless the code is among those that exist."""
    known = tuple(codes)
    if code not in known:
        raise UnknownNameError(kind, code, valid=known, where=where)


def check_new_code(kind: str, code: str, codes: Iterable[str]) -> None:
    """Refuse a code that differs from an existing one in case only: on some file systems they are one folder."""
    for existing in codes:
        if existing != code and existing.casefold() == code.casefold():
            raise InputError(
                f"{kind} '{code}' differs from '{existing}' in case only", remedy=f"Use '{existing}' or another code"
            )


def check_place(found: str, expected: str, path: Path) -> None:
    """Refuse a file whose content names another noun than its place does."""
    if found != expected:
        raise InputError(
            f"belongs to '{found}', not to '{expected}'", where=str(path), remedy="It was moved by hand; move it back"
        )


def load_all(codes: Iterable[str], load: Callable[[str], Noun]) -> tuple[Noun, ...]:
    """Load the noun of every code."""
    return tuple(load(code) for code in codes)
