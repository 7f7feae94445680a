"""Takes of a waved board that the recorder made, calibrations/NAME/take, and the calibration made beside one.

calibration.toml comes last, and is never replaced: trials may rest on it. A refusal leaves its report alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labsys.core.errors import InputError
from labsys.storage.atomic import is_there, read_json, read_text, write_json_atomic, write_text_atomic
from labsys.storage.calibrations import list_calibrations
from labsys.storage.documents import SCHEMA_VERSION
from labsys.storage.lab import Lab
from labsys.storage.locks import hold_lock
from labsys.storage.nouns import list_codes, require_known

_TOML, _REPORT, _PAGE, _SOURCE = "calibration.toml", "report.json", "report.html", "source.json"


@dataclass(frozen=True)
class BoardTake:
    """A take of a waved board: its folder's name, and whether it was calibrated, refused (its report says why), or
    neither."""

    name: str
    is_calibrated: bool
    is_refused: bool


def list_board_takes(lab: Lab) -> tuple[BoardTake, ...]:
    """Takes of a waved board in calibrations/, oldest first."""
    known = set(list_calibrations(lab))
    root = _root(lab)
    return tuple(
        BoardTake(name, name in known, name not in known and is_there(root / name / _REPORT))
        for name in list_codes(root, "take/take.json")
    )


def board_take_folder(lab: Lab, name: str) -> Path:
    """calibrations/NAME of a take (UnknownNameError names the nearest)."""
    require_known("take of a board", name, [take.name for take in list_board_takes(lab)], where="calibrations")
    return _root(lab) / name


def find_made_calibration(lab: Lab, name: str, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """The report of the calibration that was made of a take as it is asked for now; None where none was made yet.

    Raises:
        InputError: one was made of it in another way.
    """
    folder = board_take_folder(lab, name)
    if not is_there(folder / _TOML):
        return None
    before = read_json(folder / _SOURCE).get("asked") if is_there(folder / _SOURCE) else None
    if before != dict(asked):
        raise InputError(
            f"{name} is calibrated already, and trials may rest on it",
            remedy=f"Wave the board again, or in the terminal: labsys calibrate {name} --out FOLDER --save LABEL",
        )
    report: dict[str, Any] = read_json(folder / _REPORT)
    return report


def keep_made_calibration(
    lab: Lab, name: str, *, calibration_toml: str, report: Mapping[str, Any], page: str | None, asked: Mapping[str, Any]
) -> None:
    """Put a calibration beside the take that it was made of (InputError: another one was put there meanwhile)."""
    with hold_lock(_root(lab) / ".lock", what="the folder of calibrations", wait=True):
        if find_made_calibration(lab, name, asked) is not None:
            return
        folder = board_take_folder(lab, name)
        _write_report(folder, report, page)
        digest = hashlib.sha256(f"{calibration_toml}\0{json.dumps(report, sort_keys=True)}".encode()).hexdigest()
        source = {"schema_version": SCHEMA_VERSION, "sha256": digest, "asked": dict(asked)}
        write_json_atomic(folder / _SOURCE, source)
        write_text_atomic(folder / _TOML, calibration_toml)


def keep_refusal(lab: Lab, name: str, *, report: Mapping[str, Any], page: str | None) -> None:
    """Put the report of a refused calibration beside its take; that of an earlier refusal is replaced."""
    with hold_lock(_root(lab) / ".lock", what="the folder of calibrations", wait=True):
        folder = board_take_folder(lab, name)
        if not is_there(folder / _TOML):
            _write_report(folder, report, page)


def read_refusal_page(lab: Lab, name: str) -> str | None:
    """The report for people of a take whose calibration was refused; None where there is none."""
    refused = {take.name for take in list_board_takes(lab) if take.is_refused}
    path = _root(lab) / name / _PAGE
    return read_text(path) if name in refused and is_there(path) else None


def _write_report(folder: Path, report: Mapping[str, Any], page: str | None) -> None:
    write_json_atomic(folder / _REPORT, {"schema_version": SCHEMA_VERSION, **report})
    if page is None:
        (folder / _PAGE).unlink(missing_ok=True)
    else:
        write_text_atomic(folder / _PAGE, page)


def _root(lab: Lab) -> Path:
    return lab.root / "calibrations"
