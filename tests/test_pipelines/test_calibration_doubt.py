"""What later checks mean for trials that were recorded with a calibration."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibration.formats import format_anipose
from labsys.core.cameras import Calibration
from labsys.storage.calibrations import save_calibration_folder, save_check
from labsys.storage.lab import Lab, create_lab
from pipelines.recalibrated import REPAIR, calibration_facts, doubt_about_calibration, find_repair
from pipelines.synthetic.rigs import make_rig

TRIAL = "2026-11-22T10:00:00.000Z"
BEFORE, AFTER, LATER, LAST = (f"2026-11-22T{h:02d}:00:00.000Z" for h in (8, 12, 14, 16))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return create_lab(tmp_path / "lab")


def keep(lab: Lab, *, repaired: bool = False) -> str:
    report = {REPAIR: {"camera": "cam1", "trial": "S01/2026-11-22/run1"}} if repaired else {}
    text = format_anipose(Calibration(make_rig(3), "test"))
    return save_calibration_folder(
        lab, label="rig", date="2026-11-22", calibration_toml=text, original=None, report=report
    )


def checks(lab: Lab, name: str, *found: tuple[str, str]) -> str | None:
    for at, verdict in found:
        save_check(lab, name, {"verdict": verdict, "reason": "cam1 moved: 1.00 degrees"}, at=at)
    return doubt_about_calibration(lab, name, recorded_at=TRIAL)


def test_a_check_that_finds_a_move_holds_back_trials_that_no_valid_check_follows(lab: Lab) -> None:
    name = keep(lab)
    assert checks(lab, name) is None
    assert calibration_facts(lab, name, recorded_at=TRIAL) == {}
    doubt = checks(lab, name, (BEFORE, "still_valid"), (AFTER, "moved"))
    assert doubt is not None
    assert "the check of 2026-11-22" in doubt
    assert "cam1 moved" in doubt
    assert "calibration.moved" in calibration_facts(lab, name, recorded_at=TRIAL), "results become outdated"


def test_a_trial_that_a_valid_check_follows_is_cleared(lab: Lab) -> None:
    assert checks(lab, keep(lab), (AFTER, "still_valid"), (LATER, "moved")) is None


def test_a_trial_recorded_after_the_move_was_found_is_held_back(lab: Lab) -> None:
    assert checks(lab, keep(lab), (BEFORE, "moved")) is not None
    assert checks(lab, keep(lab), (AFTER, "cannot_tell")) is not None, "one that cannot tell clears nothing"


def test_a_trial_of_which_only_the_day_is_known_is_not_cleared_by_that_morning(lab: Lab) -> None:
    name = keep(lab)
    checks(lab, name, (BEFORE, "still_valid"), (LAST, "moved"))
    assert doubt_about_calibration(lab, name, recorded_at="2026-11-22T00:00:00.000Z") is not None


def test_a_repair_is_confirmed_by_the_latest_check_alone(lab: Lab) -> None:
    name = keep(lab, repaired=True)
    assert "no check confirms it yet" in str(checks(lab, name))
    assert checks(lab, name, (AFTER, "still_valid")) is None
    checks(lab, name, (LATER, "moved"))
    repair = find_repair(lab, name)
    assert repair is not None
    assert repair["confirmed_by"] is None
    checks(lab, name, (LAST, "cannot_tell"))
    assert find_repair(lab, name)["confirmed_by"] is None  # type: ignore[index]  # it was repaired, above
