"""What a report rests on: documents that HTTP and the terminal give too. No number is made here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from api.curve_changes import compare_curves
from api.curves import load_curves
from api.database import open_database
from api.index import ensure_indexed
from api.lab_errors import lab_errors
from api.pages.curve_sources import SHOWN
from api.queries import compare_sessions, find_run, find_session, find_trial, find_visit
from api.schemas import SessionDocument, TrialDocument
from api.schemas_results import RunCurves, RunDocument
from api.trial_documents import load_trial_document
from api.views import comparison_document
from labsys.core.session import TrialName
from labsys.storage.lab import Lab

VISITS = ("pre", "post")


@dataclass(frozen=True, eq=False)
class TrialSources:
    """One run of one trial. `result`: as `labsys show --json` prints it."""

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


def gather_trial(lab: Lab, name: TrialName, run: str | None = None) -> TrialSources:
    """One run of a trial; without `run` the one that counts.

    Raises:
        UnknownNameError: no such trial or run. InputError: nothing was processed yet, or a file cannot be read.
    """
    result = load_trial_document(lab, name, run)
    with _reading(lab) as db:
        return TrialSources(
            result=result,
            trial=TrialDocument.of(find_trial(db, name)),
            session=SessionDocument.of(find_session(db, name.subject, name.session)),
            run=RunDocument.of(find_run(db, name, result["run"])),
            curves=load_curves(lab, name, result["run"], angle=None, side=None, strides=False),
        )


def gather_comparison(lab: Lab, subject: str, pre: str, post: str) -> ComparisonSources:
    """Two visits of a subject.

    Raises:
        UnknownNameError: no such subject or session. InputError: both are the same visit, or a file cannot be read.
    """
    with _reading(lab) as db:
        comparison = comparison_document(compare_sessions(db, lab_errors(lab), subject, pre, post))
        visits = [find_visit(db, subject, code) for code in (pre, post)]
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
            run = RunDocument.of(find_run(db, name))
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
