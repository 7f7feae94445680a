"""Calibrations: calibrations/<date>_<label>_<nnn>/. Storage keeps text and dicts; `calibration.formats` reads them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labsys.core.errors import InputError
from labsys.core.session import check_code
from labsys.storage.atomic import (
    hash_file,
    is_there,
    make_folder,
    read_json,
    read_text,
    sync_folder,
    sync_tree,
    write_json_atomic,
    write_text_atomic,
)
from labsys.storage.documents import SCHEMA_VERSION, check_schema
from labsys.storage.lab import Lab
from labsys.storage.locks import hold_lock
from labsys.storage.nouns import list_codes, require_known
from labsys.storage.takes import StagedTake, Take

_TOML = "calibration.toml"
_REPORT = "report.json"
_SOURCE = "source.json"
_PAGE = "report.html"
_TAKE = "take"
_CHECKS = "checks"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def save_calibration_folder(
    lab: Lab,
    *,
    label: str,
    date: str,
    calibration_toml: str,
    original: Path | None,
    report: dict[str, Any],
    page: str | None = None,
    stage_take: Callable[[StagedTake], Take] | None = None,
) -> str:
    """Store a calibration and return its name; the same label, TOML, original and report are stored once.

    Args:
        page: the report for people. stage_take: puts what it was made from into take/.

    Raises:
        InputError: label or date cannot name a folder, the original cannot be read, or writing fails.
    """
    check_code("calibration", label)
    if not _DATE.fullmatch(date):
        raise InputError(f"'{date}' is no date", remedy="Write it as 2026-11-22")
    fingerprint = _fingerprint(calibration_toml, original, report)
    with hold_lock(_root(lab) / ".lock", what="the folder of calibrations", wait=True):
        same = _find_same(lab, label, fingerprint)
        if same is not None:
            return same
        staging = _root(lab) / ".partial"
        shutil.rmtree(staging, ignore_errors=True)  # what a crash left
        _write(staging, calibration_toml, original, report, fingerprint)
        if page is not None:
            write_text_atomic(staging / _PAGE, page)
        if stage_take is not None:
            make_folder(staging / ".take.partial")
            stage_take(StagedTake(staging / ".take.partial", staging / _TAKE))
        name = _next_name(lab, f"{date}_{label}")
        staging.rename(_root(lab) / name)
        sync_folder(_root(lab))
    return name


def calibration_folder(lab: Lab, name: str) -> Path:
    """Folder of a calibration: calibration.toml, report.json, original/ (UnknownNameError names the nearest)."""
    require_known("calibration", name, list_calibrations(lab), where=str(lab.root))
    return _root(lab) / name


def list_calibrations(lab: Lab) -> tuple[str, ...]:
    """Names of all calibrations, oldest date first."""
    return list_codes(_root(lab), _TOML)


def read_calibration_text(lab: Lab, name: str) -> str:
    """Text of calibration.toml (UnknownNameError names the nearest calibration)."""
    return read_text(calibration_folder(lab, name) / _TOML)


def read_calibration_report(lab: Lab, name: str) -> dict[str, Any]:
    """The report as stored (UnknownNameError; NewerSchemaError; InputError)."""
    path = calibration_folder(lab, name) / _REPORT
    document = read_json(path)
    check_schema(document.pop("schema_version", None), str(path))
    return document


def find_calibration_page(lab: Lab, name: str) -> Path | None:
    """The report for people, None where none was written (UnknownNameError names the nearest calibration)."""
    path = calibration_folder(lab, name) / _PAGE
    return path if is_there(path) else None


def read_calibration_page(lab: Lab, name: str) -> str | None:
    """Its text, None where none was written (UnknownNameError names the nearest calibration)."""
    path = find_calibration_page(lab, name)
    return None if path is None else read_text(path)


def calibration_take_folder(lab: Lab, name: str) -> Path:
    """The take that a calibration was made from (InputError: it was not kept)."""
    folder = calibration_folder(lab, name) / _TAKE
    if not is_there(folder):
        raise InputError(
            f"calibration {name} has no take", where=str(folder.parent), remedy="Give --videos, or another take"
        )
    return folder


def latest_calibration(lab: Lab) -> str:
    """Name of the calibration that was stored last (InputError: there is none)."""
    names = list_calibrations(lab)
    if not names:
        raise InputError("there is no calibration yet", where=str(_root(lab)), remedy="Make one: labsys calibrate")
    # Equal dates are told apart by when the folder was written.
    return max(names, key=lambda n: (n[:10], (_root(lab) / n / _SOURCE).stat().st_mtime_ns, n))


def save_check(lab: Lab, name: str, document: dict[str, Any], *, at: str) -> Path:
    """Keep what a check said of a calibration, checks/<moment>.json, and return its path.

    Args:
        at: ISO-8601 moment.
    """
    folder = calibration_folder(lab, name) / _CHECKS
    path = folder / f"{re.sub('[^0-9TZ]', '', at)}.json"
    write_json_atomic(path, {"schema_version": SCHEMA_VERSION, "checked_at": at, **document})
    return path


def list_checks(lab: Lab, name: str) -> tuple[Path, ...]:
    """Every check of a calibration, oldest first."""
    return tuple(sorted((calibration_folder(lab, name) / _CHECKS).glob("*.json")))


def _root(lab: Lab) -> Path:
    return lab.root / "calibrations"


def _fingerprint(calibration_toml: str, original: Path | None, report: dict[str, Any]) -> str:
    parts = [calibration_toml, hash_file(original) if original else "", json.dumps(report, sort_keys=True)]
    return hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()


def _find_same(lab: Lab, label: str, fingerprint: str) -> str | None:
    ending = re.compile(rf"\d{{4}}-\d{{2}}-\d{{2}}_{re.escape(label)}_\d{{3,}}")
    for name in list_calibrations(lab):
        source = _root(lab) / name / _SOURCE
        if ending.fullmatch(name) and is_there(source) and read_json(source).get("sha256") == fingerprint:
            return name
    return None


def _write(
    folder: Path, calibration_toml: str, original: Path | None, report: dict[str, Any], fingerprint: str
) -> None:
    make_folder(folder)
    write_text_atomic(folder / _TOML, calibration_toml)
    write_json_atomic(folder / _REPORT, {"schema_version": SCHEMA_VERSION, **report})
    write_json_atomic(folder / _SOURCE, {"schema_version": SCHEMA_VERSION, "sha256": fingerprint})
    if original is not None:
        make_folder(folder / "original")
        try:
            shutil.copyfile(original, folder / "original" / original.name)
        except OSError as error:
            raise InputError(f"cannot be copied: {error.strerror or error}", where=str(original)) from error
    sync_tree(folder)


def _next_name(lab: Lab, stem: str) -> str:
    number = 1
    while is_there(_root(lab) / f"{stem}_{number:03d}"):
        number += 1
    return f"{stem}_{number:03d}"
