"""A lab's own reference values, from its own runners through its own pipeline."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from labsys.core.catalogue import CATALOGUE_VERSION, find_metric
from labsys.core.clock import utc_now
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.motion import Metric, Quality
from labsys.core.references import (
    MIN_OWN_SUBJECTS,
    OWN_SPEED_REACH,
    OwnReference,
    OwnReferences,
    sex_word,
    speed_held_against,
)
from labsys.core.session import Surface, Trial, TrialKind
from labsys.storage.atomic import read_json
from labsys.storage.episodes import episode_labels
from labsys.storage.lab import Lab
from labsys.storage.motion_tables import read_metrics
from labsys.storage.references import load_references, save_references
from labsys.storage.runs import current_run, load_run, run_file
from labsys.storage.sessions import session_codes
from labsys.storage.subjects import list_subjects, require_subject
from labsys.storage.trials import list_trials

_LEVEL_PCT = 0.5


@dataclass(frozen=True)
class Learnt:
    """What was learnt: the new values, and how many runners each group had (sex, tier) -> n."""

    values: tuple[OwnReference, ...]
    runners: Mapping[tuple[str, str], int]


def learn_references(
    lab: Lab, *, speed_mps: float, surface: Surface = Surface.TREADMILL, subjects: Collection[str] = ()
) -> Learnt:
    """Take every metric over runners at one speed and keep it beside what was learnt at others.

    A runner counts once, with the first visit that holds such a run: level, within 3 % of the speed, processed, not
    excluded, fit for comparison. Both sides and all captures are averaged. subjects: who is healthy; empty takes every
    subject without an episode.

    Raises:
        GateRefusedError: no sex has twenty runners; says how many there are. UnknownNameError: no such subject.
    """
    if not 1.0 <= speed_mps <= 8.0:
        raise InputError(f"{speed_mps:g} m/s is no running speed", where="--speed", remedy="Give m/s, such as 3.0")
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    runners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for code, sex in _healthy(lab, subjects):
        for tier, means in _first_visit(lab, code, speed_mps, surface).items():
            runners[sex, tier].append(code)
            for metric, mean in means.items():
                values[metric, sex, tier].append(mean)
    counts = {group: len(found) for group, found in sorted(runners.items())}
    learnt = tuple(
        _own(key, found, speed_mps, surface) for key, found in sorted(values.items()) if len(found) >= MIN_OWN_SUBJECTS
    )
    if not learnt:
        raise GateRefusedError(
            f"too few runners at {speed_mps:g} m/s for a reference: {_told(counts)}",
            remedy=f"{MIN_OWN_SUBJECTS} of one sex and tier are needed, whose sex is stated; "
            "see `labsys reference learn --help`",
        )
    who = {code for (sex, tier), codes in runners.items() for code in codes if counts[sex, tier] >= MIN_OWN_SUBJECTS}
    _keep(lab, learnt, sorted(who), speed_mps, surface)
    return Learnt(learnt, counts)


def _healthy(lab: Lab, subjects: Collection[str]) -> Iterator[tuple[str, str]]:
    for code in subjects:
        require_subject(lab, code)
    for subject in list_subjects(lab):
        sex = sex_word(subject.sex)
        wanted = subject.code in subjects if subjects else not episode_labels(lab, subject.code)
        if wanted and sex:
            yield subject.code, sex


def _first_visit(lab: Lab, subject: str, speed_mps: float, surface: Surface) -> dict[str, dict[str, float]]:
    """tier -> metric -> mean over captures and sides, of the first visit that holds such runs."""
    for session in session_codes(lab, subject):
        found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for trial in list_trials(lab, subject, session):
            if _is_such(trial, speed_mps, surface):
                for tier, metric in _metrics(lab, trial):
                    found[tier][metric.id].append(metric.mean)
        if found:
            return {tier: {m: float(np.mean(v)) for m, v in means.items()} for tier, means in found.items()}
    return {}


def _is_such(trial: Trial, speed_mps: float, surface: Surface) -> bool:
    conditions = trial.conditions
    if trial.kind is not TrialKind.RUN or trial.excluded or conditions.surface is not surface:
        return False
    if conditions.speed_mps is None or abs(conditions.incline_pct) > _LEVEL_PCT:
        return False
    return abs(conditions.speed_mps - speed_mps) <= OWN_SPEED_REACH * speed_mps


def _metrics(lab: Lab, trial: Trial) -> Iterator[tuple[str, Metric]]:
    """Metrics of the run that counts, of today's definitions and of enough strides; none where the feet contradict the
    speed that was stated."""
    run = current_run(lab, trial.name)
    if run is None:
        return
    record = load_run(lab, trial.name, run)
    if record.not_for_comparison or record.provenance.definition_version != CATALOGUE_VERSION:
        return
    tier = read_json(run_file(lab, trial.name, run, "findings.json"))["tier"]
    metrics = read_metrics(run_file(lab, trial.name, run, "metrics.parquet"))
    measured_mps, stated_mps = next((m.mean for m in metrics if m.id == "speed"), math.nan), trial.conditions.speed_mps
    if speed_held_against(stated_mps, measured_mps) != stated_mps:
        return
    for metric in metrics:
        if metric.quality is Quality.OK and math.isfinite(metric.mean):
            yield tier, metric


def _own(key: tuple[str, str, str], found: list[float], speed_mps: float, surface: Surface) -> OwnReference:
    metric, sex, tier = key
    mean, sd = float(np.mean(found)), float(np.std(found, ddof=1))
    return OwnReference(metric, sex, speed_mps, surface, tier, find_metric(metric).version, len(found), mean, sd)


def _keep(lab: Lab, learnt: tuple[OwnReference, ...], who: list[str], speed_mps: float, surface: Surface) -> None:
    before = load_references(lab)
    others = () if before is None else before.values
    kept = tuple(v for v in others if (v.speed_mps, v.surface) != (speed_mps, surface))
    subjects = tuple(sorted({*who, *(before.subjects if before and kept else ())}))
    save_references(lab, OwnReferences(utc_now(), subjects, (*kept, *learnt)))


def _told(counts: Mapping[tuple[str, str], int]) -> str:
    return ", ".join(f"{n} {sex} at {tier}" for (sex, tier), n in counts.items()) or "none"
