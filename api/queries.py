"""Questions to the index: nouns by name, comparison and trend. Inside units; no HTTP, no files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, select
from sqlalchemy.orm import Session

from api.captures import as_visit, read_captures, read_goals, read_visits, select_visits
from api.counting import NOW, Counting
from api.database.tables import EpisodeRow, RunRow, SessionRow, SubjectRow, TrialMetricRow, TrialRow
from labsys.core.catalogue import find_metric, metric_place
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.measurement_error import ErrorTable
from labsys.core.session import Goal, TrialName
from labsys.core.skeleton import Side
from labsys.longitudinal import TREND_NEEDS, Comparison, Person, Trend, Visit, compare_visits, metric_trend


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
    rows = _visit_rows(session, subject, (pre, post))
    if rows[0].id == rows[1].id:
        raise InputError(f"session '{pre}' cannot be compared with itself", remedy="Name two sessions")
    before, after = read_visits(session, rows, counting)
    goals = read_goals(session, rows[1].episode_id or rows[0].episode_id)
    return compare_visits(before, after, goals=goals, errors=errors, subject=subject)


def find_visit(session: Session, subject: str, code: str, *, counting: Counting = NOW) -> Visit:
    """One visit with the metrics of its trials' runs that count (UnknownNameError names the nearest session)."""
    return read_visits(session, _visit_rows(session, subject, (code,)), counting)[0]


def find_visits(session: Session, subject: str, counting: Counting) -> tuple[list[Visit], dict[str, tuple[Goal, ...]]]:
    """All visits of a subject in order of date, and the goals by visit (UnknownNameError: no such subject)."""
    rows = _all_visit_rows(session, subject)
    goals = {episode: read_goals(session, episode) for episode in {row.episode_id for row in rows}}
    return read_visits(session, rows, counting), {row.code: goals[row.episode_id] for row in rows}


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
    rows = _all_visit_rows(session, subject)
    visits = read_visits(session, rows, counting, metrics=(metric, *TREND_NEEDS))
    goals = read_goals(session, next((r.episode_id for r in reversed(rows) if r.episode_id is not None), None))
    return metric_trend(visits, metric, side, errors, goals=goals)


def find_people(session: Session) -> list[Person]:
    """Every subject with all visits, their captures and all metrics: what the lab's own error is learnt from."""
    rows = session.scalars(select(SessionRow).order_by(SessionRow.captured_at, SessionRow.id)).all()
    captures = read_captures(session, [row.id for row in rows], NOW)
    visits: dict[str, list[Visit]] = {}
    for row in rows:
        visits.setdefault(row.subject.code, []).append(as_visit(row, captures.get(row.id, ())))
    return [Person(code, tuple(found)) for code, found in sorted(visits.items())]


def _visit_rows(session: Session, subject: str, codes: Sequence[str]) -> list[Row[Any]]:
    mine = SessionRow.subject_id == _subject_id(session, subject)
    found = {row.code: row for row in session.execute(select_visits().where(mine, SessionRow.code.in_(codes)))}
    return [found.get(c) or _unknown(session, "session", c, select(SessionRow.code).where(mine)) for c in codes]


def _all_visit_rows(session: Session, subject: str) -> Sequence[Row[Any]]:
    found = session.execute(_select_visits_of_subject(), {"subject": subject}).all()
    if not found:
        _subject_id(session, subject)  # nobody's, or of somebody who is not there
    return found


@cache
def _select_visits_of_subject() -> Select[*tuple[Any, ...]]:
    """In order of time."""
    mine = select_visits().join(SubjectRow, SubjectRow.id == SessionRow.subject_id)
    of_code = mine.where(SubjectRow.code == bindparam("subject"))
    return of_code.order_by(SessionRow.captured_at, SessionRow.id)


def _subject_id(session: Session, code: str) -> str:
    found = session.scalars(select(SubjectRow.id).where(SubjectRow.code == code)).first()
    return found if found is not None else _unknown(session, "subject", code, select(SubjectRow.code))
