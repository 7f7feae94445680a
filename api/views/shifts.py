"""What promoting the candidate would change, subject by subject: for the terminal, HTTP and the page. No number is made
here but by labsys.longitudinal."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from api.counting import NOW, PROMOTED
from api.database.tables import ReleaseMemberRow, ReleaseRow, RunRow, SessionRow, SubjectRow, TrialRow
from api.lab_errors import lab_errors
from api.queries import find_visits
from api.views.numbers import number, outside
from labsys.core.catalogue import find_metric
from labsys.core.errors import UnknownNameError
from labsys.longitudinal import ComparisonRow, MetricShift, SubjectShift, VerdictFlip, shift_subject
from labsys.longitudinal.pairing import COMPARED_KINDS
from labsys.storage.lab import Lab
from labsys.storage.releases import CANDIDATE


def require_candidate(session: Session) -> ReleaseRow:
    """The candidate's row (UnknownNameError: nothing was processed beside what counts)."""
    names = session.scalars(select(ReleaseRow.name)).all()
    if CANDIDATE not in names:
        raise UnknownNameError("release", CANDIDATE, valid=names)
    return session.scalars(select(ReleaseRow).where(ReleaseRow.name == CANDIDATE)).one()


def in_candidate() -> ColumnElement[bool]:
    """Of a subject: it has a run in the candidate."""
    members = (
        select(SessionRow.subject_id)
        .join(TrialRow, TrialRow.session_id == SessionRow.id)
        .join(ReleaseMemberRow, ReleaseMemberRow.trial_id == TrialRow.id)
        .where(ReleaseMemberRow.release == CANDIDATE)
    )
    return SubjectRow.id.in_(members)


def shift_document(session: Session, lab: Lab, subject: str) -> dict[str, Any]:
    """One subject under the candidate, outside units (UnknownNameError: no such subject)."""
    before, goals = find_visits(session, subject, NOW)
    after, _ = find_visits(session, subject, PROMOTED)
    shift = shift_subject(subject, before, after, goals=goals, errors=lab_errors(lab))
    return {
        "subject": subject,
        "trials": _counts(session, subject),
        "n_comparisons": shift.n_comparisons,
        "n_verdicts": shift.n_rows,
        "flips": [_flip_document(f) for f in shift.flips],
        "shifts": [_shift_document(s) for s in _by_weight(shift)],
    }


def _counts(session: Session, subject: str) -> dict[str, int]:
    """Trials processed anew, and those that are compared by a run that counts and were not."""
    trials = select(TrialRow.id).join(TrialRow.session).join(SessionRow.subject).where(SubjectRow.code == subject)
    compared = trials.where(TrialRow.kind.in_(COMPARED_KINDS), TrialRow.excluded.is_(False))
    counted = session.scalars(select(RunRow.trial_id).where(RunRow.trial_id.in_(compared), RunRow.is_current)).all()
    anew = select(ReleaseMemberRow.trial_id).where(ReleaseMemberRow.release == CANDIDATE)
    members = session.scalars(anew.where(ReleaseMemberRow.trial_id.in_(trials))).all()
    return {"processed_anew": len(members), "left_as_they_are": len(set(counted) - set(members))}


def _by_weight(shift: SubjectShift) -> list[MetricShift]:
    """The largest first, held against the error between days; then those whose error is unknown."""

    def weight(one: MetricShift) -> float:
        return shift_in_sem(one) or (0.0 if one.sem > 0 else -1.0)

    return sorted(shift.shifts, key=weight, reverse=True)


def shift_in_sem(shift: MetricShift) -> float | None:
    """The largest shift over the standard error of measurement; None where that is unknown."""
    return number(abs(shift.largest) / shift.sem) if shift.sem > 0 else None


def _shift_document(shift: MetricShift) -> dict[str, Any]:
    unit = find_metric(shift.id).unit
    return {
        "metric": shift.id,
        "side": shift.side.value,
        "unit": unit.value,
        "n_trials": shift.n,
        "mean": outside(shift.mean, unit),
        "largest": outside(shift.largest, unit),
        "trial": shift.trial or None,
        "sem": outside(shift.sem, unit),
        "largest_in_sem": shift_in_sem(shift),
        "gained": shift.gained,
        "lost": shift.lost,
    }


def _flip_document(flip: VerdictFlip) -> dict[str, Any]:
    unit = find_metric(flip.id).unit
    return {
        "pre": flip.pre,
        "post": flip.post,
        "metric": flip.id,
        "side": flip.side.value,
        "unit": unit.value,
        "family": flip.family.value,
        "before": _row_document(flip.before),
        "after": _row_document(flip.after),
    }


def _row_document(row: ComparisonRow | None) -> dict[str, Any] | None:
    if row is None:
        return None
    unit = find_metric(row.id).unit
    return {
        "verdict": row.verdict.value,
        "direction": row.direction,
        "change": outside(row.change, unit),
        "threshold": outside(row.threshold, unit),
        "detectable_change": outside(row.detectable_change, unit),
        "goal_direction": row.goal_direction,
        "unit": unit.value,
        "reason": row.reason,
    }
