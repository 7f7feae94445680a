"""What a report rests on: documents that HTTP and the terminal give too. No number is made here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from api.counting import counting_as_of
from api.database.connection import open_database
from api.indexing.index import ensure_indexed
from api.pages.curve_sources import SHOWN
from api.queries import find_run, find_session, find_trial, find_visit
from api.releases import release_of_run
from api.schemas.results import RunCurves, RunDocument
from api.schemas.sessions import SessionDocument
from api.schemas.trials import TrialDocument
from api.views.compared import compared_document
from api.views.curve_changes import compare_curves
from api.views.curves import load_curves
from api.views.trial import load_trial_document
from labsys.core.session import TrialName
from labsys.storage.lab import Lab

VISITS = ("pre", "post")


@dataclass(frozen=True, eq=False)
class TrialSources:
    """One run of one trial. `result`: as `labsys show --json` prints it. `release`: it counts in, with its time."""

    release: Mapping[str, Any] | None
    result: Mapping[str, Any]
    trial: TrialDocument
    session: SessionDocument
    run: RunDocument
    curves: RunCurves


@dataclass(frozen=True, eq=False)
class Capture:
    """One trial of a pair. `visit`: "pre" or "post"."""

    visit: str
    run: RunDocument
    curves: RunCurves


@dataclass(frozen=True, eq=False)
class ComparisonSources:
    """Two visits. `comparison`: as `labsys compare --json` prints it. `captures`: of each pair of conditions.

    `changes`: where over the stride the visits differ, of the angles that are drawn.
    """

    comparison: Mapping[str, Any]
    sessions: tuple[SessionDocument, ...]
    captures: tuple[tuple[Capture, ...], ...]
    changes: tuple[Mapping[str, Any], ...]


def gather_trial(lab: Lab, name: TrialName, run: str | None = None, *, as_of: str | None = None) -> TrialSources:
    """One run of a trial; without `run` the one that counts, now or as of a release.

    Raises:
        UnknownNameError: no such trial, run or release. InputError: not processed yet, or a file cannot be read.
    """
    with _reading(lab) as db:
        return _trial_sources(db, lab, name, run, as_of)


def trial_sources(
    db: Session, lab: Lab, name: TrialName, run: str | None = None, *, as_of: str | None = None
) -> TrialSources:
    """As `gather_trial`, of what this session may see."""
    find_trial(db, name)  # before any file: who may not see the trial learns nothing of it
    return _trial_sources(db, lab, name, run, as_of)


def _trial_sources(db: Session, lab: Lab, name: TrialName, run: str | None, as_of: str | None) -> TrialSources:
    chosen = run if as_of is None else find_run(db, name, counting=counting_as_of(db, as_of)).run
    # The folder comes first: a trial that was never processed may not be in the index yet.
    result = load_trial_document(lab, name, chosen)
    return TrialSources(
        release=release_of_run(db, name, result["run"], as_of),
        result=result,
        trial=TrialDocument.of(find_trial(db, name)),
        session=SessionDocument.of(find_session(db, name.subject, name.session)),
        run=RunDocument.of(find_run(db, name, result["run"])),
        curves=load_curves(lab, name, result["run"], angle=None, side=None, strides=False),
    )


def gather_comparison(lab: Lab, subject: str, pre: str, post: str, *, as_of: str | None = None) -> ComparisonSources:
    """Two visits of a subject, by the runs that count now or as of a release.

    Raises:
        UnknownNameError: no such subject, session or release. InputError: both are the same visit, or a file cannot be
            read.
    """
    with _reading(lab) as db:
        return comparison_sources(db, lab, subject, pre, post, as_of=as_of)


def comparison_sources(
    db: Session, lab: Lab, subject: str, pre: str, post: str, *, as_of: str | None = None
) -> ComparisonSources:
    """As `gather_comparison`, of what this session may see."""
    counting = counting_as_of(db, as_of)
    comparison = compared_document(db, lab, subject, pre, post, counting=counting)
    visits = [find_visit(db, subject, code, counting=counting) for code in (pre, post)]
    return ComparisonSources(
        comparison=comparison,
        sessions=tuple(SessionDocument.of(find_session(db, subject, code)) for code in (pre, post)),
        captures=tuple(tuple(_captures(lab, db, comparison, pair)) for pair in comparison["pairs"]),
        changes=tuple(c for angle in SHOWN for c in compare_curves(lab, visits[0], visits[1], angle=angle)),
    )


def _captures(lab: Lab, db: Session, comparison: Mapping[str, Any], pair: Mapping[str, Any]) -> Iterator[Capture]:
    for visit in VISITS:
        for trial in pair[visit]:
            name = TrialName(comparison["subject"], comparison[visit], trial)
            run = RunDocument.of(find_run(db, name, pair["runs"][f"{name.session}/{name.trial}"]))
            yield Capture(visit, run, load_curves(lab, name, run.run, angle=None, side=None, strides=False))


@contextmanager
def _reading(lab: Lab) -> Iterator[Session]:
    database = open_database(lab)
    try:
        ensure_indexed(lab, database)
        with database.read() as session:
            yield session
    finally:
        database.close()
