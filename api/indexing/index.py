"""The folder into rows: what the database knows of a lab it learnt here, and it can be deleted and rebuilt at any time.

The folder is read while the write lock is held, so that rows never fall behind a folder that changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.orm import Session

from api.database.columns import Base
from api.database.connection import Database, open_database
from api.database.tables import (
    INDEX_TABLES,
    EpisodeRow,
    FileRow,
    IndexProblemRow,
    IndexState,
    ReleaseMemberRow,
    ReleaseRow,
    RunRow,
    SessionRow,
    SubjectRow,
    TombstoneRow,
    TrialMetricRow,
    TrialRow,
)
from api.indexing.problem import IndexProblem
from labsys.core.errors import InputError
from labsys.storage.current_runs import settle_promotion
from labsys.storage.lab import Lab
from labsys.storage.releases import CANDIDATE, release_names
from labsys.storage.subjects import subject_codes

if TYPE_CHECKING:
    from api.indexing.gather import SubjectRows

# Raise it whenever the same folder would give other rows; every database is then rebuilt when it is next opened.
INDEX_VERSION = 6

_METRICS: Table = Base.metadata.tables[TrialMetricRow.__tablename__]
_FILES: Table = Base.metadata.tables[FileRow.__tablename__]
_TOMBSTONES: Table = Base.metadata.tables[TombstoneRow.__tablename__]
_RELEASES: Table = Base.metadata.tables[ReleaseRow.__tablename__]
_MEMBERS: Table = Base.metadata.tables[ReleaseMemberRow.__tablename__]


@dataclass(frozen=True)
class IndexReport:
    """What an indexing found."""

    subjects: int
    episodes: int
    sessions: int
    trials: int
    runs: int
    metrics: int
    problems: tuple[IndexProblem, ...]


def index_lab(lab: Lab, *, database: Database | None = None) -> IndexReport:
    """Rebuild every row from the lab folder, in one transaction (opens the lab's database where none is given).

    Raises:
        InputError: the database cannot be opened, or belongs to another lab.
    """
    with _opened(lab, database) as opened, opened.write() as session:
        _check_lab(session, lab)
        return _rebuild(session, lab)


def index_subject(lab: Lab, code: str, *, database: Database | None = None) -> IndexReport:
    """Bring the rows of one subject up to date with the folder; idempotent. A subject that is gone loses its rows.

    Call it after every import, processing or edit. A database that was never indexed, or by another version, is
    rebuilt whole.

    Raises:
        InputError: the database cannot be opened, or belongs to another lab.
    """
    with _opened(lab, database) as opened, opened.write() as session:
        return refresh_subject(session, lab, code)


def refresh_subject(session: Session, lab: Lab, code: str) -> IndexReport:
    """As `index_subject`, inside a write transaction that is open already."""
    _check_lab(session, lab)
    if not _is_indexed(session, lab):
        return _rebuild(session, lab)
    session.execute(delete(IndexProblemRow).where(IndexProblemRow.subject == code))
    session.execute(delete(SubjectRow).where(SubjectRow.code == code))
    session.execute(delete(TombstoneRow).where(TombstoneRow.subject == code))
    session.expunge_all()
    codes = [code] if code in subject_codes(lab) else []
    return _insert_subjects(session, lab, codes)


def check_releases(lab: Lab) -> None:
    """InputError where a release cannot be read: then no subject can be indexed, and none should be changed."""
    from api.indexing.gather_releases import LabReleases

    LabReleases.read(lab)


def ensure_indexed(lab: Lab, database: Database) -> None:
    """Index the lab if this database never was, was by another version, or does not know a release that a process
    promoted without living to index it; else nothing happens."""
    settle_promotion(lab)
    with database.read() as session:
        _check_lab(session, lab)
        if _is_indexed(session, lab):
            return
    index_lab(lab, database=database)


def find_problems(session: Session) -> tuple[IndexProblem, ...]:
    """What of the folder could not be read when it was last indexed."""
    rows = session.scalars(select(IndexProblemRow).order_by(IndexProblemRow.place))
    return tuple(IndexProblem(r.place, r.what, r.remedy) for r in rows)


@contextmanager
def _opened(lab: Lab, database: Database | None) -> Iterator[Database]:
    if database is not None:
        yield database
        return
    opened = open_database(lab)
    try:
        yield opened
    finally:
        opened.close()


def _check_lab(session: Session, lab: Lab) -> None:
    other = session.scalars(select(IndexState.lab_uuid).where(IndexState.lab_uuid != lab.uuid)).first()
    if other is not None:
        raise InputError(
            "the database belongs to another lab folder",
            where=f"database of lab {other}, folder of lab {lab.uuid}",
            remedy="Give this lab a database of its own: `database` in labsys.toml",
        )


def _is_indexed(session: Session, lab: Lab) -> bool:
    if session.scalars(select(IndexState.index_version)).first() != INDEX_VERSION:
        return False
    known = set(session.scalars(select(ReleaseRow.name))) - {CANDIDATE}
    return known == set(release_names(lab))


def _rebuild(session: Session, lab: Lab) -> IndexReport:
    for table in reversed(Base.metadata.sorted_tables):
        if table.name in INDEX_TABLES:
            session.execute(delete(table))
    session.expunge_all()
    session.add(IndexState(lab_uuid=lab.uuid, index_version=INDEX_VERSION))
    return _insert_subjects(session, lab, subject_codes(lab))


def _insert_subjects(session: Session, lab: Lab, codes: Sequence[str]) -> IndexReport:
    owners = _known_identities(session)

    def claim(identity: str, owner: str) -> None:
        if identity in owners:
            raise InputError(
                f"{owner} has the identity {identity}, which {_other(owner, owners[identity])} has",
                remedy="A copied folder keeps its UUID: find both by it, and delete the copy or give it a new one",
            )
        owners[identity] = owner

    # Reading runs takes libraries that a service whose index is whole does without: its first page comes sooner.
    from api.indexing.gather import gather_subject
    from api.indexing.gather_releases import LabReleases

    releases = LabReleases.read(lab)
    _write_releases(session, releases.rows())
    gathered = []
    for code in codes:
        rows = gather_subject(lab, code, claim, releases)
        _insert(session, code, rows)
        gathered.append(rows)
    return _report(gathered)


def _write_releases(session: Session, rows: list[dict[str, Any]]) -> None:
    """Releases are few: each is written again, but only one that went or was begun anew takes its members along."""
    begun = {row["name"]: row["made_at"] for row in rows}
    known = {row.name: row.made_at for row in session.execute(select(ReleaseRow.name, ReleaseRow.made_at))}
    gone = [name for name, made_at in known.items() if begun.get(name) != made_at]
    session.execute(delete(ReleaseRow).where(ReleaseRow.name.in_(gone)))
    for row in rows:
        if row["name"] in known and row["name"] not in gone:
            session.execute(update(_RELEASES).where(_RELEASES.c.name == row["name"]).values(row))
        else:
            session.execute(insert(_RELEASES), row)


def _other(owner: str, first: str) -> str:
    """The first owner of an identity, by name within a subject alone: who may see one subject may read this."""
    subjects = [name.split()[1].split("/")[0] for name in (owner, first)]
    return first if subjects[0] == subjects[1] else "a folder of another subject"


def _known_identities(session: Session) -> dict[str, str]:
    subject, visit = SubjectRow.code, SessionRow.code
    found: dict[str, str] = {}
    for identity, code in session.execute(select(SubjectRow.id, subject)):
        found[identity] = f"subject {code}"
    for identity, code, label in session.execute(
        select(EpisodeRow.id, subject, EpisodeRow.label).join(EpisodeRow.subject)
    ):
        found[identity] = f"episode {code} {label}"
    for identity, code, day in session.execute(select(SessionRow.id, subject, visit).join(SessionRow.subject)):
        found[identity] = f"session {code}/{day}"
    trials = select(TrialRow.id, subject, visit, TrialRow.code).join(TrialRow.session).join(SessionRow.subject)
    for identity, code, day, trial in session.execute(trials):
        found[identity] = f"trial {code}/{day}/{trial}"
    return found


def _insert(session: Session, code: str, rows: SubjectRows) -> None:
    session.add_all(rows.nouns)
    merged = {p.place: p for p in rows.problems}
    session.add_all(IndexProblemRow(place=p.place, subject=code, what=p.what, remedy=p.remedy) for p in merged.values())
    session.flush()
    for table, values in (
        (_FILES, rows.files),
        (_METRICS, rows.metrics),
        (_MEMBERS, rows.members),
        (_TOMBSTONES, rows.tombstones),
    ):
        if values:
            session.execute(insert(table), values)
    session.expunge_all()


def _report(gathered: list[SubjectRows]) -> IndexReport:
    def count(kind: type[Base]) -> int:
        return sum(rows.count(kind) for rows in gathered)

    return IndexReport(
        subjects=count(SubjectRow),
        episodes=count(EpisodeRow),
        sessions=count(SessionRow),
        trials=count(TrialRow),
        runs=count(RunRow),
        metrics=sum(len(rows.metrics) for rows in gathered),
        problems=tuple(p for rows in gathered for p in rows.problems),
    )
