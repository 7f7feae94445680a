"""Calibrations with a pose that was solved from a body: what was repaired, and whether a check confirms it."""

from __future__ import annotations

from typing import Any

from labsys.storage.atomic import read_json
from labsys.storage.calibrations import list_checks, read_calibration_report
from labsys.storage.lab import Lab

REPAIR = "repair"  # key of the calibration's report.json


def find_repair(lab: Lab, calibration: str) -> dict[str, Any] | None:
    """What was repaired in a calibration, None where nothing was; `confirmed_by` names the check, or is None.

    A check confirms a repair when it finds every camera where the calibration has it (`labsys calibrate --check`).
    """
    if not calibration:
        return None
    repair = read_calibration_report(lab, calibration).get(REPAIR)
    if repair is None:
        return None
    valid = [path.name for path in list_checks(lab, calibration) if read_json(path).get("verdict") == "still_valid"]
    return {**repair, "confirmed_by": valid[0] if valid else None}


def repair_facts(lab: Lab, calibration: str) -> dict[str, str]:
    """What a run's parameters say of a repaired calibration, so that a confirmation makes the run outdated."""
    repair = find_repair(lab, calibration)
    return {} if repair is None else {"calibration.repair": repair["confirmed_by"] or "unconfirmed"}


def unconfirmed_repair(lab: Lab, calibration: str) -> str | None:
    """Why results made with a calibration are not for comparison, None where it was not repaired or is confirmed."""
    repair = find_repair(lab, calibration)
    if repair is None or repair["confirmed_by"]:
        return None
    return (
        f"{repair['camera']} was solved anew from the body in {repair['trial']}, and no check confirms it yet: "
        f"labsys calibrate --check --calibration {calibration}"
    )
