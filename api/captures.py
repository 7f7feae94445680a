"""Visits as comparisons and trends take them, read as columns: a comparison asks for twenty of a metric's forty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, select
from sqlalchemy.orm import Session

from api.access.visibility import reads_typed
from api.counting import Counting, release_of_runs
from api.database.tables import GoalRow, RunRow, SessionRow, SubjectRow, TrialMetricRow, TrialRow
from api.moments import show_moment
from labsys.core.catalogue import metric_place
from labsys.core.session import Conditions, Goal, TrialKind, TrialName
from labsys.core.skeleton import Tier
from labsys.longitudinal import AbsentTrial, Capture, CaptureMetric, Visit

# Parts of a run's parameters that are no settings: facts of the trial, its subject, visit, take and calibration, and
# the run that it was begun from.
_STATED = frozenset({"trial", "subject", "session", "take", "calibration", "name", "run"})
_STATIC = "trial.static"
_WITH_STRIDES = (TrialKind.RUN, TrialKind.WALK)

_VISIT = (
    *(SessionRow.id, SessionRow.code, SessionRow.captured_at, SessionRow.phase, SessionRow.repeats),
    *(SessionRow.operator, SessionRow.episode_id),
)
_CONDITIONS = (
    *(TrialRow.session_id, TrialRow.code.label("trial"), TrialRow.kind, TrialRow.surface, TrialRow.speed_mps),
    *(TrialRow.incline_pct, TrialRow.footwear, TrialRow.pain_0_10),
)
_RUN = (
    *(RunRow.trial_id, RunRow.run, RunRow.heading_known, RunRow.not_for_comparison, RunRow.up_sd_rad),
    *(RunRow.heading_sd_rad, RunRow.static_shares_calibration, RunRow.calibration, RunRow.camera_turns),
    *(RunRow.model, RunRow.parameters, RunRow.pipeline_version, TrialRow.placement),
    *(SubjectRow.code.label("subject"), SessionRow.code.label("session")),
)
_METRIC = tuple(
    getattr(TrialMetricRow, name)
    for name in (
        *("trial_id", "metric", "side", "mean", "sd", "n", "lag1", "se_reconstruction", "tier"),
        *("definition_version", "quality", "reason", "model_hash"),
    )
)
# Landmarks that reach no tier give no metric; the row then only carries its reason.
_TIERS: dict[int | None, Tier] = {None: Tier.T0} | {int(tier): tier for tier in Tier}


def select_visits() -> Select[*tuple[Any, ...]]:
    """Rows that `read_visits` takes, to be filtered and ordered."""
    return select(*_VISIT)


def read_visits(
    session: Session, rows: Sequence[Row[Any]], counting: Counting, metrics: Sequence[str] = ()
) -> list[Visit]:
    """The visits of these rows with their captures; of these metrics alone where some are named, and then without the
    trials that give no capture."""
    captures = read_captures(session, [row.id for row in rows], counting, metrics)
    absent = {} if metrics else _read_absent(session, captures, [row.id for row in rows])
    return [as_visit(row, captures.get(row.id, ()), absent.get(row.id, ())) for row in rows]


def as_visit(row: Any, captures: Sequence[Capture], absent: Sequence[AbsentTrial] = ()) -> Visit:
    """A visit of a row of `select_visits` or of a SessionRow."""
    at = show_moment(row.captured_at)
    return Visit(row.code, at, row.phase, tuple(captures), tuple(absent), row.repeats, row.operator)


def read_goals(session: Session, episode_id: str | None) -> tuple[Goal, ...]:
    """The goals of an episode in their order; none without one."""
    if episode_id is None:
        return ()
    goals = select(GoalRow.metric, GoalRow.side, GoalRow.direction, GoalRow.date)
    mine = goals.where(GoalRow.episode_id == episode_id).order_by(GoalRow.position)
    return tuple(Goal(g.metric, g.side, g.direction, g.date.isoformat()) for g in session.execute(mine))


def read_captures(
    session: Session, session_ids: Sequence[str], counting: Counting, metrics: Sequence[str] = ()
) -> dict[str, list[Capture]]:
    """Captures by session id: the runs that count, of trials that are not excluded and can have strides."""
    runs = session.execute(_select_runs(counting), {"sessions": session_ids}).all()
    trial_ids = [run.trial_id for run in runs]
    values = _read_metrics(session, runs, counting, metrics)
    releases = release_of_runs(session, trial_ids, counting)
    captures: dict[str, list[Capture]] = {}
    for run in runs:
        capture = _capture(run, values.get(run.trial_id, []), releases.get((run.trial_id, run.run), ""))
        captures.setdefault(run.session_id, []).append(capture)
    return captures


@lru_cache(maxsize=32)
def _select_runs(counting: Counting) -> Select[*tuple[Any, ...]]:
    """Of the visits `sessions`. Putting such a statement together takes as long as asking it, so that is done once."""
    return (
        select(*_RUN, *_CONDITIONS)
        .select_from(RunRow)
        .join(TrialRow, TrialRow.id == RunRow.trial_id)
        .join(SessionRow, SessionRow.id == TrialRow.session_id)
        .join(SubjectRow, SubjectRow.id == SessionRow.subject_id)
        .where(TrialRow.session_id.in_(bindparam("sessions", expanding=True)), counting.of(RunRow))
        .where(TrialRow.excluded.is_(False), TrialRow.kind.in_(_WITH_STRIDES))
        .order_by(TrialRow.recorded_at, TrialRow.code)
    )


@lru_cache(maxsize=32)
def _select_metrics(counting: Counting, *, some: bool) -> Select[*tuple[Any, ...]]:
    """Of the `trials`; with `some`, of the `metrics` alone, which lie together by subject and not by trial."""
    trials = TrialMetricRow.trial_id.in_(bindparam("trials", expanding=True))
    asked = select(*_METRIC).where(trials, counting.of(TrialMetricRow))
    if not some:
        return asked
    subjects = TrialMetricRow.subject.in_(bindparam("subjects", expanding=True))
    return asked.where(subjects, TrialMetricRow.metric.in_(bindparam("metrics", expanding=True)))


def _read_metrics(
    session: Session, runs: Sequence[Row[Any]], counting: Counting, metrics: Sequence[str]
) -> dict[str, list[Row[Any]]]:
    asked = {"trials": [run.trial_id for run in runs]}
    if metrics:
        asked |= {"metrics": list(metrics), "subjects": sorted({run.subject for run in runs})}
    values: dict[str, list[Row[Any]]] = {}
    for row in session.execute(_select_metrics(counting, some=bool(metrics)), asked):
        values.setdefault(row.trial_id, []).append(row)
    return values


def _read_absent(
    session: Session, captures: Mapping[str, Sequence[Capture]], session_ids: Sequence[str]
) -> dict[str, list[AbsentTrial]]:
    """Runs and walks of visits that give no capture; a reader must not take them for never recorded."""
    trials = select(*_CONDITIONS, TrialRow.excluded, TrialRow.exclusion_reason)
    mine = trials.where(TrialRow.session_id.in_(session_ids), TrialRow.kind.in_(_WITH_STRIDES))
    present = {(visit, c.name.trial) for visit, found in captures.items() for c in found}
    absent: dict[str, list[AbsentTrial]] = {}
    tells_why = reads_typed(session, TrialRow, "exclusion_reason")
    for row in session.execute(mine.order_by(TrialRow.recorded_at, TrialRow.code)):
        if (row.session_id, row.trial) not in present:
            excluded = f"excluded: {row.exclusion_reason}" if tells_why else "excluded"
            why = excluded if row.excluded else "no results as it stands now; process it"
            absent.setdefault(row.session_id, []).append(AbsentTrial(row.trial, row.kind, _conditions(row), why))
    return absent


def _capture(run: Row[Any], rows: list[Row[Any]], release: str) -> Capture:
    ordered = sorted(rows, key=lambda row: (metric_place(row.metric), row.side))
    return Capture(
        name=TrialName(run.subject, run.session, run.trial),
        kind=run.kind,
        conditions=_conditions(run),
        heading_known=run.heading_known,
        not_for_comparison=run.not_for_comparison,
        metrics=tuple(_capture_metric(row) for row in ordered),
        placement=run.placement,
        up_sd_rad=_number(run.up_sd_rad),
        heading_sd_rad=_number(run.heading_sd_rad),
        static_shares_calibration=run.static_shares_calibration,
        calibration=run.calibration,
        camera_turns={camera: (x, y, z) for camera, (x, y, z) in run.camera_turns.items()},
        model=run.model,
        settings=_settings(run.parameters),
        has_static=bool(run.parameters[_STATIC]) if _STATIC in run.parameters else None,
        release=release,
        run=run.run,
        pipeline_version=run.pipeline_version,
        model_hash=next((row.model_hash for row in rows if row.model_hash), ""),
    )


def _settings(parameters: Mapping[str, str]) -> dict[str, str]:
    """How a run was processed, without what was stated of its trial (`trial.speed_mps` and so on)."""
    return {k: v for k, v in parameters.items() if k.partition(".")[0] not in _STATED}


def _capture_metric(row: Sequence[Any]) -> CaptureMetric:
    _, metric, side, mean, sd, n, lag1, se_reconstruction, tier, version, quality, reason, _ = row
    return CaptureMetric(
        id=metric,
        side=side,
        mean=_number(mean),
        sd=_number(sd),
        n=n,
        lag1=lag1 if lag1 is not None else 0.0,
        se_reconstruction=_number(se_reconstruction),
        tier=_TIERS[tier],
        version=version,
        quality=quality,
        reason=reason,
    )


def _conditions(trial: Any) -> Conditions:
    return Conditions(trial.surface, trial.speed_mps, trial.incline_pct, trial.footwear, trial.pain_0_10)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
