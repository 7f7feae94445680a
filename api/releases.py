"""Releases as documents, and which of them a comparison rests on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.counting import Counting, counting_as_of, release_of_runs
from api.database.tables import ReleaseMemberRow, ReleaseRow
from api.moments import show_moment
from api.queries import find_trial
from api.schemas.releases import ReleaseDocument
from labsys.core.errors import UnknownNameError
from labsys.core.session import TrialName
from labsys.longitudinal import Comparison


def release_documents(session: Session) -> list[ReleaseDocument]:
    """All releases, the oldest first; the candidate, if there is one, is among them."""
    counts = select(ReleaseMemberRow.release, func.count().label("n")).group_by(ReleaseMemberRow.release)
    n_trials: dict[str, int] = {row.release: row.n for row in session.execute(counts)}
    rows = session.scalars(select(ReleaseRow).order_by(ReleaseRow.made_at, ReleaseRow.name))
    return [ReleaseDocument.of(row, n_trials.get(row.name, 0)) for row in rows]


def find_release(session: Session, name: str) -> ReleaseDocument:
    """One release by name (UnknownNameError names the nearest)."""
    found = {document.name: document for document in release_documents(session)}
    if name not in found:
        raise UnknownNameError("release", name, valid=found)
    return found[name]


def as_of_document(session: Session, counting: Counting) -> dict[str, Any] | None:
    """The release that was asked for, and its time; None where nothing was asked for."""
    if not counting.release:
        return None
    made_at, closed_at = session.execute(
        select(ReleaseRow.made_at, ReleaseRow.closed_at).where(ReleaseRow.name == counting.release)
    ).one()
    ended = None if closed_at is None else show_moment(closed_at)
    return {"release": counting.release, "made_at": show_moment(made_at), "closed_at": ended}


def release_of_run(session: Session, name: TrialName, run: str, as_of: str | None) -> dict[str, str] | None:
    """Name and time of the release that a run counts in; the one that was asked for, else the latest. None: in none."""
    trial = find_trial(session, name)
    counting = counting_as_of(session, as_of)
    release = release_of_runs(session, [trial.id], counting).get((trial.id, run))
    return next(iter(_named(session, {release})), None) if release is not None else None


def releases_used(session: Session, comparison: Comparison) -> list[dict[str, str]]:
    """Name and time of every release that the compared runs count in, the oldest first."""
    names = {c.release for pair in comparison.pairs for c in (*pair.pre, *pair.post)} - {""}
    return _named(session, names)


def _named(session: Session, names: Iterable[str]) -> list[dict[str, str]]:
    rows = select(ReleaseRow.name, ReleaseRow.made_at).where(ReleaseRow.name.in_(sorted(names)))
    found = session.execute(rows.order_by(ReleaseRow.made_at, ReleaseRow.name))
    return [{"release": name, "made_at": show_moment(made_at)} for name, made_at in found]
