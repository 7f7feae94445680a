"""releases/: one document per named release, written once, and the candidate for the next one.

The newest release is open: later trials processed alike join it, which is read from their runs. The next promotion
closes it, and its document holds the members that the closed one had at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from labsys.core.clock import utc_now
from labsys.core.errors import InputError
from labsys.core.release import Candidate, Member, Recipe, Release
from labsys.core.session import check_code
from labsys.storage.atomic import is_there
from labsys.storage.documents import load_document, save_document
from labsys.storage.lab import Lab
from labsys.storage.locks import hold_lock
from labsys.storage.nouns import check_new_code, check_place, list_folder, require_known

CANDIDATE = "candidate"
_ENDING = ".json"
# Of `current` and of the candidate: as names of releases they would say two things.
_RESERVED = frozenset({CANDIDATE, "current", "now"})


def releases_folder(lab: Lab) -> Path:
    """releases/."""
    return lab.root / "releases"


def release_path(lab: Lab, name: str) -> Path:
    """Where a release's document is, whether or not it is there (InputError: no name)."""
    return releases_folder(lab) / f"{check_code('release', name)}{_ENDING}"


def release_names(lab: Lab) -> tuple[str, ...]:
    """Names of all releases, by name; nothing is read."""
    names = (p.name.removesuffix(_ENDING) for p in list_folder(releases_folder(lab)) if p.name.endswith(_ENDING))
    return tuple(n for n in names if n not in _RESERVED)


def load_release(lab: Lab, name: str) -> Release:
    """Read a release (UnknownNameError names the nearest; InputError; NewerSchemaError)."""
    require_known("release", name, release_names(lab), where=str(releases_folder(lab)))
    path = release_path(lab, name)
    return _load(path, path.stat().st_mtime_ns)


def load_releases(lab: Lab) -> tuple[Release, ...]:
    """All releases, the oldest first; the last is open (InputError; NewerSchemaError)."""
    found = (load_release(lab, name) for name in release_names(lab))
    return tuple(sorted(found, key=lambda r: (r.made_at, r.name)))


def check_release_name(lab: Lab, name: str) -> None:
    """Refuse a name that is taken, reserved or cannot name a file (InputError)."""
    check_code("release", name)
    if name.casefold() in _RESERVED:
        raise InputError(f"'{name}' cannot name a release", remedy="Choose a name that says when or why: 2026-autumn")
    if name in release_names(lab):
        raise InputError(f"release '{name}' is there already", remedy="Choose another name; a release is never changed")
    check_new_code("release", name, release_names(lab))


def load_candidate(lab: Lab) -> Candidate | None:
    """What was processed beside the results that count, or None (InputError; NewerSchemaError)."""
    path = _candidate_path(lab)
    return load_document(path, Candidate) if is_there(path) else None


def add_to_candidate(lab: Lab, recipe: Recipe, members: dict[str, Member]) -> Candidate:
    """Add runs to the candidate; one that was made otherwise is begun anew. Its runs stay in their trials."""

    def joined(held: Candidate | None) -> Candidate:
        shared = held.recipe.joined(recipe) if held is not None else None
        if held is None or shared is None:
            return Candidate(utc_now(), recipe, members)
        return replace(held, recipe=shared, members={**held.members, **members})

    return _change_candidate(lab, joined)


def drop_candidate(lab: Lab, seen: Candidate) -> None:
    """Forget the candidate, unless something was added since it was seen; its runs stay in their trials."""
    with _holding(lab):
        if load_candidate(lab) == seen:
            _candidate_path(lab).unlink(missing_ok=True)


def _change_candidate(lab: Lab, change: Callable[[Candidate | None], Candidate]) -> Candidate:
    with _holding(lab):
        changed = change(load_candidate(lab))
        save_document(_candidate_path(lab), changed)
    return changed


def _holding(lab: Lab) -> AbstractContextManager[None]:
    return hold_lock(releases_folder(lab) / ".candidate.lock", what="the candidate", wait=True)


def _candidate_path(lab: Lab) -> Path:
    return releases_folder(lab) / f"{CANDIDATE}{_ENDING}"


@lru_cache(maxsize=64)
def _load(path: Path, _changed: int) -> Release:
    # Written once: a path and its time stand for the content.
    release = load_document(path, Release)
    check_place(release.name, path.name.removesuffix(_ENDING), path)
    return release
