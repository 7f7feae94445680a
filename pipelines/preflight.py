"""Checks before a take that need more than the cameras: does the calibration still hold, and what will come of it all.

They are passed to `labsys.capture.preflight.run`, with the one of preflight_views.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

from calibration.match import match_cameras
from labsys.capture.preflight.check import CheckResult, Outcome, PreflightCheck, Rehearsal
from labsys.capture.rig import Rig
from labsys.core.cameras import Calibration
from labsys.core.errors import LabsysError
from labsys.core.fingerprint import CameraFingerprint
from labsys.core.landmark_contract import LandmarkContract, check_landmarks
from labsys.storage.atomic import read_json
from labsys.storage.calibrations import calibration_folder, list_checks
from labsys.storage.lab import Lab
from labsys.storage.models import list_models, load_model
from pipelines.calibrating.fingerprints import differs_from_calibration, fingerprint_rig
from pipelines.preflight_views import ViewCheck

_NAMED = 4  # metrics that are named of those that will be missing


def outer_checks(lab: Lab, calibration: str) -> tuple[PreflightCheck, ...]:
    """The checks of a take that stands in a calibration; "" where it stands in none yet."""
    views = (ViewCheck(lab, calibration),) if calibration else ()
    return CalibrationCheck(lab, calibration), *views, LandmarkCheck(lab)


class CalibrationCheck:
    """The calibration is of these cameras as they are set, was made or checked today, and no check found it moved."""

    name = "calibration"

    def __init__(self, lab: Lab, calibration: str) -> None:
        self._lab, self._calibration = lab, calibration

    def look(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        """A line for its cameras, and one for its age."""
        if not self._calibration:
            yield self._result(
                Outcome.WARN,
                "the take is recorded without a calibration",
                "Record a waved board and calibrate, or choose the calibration that the cameras stand in",
            )
            return
        from calibration.formats import read_calibration

        try:
            found = read_calibration(calibration_folder(self._lab, self._calibration) / "calibration.toml")
        except LabsysError as error:
            yield self._result(Outcome.FAIL, str(error), "Calibrate again, or choose another calibration")
            return
        yield from self._compare(found, rehearsal.rig)
        yield self._judge_age()

    def _compare(self, found: Calibration, rig: Rig) -> Iterator[CheckResult]:
        again = "Calibrate again as the cameras are set now, or set them as they were"
        try:
            match_cameras(found.rig.names, tuple(rig.cameras))
        except LabsysError as error:
            yield self._result(Outcome.FAIL, f"{self._calibration} is not of these cameras: {error}", again)
            return
        now = fingerprint_rig(rig)
        sizes = {camera: CameraFingerprint(size_px=f.size_px) for camera, f in now.items()}
        others = {camera: replace(f, size_px=None) for camera, f in now.items()}
        said = [(Outcome.FAIL, d) for d in differs_from_calibration(sizes, found)]
        said += [(Outcome.WARN, d) for d in differs_from_calibration(others, found)]
        for outcome, difference in said:
            yield self._result(outcome, difference, again)
        if not said:
            yield self._result(Outcome.PASS, f"{self._calibration} is of these cameras as they are set")

    def _judge_age(self) -> CheckResult:
        fix = f"Check it: labsys calibrate --check --calibration {self._calibration}"
        checks = [read_json(path) for path in list_checks(self._lab, self._calibration)]
        telling = [c for c in checks if c.get("verdict") in ("still_valid", "moved")]
        if telling and telling[-1]["verdict"] == "moved":
            return self._result(
                Outcome.FAIL,
                f"its last check found: {telling[-1].get('reason') or 'a camera moved'}",
                "Calibrate again",
            )
        made = _date_in(self._calibration)
        checks_at = [datetime.fromisoformat(c["checked_at"]).date() for c in telling]
        checked = max([*([made] if made else []), *checks_at], default=None)
        if checked is None:
            return self._result(Outcome.WARN, f"nobody knows when {self._calibration} was made", fix)
        days = (datetime.now(UTC).date() - checked).days
        if days > 0:
            what = "made" if checked == made else "checked"
            return self._result(Outcome.WARN, f"was {what} {days} day{'s' * (days > 1)} ago, not today", fix)
        return self._result(Outcome.PASS, f"{self._calibration} was made or checked today")

    def _result(self, outcome: Outcome, what: str, fix: str = "") -> CheckResult:
        return CheckResult(self.name, outcome, what, fix)


def _date_in(calibration: str) -> date | None:
    """When it was made; None of a folder that somebody named by hand."""
    try:
        return datetime.fromisoformat(calibration[:10]).date()
    except ValueError:
        return None


class LandmarkCheck:
    """What the lab's models can give is told before anything is recorded."""

    name = "landmarks"

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def look(self, _rehearsal: Rehearsal, /) -> Iterator[CheckResult]:
        """A line for each model."""
        names = list_models(self._lab)
        if not names:
            yield CheckResult(
                self.name,
                Outcome.WARN,
                "the lab has no model that finds landmarks in videos",
                "Add one (labsys model add), or import 2D landmarks afterwards",
            )
        for name in names:
            try:
                yield self._judge(name, check_landmarks(load_model(self._lab, name).model.landmarks))
            except LabsysError as error:
                yield CheckResult(self.name, Outcome.WARN, f"model {name}: {error}", "Add it again: labsys model add")

    def _judge(self, name: str, found: LandmarkContract) -> CheckResult:
        tier = "no tier" if found.tier is None else f"tier {found.tier.name}"
        if not found.missing:
            return CheckResult(self.name, Outcome.PASS, f"model {name} gives every metric ({tier})")
        named = ", ".join(m.id for m in found.missing[:_NAMED])
        more = f" and {len(found.missing) - _NAMED} more" if len(found.missing) > _NAMED else ""
        what = f"model {name} reaches {tier} and cannot give {named}{more}"
        return CheckResult(self.name, Outcome.WARN, what, "Use another model where these are needed")
