"""What later checks say of a calibration: whether one confirms a repaired pose, whether one found a camera moved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from labsys.storage.atomic import read_json
from labsys.storage.calibrations import list_checks, read_calibration_report
from labsys.storage.lab import Lab

REPAIR = "repair"  # key of the calibration's report.json


def find_repair(lab: Lab, calibration: str) -> dict[str, Any] | None:
    """What was repaired in a calibration, None where nothing was; `confirmed_by` names the check, or is None.

    A check confirms a repair when it finds every camera where the calibration has it (`labsys calibrate --check`), and
    until a later one finds a camera moved; one that cannot tell changes nothing.
    """
    if not calibration:
        return None
    repair = read_calibration_report(lab, calibration).get(REPAIR)
    if repair is None:
        return None
    told = _telling_checks(lab, calibration)
    confirms = bool(told) and told[-1].document["verdict"] == "still_valid"
    return {**repair, "confirmed_by": told[-1].name if confirms else None}


def calibration_facts(lab: Lab, calibration: str, *, recorded_at: str) -> dict[str, str]:
    """What a run's parameters say of what checks found, so that another answer makes the run outdated."""
    facts: dict[str, str] = {}
    repair = find_repair(lab, calibration)
    if repair is not None:
        facts["calibration.repair"] = repair["confirmed_by"] or "unconfirmed"
    moved = _moved_since(lab, calibration, recorded_at)
    if moved is not None:
        facts["calibration.moved"] = moved.name
    return facts


def doubt_about_calibration(lab: Lab, calibration: str, *, recorded_at: str) -> str | None:
    """Why results made with a calibration are not for comparison, None where nothing speaks against them.

    Args:
        recorded_at: of the trial, ISO-8601 UTC. A check that found the calibration valid after it clears the trial.
    """
    moved = _moved_since(lab, calibration, recorded_at)
    if moved is None:
        return _unconfirmed_repair(lab, calibration)
    return (
        f"the check of {moved.document['checked_at'][:10]} says that calibration {calibration} no longer holds "
        f"({moved.document.get('reason', 'a camera moved')}), and none after this trial found it valid"
    )


@dataclass(frozen=True, eq=False)
class _Check:
    name: str
    document: dict[str, Any]


def _telling_checks(lab: Lab, calibration: str) -> list[_Check]:
    """The checks that could tell, oldest first."""
    checks = [_Check(path.name, read_json(path)) for path in list_checks(lab, calibration)]
    return [c for c in checks if c.document.get("verdict") in ("still_valid", "moved")]


def _moved_since(lab: Lab, calibration: str, recorded_at: str) -> _Check | None:
    """The first check that found a move and that no valid one separates from a trial; None where there is none."""
    told = _telling_checks(lab, calibration) if calibration else []
    recorded = _moment(recorded_at)
    if recorded.time() == time():  # only the day is known: it may have been its last moment
        recorded += timedelta(days=1)
    later = [c for c in told if _moment(c.document["checked_at"]) >= recorded]
    if later:
        return later[0] if later[0].document["verdict"] == "moved" else None
    return told[-1] if told and told[-1].document["verdict"] == "moved" else None


def _unconfirmed_repair(lab: Lab, calibration: str) -> str | None:
    repair = find_repair(lab, calibration)
    if repair is None or repair["confirmed_by"]:
        return None
    return (
        f"{repair['camera']} was solved anew from the body in {repair['trial']}, and no check confirms it yet: "
        f"labsys calibrate --check --calibration {calibration}"
    )


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
