"""What a run of a trial rests on: its take, calibration, static trial, and what people stated about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from labsys.core.cameras import Calibration
from labsys.core.catalogue import CATALOGUE_VERSION
from labsys.core.errors import InputError
from labsys.core.session import Session, Trial, TrialKind, TrialName
from labsys.storage.calibrations import calibration_folder, read_calibration_text
from labsys.storage.lab import Lab
from labsys.storage.runs import RunRecord
from labsys.storage.sessions import load_session
from labsys.storage.takes import Take, has_take, load_take
from labsys.storage.trials import list_trials, load_trial
from pipelines.code_version import code_version
from pipelines.recalibrated import calibration_facts
from pipelines.screening import SCREENING_INPUTS, Screening

# Runs of before it was one of the facts do not say it.
HEIGHT_FACT = "session.height_m"


@dataclass(frozen=True, eq=False)
class TrialInputs:
    """One trial as processing needs it.

    Attributes:
        static: the static trial to reference to, or None.
        hashes: path -> sha256 of what is read. facts: what people stated that changes results, as text.
    """

    trial: Trial
    session: Session
    take: Take
    static: TrialName | None
    hashes: Mapping[str, str]
    facts: Mapping[str, str]


def gather_inputs(lab: Lab, name: TrialName) -> TrialInputs:
    """Read what a trial's processing rests on.

    Raises:
        UnknownNameError: no such trial, or its static trial is gone. InputError: the trial has no recording.
    """
    trial = load_trial(lab, name)
    if not has_take(lab, name):
        raise InputError(f"trial {name} has no recording", remedy="Import one under this name with 'labsys import'")
    session = load_session(lab, name.subject, name.session)
    take = calibrated_take(lab, trial)
    static = choose_static(lab, trial)
    checks = calibration_facts(lab, take.calibration, recorded_at=trial.recorded_at)
    facts = _facts(trial, session, take, static) | checks
    return TrialInputs(trial, session, take, static, _hashes(lab, take), facts)


def calibrated_take(lab: Lab, trial: Trial) -> Take:
    """A trial's take with the calibration that counts for it (InputError: no recording)."""
    take = load_take(lab, trial.name)
    return replace(take, calibration=trial.calibration) if trial.calibration else take


def choose_static(lab: Lab, trial: Trial) -> TrialName | None:
    """The static trial that a trial is referenced to: the one named, else the latest valid one recorded before it.

    Valid: not excluded, recorded, and with the same placement of stickers. Where recording times are equal (imports
    that state only the day), the latest imported before the trial counts, else the latest imported.

    Raises:
        UnknownNameError: the static named by the trial is gone. InputError: it is no static trial, or is excluded.
    """
    if trial.kind is TrialKind.STATIC:
        return None
    if trial.static:
        return _named_static(lab, trial)
    candidates = [
        t
        for t in list_trials(lab, trial.name.subject, trial.name.session)
        if t.kind is TrialKind.STATIC
        and not t.excluded
        and t.placement == trial.placement
        and t.recorded_at <= trial.recorded_at
        and has_take(lab, t.name)
    ]
    # UUIDs of version 7 sort by the time of their making.
    latest = max(candidates, key=lambda t: (t.recorded_at, t.uuid < trial.uuid, t.uuid), default=None)
    return latest.name if latest else None


def _named_static(lab: Lab, trial: Trial) -> TrialName:
    static = load_trial(lab, TrialName(trial.name.subject, trial.name.session, trial.static))
    if static.kind is not TrialKind.STATIC:
        raise InputError(f"{static.name} is a {static.kind} trial, not a static one", where=f"static of {trial.name}")
    if static.excluded:
        raise InputError(
            f"static trial {static.name} is excluded: {static.exclusion_reason}",
            where=f"static of {trial.name}",
            remedy=f"Choose another with 'labsys trial edit {trial.name} --static TRIAL', or include it again",
        )
    return static.name


def load_calibration(lab: Lab, take: Take) -> Calibration | None:
    """The take's calibration, None where it has none."""
    if not take.calibration:
        return None
    # Every format of calibrations, OpenCV among them: who asks what a run rests on needs none of it.
    from calibration.formats import read_calibration

    return read_calibration(calibration_folder(lab, take.calibration) / "calibration.toml")


def _hashes(lab: Lab, take: Take) -> dict[str, str]:
    hashes = {f"take/{f.path}": f.sha256 for f in take.landmarks2d.values()}
    if not hashes:
        hashes = {f"take/{f.path}": f.sha256 for f in take.cameras.values()}
    hashes |= {f"take/{f.path}": f.sha256 for role, f in take.files.items() if role != "truth"}
    if take.calibration:
        text = read_calibration_text(lab, take.calibration)
        hashes[f"calibrations/{take.calibration}"] = hashlib.sha256(text.encode()).hexdigest()
    return dict(sorted(hashes.items()))


def _facts(trial: Trial, session: Session, take: Take, static: TrialName | None) -> dict[str, str]:
    conditions = trial.conditions
    return {
        "trial.kind": trial.kind.value,
        "trial.surface": conditions.surface.value if conditions.surface else "",
        "trial.speed_mps": "" if conditions.speed_mps is None else repr(conditions.speed_mps),
        "trial.static": str(static) if static else "",
        "session.leg_length_m": repr(session.anthropometry.leg_length_m or ""),
        HEIGHT_FACT: repr(session.anthropometry.height_m or ""),
        "take.rate_hz": repr(take.rate_hz),
    }


def made_by_other_code(record: RunRecord) -> bool:
    """Whether another version of labsys made a run; it still is what that version found, and may stay current."""
    made = record.provenance
    return made.version != code_version() or made.definition_version != CATALOGUE_VERSION


def is_outdated(record: RunRecord, inputs: TrialInputs) -> bool:
    """Whether a run rests on inputs or stated facts that no longer are the trial's: it answers another question."""
    made = record.provenance
    beside = (STATIC_PREFIX, *SCREENING_INPUTS)
    own = {path: digest for path, digest in made.inputs.items() if not path.startswith(beside)}
    stated = {key: made.parameters.get(key) for key in inputs.facts}
    if HEIGHT_FACT not in made.parameters:
        stated[HEIGHT_FACT] = inputs.facts[HEIGHT_FACT]
    return own != dict(inputs.hashes) or stated != dict(inputs.facts)


def screened_otherwise(record: RunRecord, screening: Screening | None) -> bool:
    """Whether a run's findings rest on other rules, references or another sex than those that hold now."""
    made = record.provenance
    wanted = screening.inputs if screening else {}
    found = {path: digest for path, digest in made.inputs.items() if path in SCREENING_INPUTS}
    stated = screening.facts if screening else {}
    return found != dict(wanted) or any(made.parameters.get(key) != value for key, value in stated.items())


# Inputs under this prefix are those of the static trial's own run.
STATIC_PREFIX = "static/"
