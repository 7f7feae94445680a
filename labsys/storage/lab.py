"""The lab folder itself: making it, opening it, and where each noun lives below it."""

from __future__ import annotations

import importlib.resources
import json
import re
import tomllib
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from labsys.core.errors import InputError
from labsys.core.session import TrialName, check_code
from labsys.storage.atomic import is_there, read_text, sync_folder, write_bytes_atomic, write_text_atomic
from labsys.storage.documents import check_schema
from labsys.storage.identity import new_uuid

LAB_FILE = "labsys.toml"
LAB_SCHEMA_VERSION = 1
EPISODES = "episodes"

_FOLDERS = (
    "rigs", "boards", "protocols", "tags", "models", "references", "reliability", "releases", "bin", "calibrations",
    "subjects",
)  # fmt: skip
_KEYS = {"schema_version", "uuid", "name", "database", "process_kept"}


@dataclass(frozen=True)
class Lab:
    """One lab folder.

    Attributes:
        root: absolute path. uuid: stable identity. name: what people call the lab.
        schema_version: of labsys.toml.
        database: URL as SQLAlchemy writes it; a path in labsys.toml becomes a sqlite URL relative to the root.
        process_kept: whether the processing of a recorded trial is queued as soon as it is kept.
    """

    root: Path
    uuid: str
    name: str
    schema_version: int
    database: str
    process_kept: bool = True


def create_lab(root: Path, *, name: str = "") -> Lab:
    """Make a lab folder: labsys.toml, the folders of each noun, and the shipped hardware templates.

    labsys.toml is written last, so that a folder whose making was cut short is no lab and can be begun again.

    Raises:
        InputError: the folder is a lab already, holds anything else, or cannot be written.
    """
    root = root.expanduser().resolve()
    _check_free(root)
    try:
        for folder in _FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
        _copy_templates(root)
        sync_folder(root)
    except OSError as error:
        raise InputError(
            f"cannot make a lab: {error.strerror or error}", where=str(root), remedy="Check permissions and free space"
        ) from error
    write_text_atomic(root / LAB_FILE, _lab_text(new_uuid(), name or root.name))
    return open_lab(root)


def open_lab(root: Path) -> Lab:
    """Open a lab folder.

    Raises:
        InputError: there is no lab, or it cannot be read. NewerSchemaError: a newer labsys made it.
    """
    root = root.expanduser().resolve()
    path = root / LAB_FILE
    if not is_there(path):
        raise InputError("is no lab folder", where=str(root), remedy="Make one with `labsys init`, or name another")
    try:
        settings = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not valid TOML: {error}", where=str(path)) from error
    version = check_schema(settings.get("schema_version"), str(path), known=LAB_SCHEMA_VERSION)
    _check_settings(settings, path)
    database = _database_url(root, settings.get("database", "labsys.db"))
    return Lab(
        root=root,
        uuid=settings["uuid"],
        name=settings["name"],
        schema_version=version,
        database=database,
        process_kept=settings.get("process_kept", True),
    )


def set_database(root: Path, database: str) -> None:
    """Write another database into labsys.toml: a path beside it, or a URL (InputError: it cannot be written)."""
    path = root / LAB_FILE
    line = f"database = {json.dumps(database, ensure_ascii=False)}"
    kept = [text for text in read_text(path).splitlines() if not re.match(r"\s*database\s*=", text)]
    write_text_atomic(path, "\n".join([*kept, line]) + "\n")


def find_lab(start: Path) -> Lab:
    """Open the lab of the nearest labsys.toml upwards from `start` (InputError where there is none)."""
    start = start.expanduser().resolve()
    for folder in (start, *start.parents):
        if is_there(folder / LAB_FILE):
            return open_lab(folder)
    raise InputError(
        f"no {LAB_FILE} here or above",
        where=str(start),
        remedy="Name the lab with --lab or LABSYS_LAB, or `labsys init`",
    )


def subject_folder(lab: Lab, subject: str) -> Path:
    """subjects/<code>."""
    return lab.root / "subjects" / check_code("subject", subject)


def session_folder(lab: Lab, subject: str, session: str) -> Path:
    """subjects/<code>/<session>."""
    return subject_folder(lab, subject) / check_code("session", session)


def trial_folder(lab: Lab, name: TrialName) -> Path:
    """subjects/<code>/<session>/<trial>."""
    return session_folder(lab, name.subject, name.session) / name.trial


def take_folder(lab: Lab, name: TrialName) -> Path:
    """The trial's take/, written once."""
    return trial_folder(lab, name) / "take"


def derived_folder(lab: Lab, name: TrialName) -> Path:
    """The trial's derived/, which may be deleted at any time."""
    return trial_folder(lab, name) / "derived"


def runs_folder(lab: Lab, name: TrialName) -> Path:
    """The trial's runs/."""
    return trial_folder(lab, name) / "runs"


def _check_free(root: Path) -> None:
    if is_there(root / LAB_FILE):
        raise InputError("is a lab already", where=str(root), remedy="Choose another folder")
    if not is_there(root):
        return
    try:
        found = [p.name for p in root.iterdir()] if root.is_dir() else [root.name]
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(root)) from error
    strangers = sorted(set(found) - {*_FOLDERS, *(folder.name for folder in _shipped_folders())})
    if strangers:
        raise InputError(
            f"is not empty (it holds {', '.join(strangers[:3])})", where=str(root), remedy="Choose an empty folder"
        )


def _shipped_folders() -> list[Traversable]:
    """Folders of templates that ship with labsys: rigs, boards, protocols, tags, …"""
    return [item for item in importlib.resources.files("hardware_configs").iterdir() if _is_template_folder(item)]


def _is_template_folder(item: Traversable) -> bool:
    return item.is_dir() and not item.name.startswith(("_", "."))


def _copy_templates(root: Path) -> None:
    for folder in _shipped_folders():
        _copy_folder(folder, root / folder.name)


def _copy_folder(source: Traversable, target: Path) -> None:
    for item in source.iterdir():
        if item.is_dir():
            _copy_folder(item, target / item.name)
        else:
            write_bytes_atomic(target / item.name, item.read_bytes())


def _lab_text(uuid: str, name: str) -> str:
    # A JSON string is a TOML string, but for DEL and the characters beyond U+FFFF that ensure_ascii would split.
    quoted = json.dumps(name, ensure_ascii=False)
    return (
        f'schema_version = {LAB_SCHEMA_VERSION}\nuuid = "{uuid}"\nname = {quoted}\n\n'
        "# A path (beside this file unless absolute) for the embedded SQLite, or a PostgreSQL URL.\n"
        'database = "labsys.db"\n'
    )


def _check_settings(settings: dict[str, Any], path: Path) -> None:
    for key, value in settings.items():
        if key not in _KEYS:
            raise InputError(f"unknown key '{key}'", where=str(path), remedy=f"Known: {', '.join(sorted(_KEYS))}")
        if key == "process_kept" and not isinstance(value, bool):
            raise InputError(f"'{key}' is neither true nor false", where=str(path))
        if key not in ("schema_version", "process_kept") and not isinstance(value, str):
            raise InputError(f"'{key}' is not text", where=str(path))
    for key in ("uuid", "name"):
        if not settings.get(key):
            raise InputError(f"'{key}' is missing", where=str(path), remedy="Restore the file from a backup")


def _database_url(root: Path, text: str) -> str:
    return text if "://" in text else f"sqlite:///{root / Path(text).expanduser()}"
