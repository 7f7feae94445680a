"""Checks before a take that outer layers add: the calibration's cameras and age, and what the lab's models can give."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from calibration.formats import format_anipose
from labsys.capture.preflight.check import CheckResult, Outcome, Rehearsal
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.skeleton import COCO_17, LABSYS_RUN_37
from labsys.storage.calibrations import calibration_folder, save_calibration_folder, save_check
from labsys.storage.lab import Lab, create_lab
from pipelines.calibrating.fingerprints import fingerprint_rig
from pipelines.preflight import CalibrationCheck, LandmarkCheck, outer_checks
from pipelines.synthetic.rigs import make_rig
from tests.test_labsys.recorded_scene import rig_document, write_rig

TODAY = datetime.now(UTC)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return create_lab(tmp_path / "lab", name="lab")


def _rehearsal(folder: Path, **changes: Any) -> Rehearsal:
    return Rehearsal(write_rig(folder / "rig.yaml", rig_document(**changes)), folder, 10.0, 2.0)


def _save(lab: Lab, folder: Path, *, days_ago: int = 0, **changes: Any) -> str:
    """A calibration of the cameras of `_rehearsal` as they are set there, or with changes."""
    rig = make_rig(2)
    named = zip(rig.cameras, ("camA", "camB"), strict=True)
    cameras = CameraRig(tuple(replace(camera, name=name) for camera, name in named))
    set_so = fingerprint_rig(write_rig(folder / "then.yaml", rig_document(**changes)))
    text = format_anipose(Calibration(rig=cameras, source="labsys", fingerprint=set_so))
    date = (TODAY - timedelta(days=days_ago)).strftime("%Y-%m-%d")
    return save_calibration_folder(lab, label="treadmill", date=date, calibration_toml=text, original=None, report={})


def _found(check: Any, rehearsal: Rehearsal, outcome: Outcome) -> list[CheckResult]:
    return [r for r in check.look(rehearsal) if r.outcome is outcome]


def test_a_calibration_of_today_and_of_these_cameras_passes(lab: Lab, tmp_path: Path) -> None:
    check = CalibrationCheck(lab, _save(lab, tmp_path))
    assert [r.outcome for r in check.look(_rehearsal(tmp_path))] == [Outcome.PASS, Outcome.PASS]


def test_no_calibration_and_one_that_is_old_are_warned_of(lab: Lab, tmp_path: Path) -> None:
    (none,) = CalibrationCheck(lab, "").look(_rehearsal(tmp_path))
    assert (none.outcome, "without a calibration" in none.what) == (Outcome.WARN, True)
    name = _save(lab, tmp_path, days_ago=3)
    (old,) = _found(CalibrationCheck(lab, name), _rehearsal(tmp_path), Outcome.WARN)
    assert old.what == "was made 3 days ago, not today"
    assert f"--check --calibration {name}" in old.fix
    save_check(lab, name, {"verdict": "still_valid"}, at=TODAY.isoformat())
    assert _found(CalibrationCheck(lab, name), _rehearsal(tmp_path), Outcome.WARN) == []
    save_check(lab, name, {"verdict": "moved", "reason": "camB moved"}, at=(TODAY + timedelta(minutes=1)).isoformat())
    (moved,) = _found(CalibrationCheck(lab, name), _rehearsal(tmp_path), Outcome.FAIL)
    assert moved.what == "its last check found: camB moved"


def test_a_calibration_that_somebody_named_by_hand_is_as_old_as_its_checks(lab: Lab, tmp_path: Path) -> None:
    folder = calibration_folder(lab, _save(lab, tmp_path))
    folder.rename(folder.with_name("treadmill_april"))
    check, rehearsal = CalibrationCheck(lab, "treadmill_april"), _rehearsal(tmp_path)
    (unknown,) = _found(check, rehearsal, Outcome.WARN)
    assert unknown.what == "nobody knows when treadmill_april was made"
    save_check(lab, "treadmill_april", {"verdict": "still_valid"}, at=(TODAY - timedelta(days=2)).isoformat())
    (old,) = _found(check, rehearsal, Outcome.WARN)
    assert old.what == "was checked 2 days ago, not today"


def test_cameras_that_are_set_otherwise_are_named(lab: Lab, tmp_path: Path) -> None:
    check = CalibrationCheck(lab, _save(lab, tmp_path, size_px=(640, 480), fps=30))
    faults = _found(check, _rehearsal(tmp_path), Outcome.FAIL)
    assert [f.what for f in faults] == [f"{c} has size 512x288, calibrated at 640x480" for c in ("camA", "camB")]
    rates = [r.what for r in _found(check, _rehearsal(tmp_path), Outcome.WARN)]
    assert "camA has rate 40 Hz, calibrated at 30 Hz" in rates
    (lacking,) = _found(CalibrationCheck(lab, _save(lab, tmp_path)), _rehearsal(tmp_path, cameras=3), Outcome.FAIL)
    assert "camC" in lacking.what


def test_what_a_model_cannot_give_is_told_before(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stored:
        def __init__(self, landmarks: tuple[str, ...]) -> None:
            self.model = type("Model", (), {"landmarks": landmarks})

    (none,) = LandmarkCheck(lab).look(_rehearsal(tmp_path))
    assert (none.outcome, "no model" in none.what) == (Outcome.WARN, True)
    sets = {"coco": COCO_17.landmarks, "full": LABSYS_RUN_37.landmarks}
    monkeypatch.setattr("pipelines.preflight.list_models", lambda _: tuple(sets))
    monkeypatch.setattr("pipelines.preflight.load_model", lambda _, name: Stored(sets[name]))
    little, everything = LandmarkCheck(lab).look(_rehearsal(tmp_path))
    assert (little.outcome, "model coco reaches tier" in little.what) == (Outcome.WARN, True)
    assert everything.outcome is Outcome.PASS
    assert [check.name for check in outer_checks(lab, "")] == ["calibration", "landmarks"]
