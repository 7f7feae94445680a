"""Questions to the index: nouns by name, comparison and trend. Inside units; no HTTP, no files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from api.counting import NOW, Counting, release_of_runs
from api.moments import show_moment
from api.tables import EpisodeRow, RunRow, SessionRow, SubjectRow, TrialMetricRow, TrialRow
from labsys.core.catalogue import find_metric, metric_place
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.measurement_error import ErrorTable
from labsys.core.motion import Quality
from labsys.core.session import Conditions, Goal, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal import (
    AbsentTrial,
    Capture,
    CaptureMetric,
    Comparison,
    Person,
    Trend,
    Visit,
    compare_visits,
    metric_trend,
)

# Parts of a run's parameters that are no settings: facts of the trial, its visit, its take and its calibration.
_STATED = frozenset({"trial", "session", "take", "calibration", "name"})
_WITH_STRIDES = (TrialKind.RUN, TrialKind.WALK)


def find_subject(session: Session, code: str) -> SubjectRow:
    """A subject by code (UnknownNameError names the nearest)."""
    row = session.scalars(select(SubjectRow).where(SubjectRow.code == code)).first()
    return row if row is not None else _unknown(session, "subject", code, select(SubjectRow.code))


def find_episode(session: Session, subject: str, label: str) -> EpisodeRow:
    """An episode of a subject by label (UnknownNameError names the nearest)."""
    parent = find_subject(session, subject)
    mine = EpisodeRow.subject_id == parent.id
    row = session.scalars(select(EpisodeRow).where(mine, EpisodeRow.label == label)).first()
    return row if row is not None else _unknown(session, "episode", label, select(EpisodeRow.label).where(mine))


def find_session(session: Session, subject: str, code: str) -> SessionRow:
    """A session of a subject by its code (UnknownNameError names the nearest)."""
    parent = find_subject(session, subject)
    mine = SessionRow.subject_id == parent.id
    row = session.scalars(select(SessionRow).where(mine, SessionRow.code == code)).first()
    return row if row is not None else _unknown(session, "session", code, select(SessionRow.code).where(mine))


def find_trial(session: Session, name: TrialName) -> TrialRow:
    """A trial by its full name (UnknownNameError names the nearest)."""
    parent = find_session(session, name.subject, name.session)
    mine = TrialRow.session_id == parent.id
    row = session.scalars(select(TrialRow).where(mine, TrialRow.code == name.trial)).first()
    return row if row is not None else _unknown(session, "trial", name.trial, select(TrialRow.code).where(mine))


def find_run(session: Session, name: TrialName, run: str = "current", *, counting: Counting = NOW) -> RunRow:
    """A run of a trial; "current" is the one that counts (UnknownNameError)."""
    trial = find_trial(session, name)
    mine = RunRow.trial_id == trial.id
    this = counting.of(RunRow) if run == "current" else RunRow.run == run
    row = session.scalars(select(RunRow).where(mine, this)).first()
    return row if row is not None else _unknown(session, "run", run, select(RunRow.run).where(mine))


def _unknown(session: Session, kind: str, name: str, valid: Select[str]) -> Any:
    raise UnknownNameError(kind, name, valid=list(session.scalars(valid)))


def run_metrics(session: Session, run: RunRow) -> list[TrialMetricRow]:
    """The metrics of one run in the order of the catalogue."""
    rows = session.scalars(
        select(TrialMetricRow).where(TrialMetricRow.trial_id == run.trial_id, TrialMetricRow.run == run.run)
    )
    return sorted(rows, key=lambda row: (metric_place(row.metric), row.side.value))


def compare_sessions(
    session: Session, errors: ErrorTable, subject: str, pre: str, post: str, *, counting: Counting = NOW
) -> Comparison:
    """Compare two visits of one subject under their episode's goals and the lab's errors.

    Raises:
        UnknownNameError: no such subject or session. InputError: both are the same visit.
    """
    rows = [find_session(session, subject, code) for code in (pre, post)]
    if rows[0].id == rows[1].id:
        raise InputError(f"session '{pre}' cannot be compared with itself", remedy="Name two sessions")
    before, after = (_visit(session, row, counting) for row in rows)
    goals = _goals(rows[1].episode or rows[0].episode)
    return compare_visits(before, after, goals=goals, errors=errors, subject=subject)


def find_visit(session: Session, subject: str, code: str, *, counting: Counting = NOW) -> Visit:
    """One visit with the metrics of its trials' runs that count (UnknownNameError names the nearest session)."""
    return _visit(session, find_session(session, subject, code), counting)


