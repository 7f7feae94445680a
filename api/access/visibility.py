"""What a restricted one may see, added to every question that a session asks: no route can forget it.

Subjects that may not be seen are missing from lists, counts, tables and suggestions alike, and asking for one by name
runs the same statements as asking for one that never was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Select, event, select
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.orm.attributes import set_committed_value

from api.access.roles import Means, Principal
from api.database.columns import Base
from api.database.tables import (
    EpisodeRow,
    FileRow,
    GoalRow,
    IndexProblemRow,
    ReleaseMemberRow,
    ReleaseRow,
    RunRow,
    ScoreRow,
    SessionRow,
    SubjectRow,
    TombstoneRow,
    TrialMetricRow,
    TrialRow,
)
from api.database.tables_owned import JobRow

_SUBJECT, _EPISODE, _SESSION, _TRIAL, _MEMBER = (
    kind.__table__ for kind in (SubjectRow, EpisodeRow, SessionRow, TrialRow, ReleaseMemberRow)
)


def limit_session(session: Session, principal: Principal) -> None:
    """From now on this session finds only what the principal may see."""
    if principal.subjects is None:
        return
    session.info[_KEPT_BACK] = _TYPED_OF_A_LAB | (_TYPED_OF_RUNNERS if principal.means is Means.LINK else {})
    event.listen(session, "loaded_as_persistent", _forget_typed)
    options = criteria(sorted(principal.subjects))

    def limit(state: ORMExecuteState) -> None:
        if state.is_select:
            state.statement = state.statement.options(*options)

    event.listen(session, "do_orm_execute", limit)


def reads_typed(session: Session, kind: type[Base], name: str) -> bool:
    """Whether this session finds what was typed into a column; for who asks for columns and not for whole rows."""
    return name not in session.info.get(_KEPT_BACK, {}).get(kind, ())


def _forget_typed(session: Session, row: Any) -> None:
    for name in session.info[_KEPT_BACK].get(type(row), ()):
        set_committed_value(row, name, "")


def criteria(codes: list[str]) -> list[Any]:
    """Loader criteria for every table that says something of a subject."""
    return [with_loader_criteria(kind, rule(codes), include_aliases=True) for kind, rule in CRITERIA.items()]


def _subjects(codes: list[str]) -> Select[Any]:
    return select(_SUBJECT.c.id).where(_SUBJECT.c.code.in_(codes))


def _sessions(codes: list[str]) -> Select[Any]:
    return select(_SESSION.c.id).where(_SESSION.c.subject_id.in_(_subjects(codes)))


def _episodes(codes: list[str]) -> Select[Any]:
    return select(_EPISODE.c.id).where(_EPISODE.c.subject_id.in_(_subjects(codes)))


def _trials(codes: list[str]) -> Select[Any]:
    return select(_TRIAL.c.id).where(_TRIAL.c.session_id.in_(_sessions(codes)))


def _releases(codes: list[str]) -> Select[Any]:
    return select(_MEMBER.c.release).where(_MEMBER.c.trial_id.in_(_trials(codes)))


_KEPT_BACK = "labsys_kept_back"
_Typed = dict[type[Base], tuple[str, ...]]
# What was typed about everybody at once may name a subject that is hidden.
_TYPED_OF_A_LAB: _Typed = {ReleaseRow: ("note", "made_by")}
# A link is handed on to anybody, and what was typed about a person may name somebody.
_TYPED_OF_RUNNERS: _Typed = {
    SubjectRow: ("notes",),
    EpisodeRow: ("notes",),
    SessionRow: ("notes",),
    TrialRow: ("notes", "exclusion_reason"),
}
CRITERIA: dict[type[Base], Callable[[list[str]], ColumnElement[bool]]] = {
    SubjectRow: lambda codes: SubjectRow.code.in_(codes),
    EpisodeRow: lambda codes: EpisodeRow.subject_id.in_(_subjects(codes)),
    GoalRow: lambda codes: GoalRow.episode_id.in_(_episodes(codes)),
    SessionRow: lambda codes: SessionRow.subject_id.in_(_subjects(codes)),
    ScoreRow: lambda codes: ScoreRow.session_id.in_(_sessions(codes)),
    TrialRow: lambda codes: TrialRow.session_id.in_(_sessions(codes)),
    RunRow: lambda codes: RunRow.trial_id.in_(_trials(codes)),
    ReleaseMemberRow: lambda codes: ReleaseMemberRow.trial_id.in_(_trials(codes)),
    ReleaseRow: lambda codes: ReleaseRow.name.in_(_releases(codes)),
    FileRow: lambda codes: FileRow.trial_id.in_(_trials(codes)),
    TrialMetricRow: lambda codes: TrialMetricRow.subject.in_(codes),
    TombstoneRow: lambda codes: TombstoneRow.subject.in_(codes),
    IndexProblemRow: lambda codes: IndexProblemRow.subject.in_(codes),
    JobRow: lambda codes: JobRow.subject_id.in_(_subjects(codes)),
}
