"""Which run of a trial a question is about: the one that counts now, or the one of a release."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Exists, Select, and_, bindparam, exists, not_, or_, select
from sqlalchemy.orm import Session

from api.database.tables import ReleaseMemberRow, ReleaseRow, RunRow, TrialMetricRow
from api.lab_errors import lab_errors
from labsys.core.errors import UnknownNameError
from labsys.core.measurement_error import ErrorTable
from labsys.storage.lab import Lab
from labsys.storage.releases import CANDIDATE, load_release

Counted = type[RunRow] | type[TrialMetricRow]


@dataclass(frozen=True)
class Counting:
    """Runs that count. release: "" is now; the candidate is what would count once it is promoted.

    Attributes:
        else_now: where a trial is no member, its present run counts.
    """

    release: str = ""
    else_now: bool = False

    def of(self, kind: Counted) -> ColumnElement[bool]:
        """As a condition on runs or on their metrics."""
        if not self.release:
            return kind.is_current.is_(True)
        member = self._member(kind, same_run=True)
        if not self.else_now:
            return member
        return or_(member, and_(kind.is_current.is_(True), not_(self._member(kind, same_run=False))))

    def _member(self, kind: Counted, *, same_run: bool) -> Exists:
        mine = [ReleaseMemberRow.release == self.release, ReleaseMemberRow.trial_id == kind.trial_id]
        if same_run:
            mine.append(ReleaseMemberRow.run == kind.run)
        return exists(select(1).where(*mine).correlate(kind))


NOW = Counting()
PROMOTED = Counting(CANDIDATE, else_now=True)


def counting_as_of(session: Session, as_of: str | None) -> Counting:
    """What a release says; None is now (UnknownNameError names the nearest release)."""
    if as_of is None:
        return NOW
    names = session.scalars(select(ReleaseRow.name).order_by(ReleaseRow.made_at)).all()
    if as_of not in names:
        raise UnknownNameError("release", as_of, valid=names)
    return Counting(as_of)


def errors_as_of(lab: Lab, counting: Counting) -> ErrorTable:
    """The measurement error that a release was judged by; now, and for the candidate, the one that counts now."""
    if counting.release in ("", CANDIDATE):
        return lab_errors(lab)
    return load_release(lab, counting.release).errors.table


def release_of_runs(session: Session, trial_ids: list[str], counting: Counting) -> dict[tuple[str, str], str]:
    """(trial, run) -> the latest release it is a member of; as of a release, that one alone."""
    found = session.execute(_select_releases(counting), {"trials": trial_ids})
    return {(trial, run): release for trial, run, release in found}


@lru_cache(maxsize=32)
def _select_releases(counting: Counting) -> Select[*tuple[Any, ...]]:
    rows = (
        select(ReleaseMemberRow.trial_id, ReleaseMemberRow.run, ReleaseMemberRow.release)
        .join(ReleaseRow, ReleaseRow.name == ReleaseMemberRow.release)
        .where(ReleaseMemberRow.trial_id.in_(bindparam("trials", expanding=True)))
        .order_by(ReleaseRow.made_at, ReleaseRow.name)
    )
    if counting.release and not counting.else_now:
        return rows.where(ReleaseMemberRow.release == counting.release)
    return rows if counting.release else rows.where(ReleaseMemberRow.release != CANDIDATE)