def find_visits(session: Session, subject: str, counting: Counting) -> tuple[list[Visit], dict[str, tuple[Goal, ...]]]:
    """All visits of a subject in order of date, and the goals by visit (UnknownNameError: no such subject)."""
    parent = find_subject(session, subject)
    mine = select(SessionRow).where(SessionRow.subject_id == parent.id)
    rows = session.scalars(mine.order_by(SessionRow.captured_at, SessionRow.id)).all()
    captures = _captures(session, rows, counting)
    visits = []
    for row in rows:
        found = captures.get(row.id, [])
        visits.append(_as_visit(row, found, _absent(session, row, {c.name.trial for c in found})))
    return visits, {row.code: _goals(row.episode) for row in rows}


def find_trend(
    session: Session, errors: ErrorTable, subject: str, metric: str, side: Side, *, counting: Counting = NOW
) -> Trend:
    """One metric and side over all visits of a subject.

    Raises:
        UnknownNameError: no such subject or metric. InputError: the metric is not kept for that side.
    """
    sides = find_metric(metric).sided.sides
    if side not in sides:
        raise InputError(f"{metric} is kept for {' and '.join(sides)}, not for '{side}'")
    parent = find_subject(session, subject)
    mine = select(SessionRow).where(SessionRow.subject_id == parent.id)
    rows = session.scalars(mine.order_by(SessionRow.captured_at, SessionRow.id)).all()
    captures = _captures(session, rows, counting, metrics=(metric, "speed"))
    visits = tuple(_as_visit(row, captures.get(row.id, ()), ()) for row in rows)
    goals = _goals(next((r.episode for r in reversed(rows) if r.episode is not None), None))
    return metric_trend(visits, metric, side, errors, goals=goals)


def find_people(session: Session) -> list[Person]:
    """Every subject with all visits, their captures and all metrics: what the lab's own error is learnt from."""
    rows = session.scalars(select(SessionRow).order_by(SessionRow.captured_at, SessionRow.id)).all()
    captures = _captures(session, rows, NOW)
    visits: dict[str, list[Visit]] = {}
    for row in rows:
        visits.setdefault(row.subject.code, []).append(_as_visit(row, captures.get(row.id, ()), ()))
    return [Person(code, tuple(found)) for code, found in sorted(visits.items())]


def _goals(episode: EpisodeRow | None) -> tuple[Goal, ...]:
    if episode is None:
        return ()
    return tuple(Goal(g.metric, g.side, g.direction, g.date.isoformat()) for g in episode.goals)


def _visit(session: Session, row: SessionRow, counting: Counting) -> Visit:
    captures = _captures(session, (row,), counting).get(row.id, ())
    return _as_visit(row, captures, _absent(session, row, {c.name.trial for c in captures}))


def _as_visit(row: SessionRow, captures: Sequence[Capture], absent: Sequence[AbsentTrial]) -> Visit:
    return Visit(
        row.code, show_moment(row.captured_at), row.phase, tuple(captures), tuple(absent), row.repeats, row.operator
    )


def _absent(session: Session, row: SessionRow, present: set[str]) -> list[AbsentTrial]:
    """Runs and walks of a visit that give no capture; a reader must not take them for never recorded."""
    trials = select(TrialRow).where(TrialRow.session_id == row.id, TrialRow.kind.in_(_WITH_STRIDES))
    return [
        AbsentTrial(
            trial.code,
            trial.kind,
            _conditions(trial),
            f"excluded: {trial.exclusion_reason}" if trial.excluded else "no results as it stands now; process it",
        )
        for trial in session.scalars(trials.order_by(TrialRow.recorded_at, TrialRow.code))
        if trial.code not in present
    ]


def _conditions(trial: TrialRow) -> Conditions:
    return Conditions(trial.surface, trial.speed_mps, trial.incline_pct, trial.footwear, trial.pain_0_10)


def _captures(
    session: Session, visits: Iterable[SessionRow], counting: Counting, metrics: Sequence[str] = ()
) -> dict[str, list[Capture]]:
    """Captures by session id: the runs that count, of trials that are not excluded and can have strides."""
    chosen = (
        select(RunRow)
        .join(RunRow.trial)
        .where(TrialRow.session_id.in_([v.id for v in visits]), counting.of(RunRow))
        .where(TrialRow.excluded.is_(False), TrialRow.kind.in_(_WITH_STRIDES))
        .order_by(TrialRow.recorded_at, TrialRow.code)
    )
    runs = session.scalars(chosen).all()
    rows = select(TrialMetricRow).where(TrialMetricRow.trial_id.in_([r.trial_id for r in runs]))
    rows = rows.where(counting.of(TrialMetricRow))
    if metrics:
        rows = rows.where(TrialMetricRow.metric.in_(metrics))
    values: dict[str, list[TrialMetricRow]] = {}
    for row in session.scalars(rows):
        values.setdefault(row.trial_id, []).append(row)
    releases = release_of_runs(session, [r.trial_id for r in runs], counting)
    captures: dict[str, list[Capture]] = {}
    for run in runs:
        capture = _capture(run, values.get(run.trial_id, []), releases.get((run.trial_id, run.run), ""))
        captures.setdefault(run.trial.session_id, []).append(capture)
    return captures


def _capture(run: RunRow, rows: list[TrialMetricRow], release: str) -> Capture:
    trial = run.trial
    ordered = sorted(rows, key=lambda row: (metric_place(row.metric), row.side.value))
    return Capture(
        name=TrialName(trial.session.subject.code, trial.session.code, trial.code),
        kind=trial.kind,
        conditions=_conditions(trial),
        heading_known=run.heading_known,
        not_for_comparison=run.not_for_comparison,
        metrics=tuple(_capture_metric(row) for row in ordered),
        placement=trial.placement,
        up_sd_rad=_number(run.up_sd_rad),
        heading_sd_rad=_number(run.heading_sd_rad),
        static_shares_calibration=run.static_shares_calibration,
        calibration=run.calibration,
        camera_turns={camera: (x, y, z) for camera, (x, y, z) in run.camera_turns.items()},
        model=run.model,
        settings=_settings(run.parameters),
        release=release,
        run=run.run,
        pipeline_version=run.pipeline_version,
        model_hash=next((row.model_hash for row in rows if row.model_hash), ""),
    )


def _settings(parameters: Mapping[str, str]) -> dict[str, str]:
    """How a run was processed, without what was stated of its trial (`trial.speed_mps` and so on)."""
    return {k: v for k, v in parameters.items() if k.partition(".")[0] not in _STATED}


def _capture_metric(row: TrialMetricRow) -> CaptureMetric:
    return CaptureMetric(
        id=row.metric,
        side=row.side,
        mean=_number(row.mean),
        sd=_number(row.sd),
        n=row.n,
        lag1=_number(row.lag1) if row.lag1 is not None else 0.0,
        se_reconstruction=_number(row.se_reconstruction),
        # Landmarks that reach no tier give no metric; the row then only carries its reason.
        tier=Tier(row.tier) if row.tier is not None else Tier.T0,
        version=row.definition_version,
        quality=Quality(row.quality),
        reason=row.reason,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value
