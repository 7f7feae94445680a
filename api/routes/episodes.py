"""Episodes: an injury or programme with its index date and the clinician's goals."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from sqlalchemy import select

from api.database.tables import EpisodeRow, SubjectRow
from api.dependencies import CodeFilter, Cursor, DatabaseDep, EpisodeLabel, LabDep, Limit, SessionDep, SubjectCode
from api.documents import send
from api.edits import Kept, change_noun, make_noun, with_fields
from api.errors import problem_responses
from api.once import ONCE, OnceRoute
from api.paging import Keyset
from api.queries import find_episode
from api.routing import Router
from api.schemas.episodes import EpisodeChange, EpisodeDocument, EpisodeNew
from api.schemas.results import Page
from labsys.core.session import Episode, Goal
from labsys.storage.episodes import load_episode, save_episode
from labsys.storage.lab import Lab

router = Router(prefix="/episodes", tags=["episodes"], route_class=OnceRoute)


@router.get("", response_model=Page[EpisodeDocument], responses=problem_responses())
def list_all(
    request: Request, db: SessionDep, subject: CodeFilter = None, limit: Limit = 100, cursor: Cursor = None
) -> Response:
    """Episodes by subject and label."""
    statement = select(EpisodeRow).join(EpisodeRow.subject)
    if subject is not None:
        statement = statement.where(SubjectRow.code == subject)
    keys = Keyset.of((EpisodeRow.index_date, EpisodeRow.id), {"subject": subject})
    rows, following = keys.fetch(db, statement, cursor, limit)
    return send(request, Page(items=[EpisodeDocument.of(r) for r in rows], next_cursor=following))


@router.post(
    "", dependencies=[ONCE], status_code=201, response_model=EpisodeDocument, responses=problem_responses(409, 413)
)
def create(request: Request, lab: LabDep, database: DatabaseDep, body: EpisodeNew) -> Response:
    """Make an episode."""
    empty = Episode(uuid="", subject=body.subject, label=body.label, index_date="")
    return make_noun(request, lab, database, _kept(lab, body.subject, body.label), with_fields(empty, _fields(body)))


@router.get("/{subject}/{episode}", response_model=EpisodeDocument, responses=problem_responses(404))
def get(request: Request, db: SessionDep, subject: SubjectCode, episode: EpisodeLabel) -> Response:
    """One episode with its goals."""
    return send(request, EpisodeDocument.of(find_episode(db, subject, episode)))


@router.patch("/{subject}/{episode}", response_model=EpisodeDocument, responses=problem_responses(404, 409, 412, 413))
def change(
    request: Request,
    lab: LabDep,
    database: DatabaseDep,
    subject: SubjectCode,
    episode: EpisodeLabel,
    body: EpisodeChange,
) -> Response:
    """Change the named fields of an episode; `goals` replaces the whole list."""
    given = _fields(body)
    return change_noun(request, lab, database, _kept(lab, subject, episode), lambda noun: with_fields(noun, given))


def _fields(body: EpisodeChange) -> dict[str, Any]:
    given = body.given()
    if "goals" in given:
        given["goals"] = [Goal(g.metric, g.side, g.direction, g.date.isoformat()) for g in body.goals]
    return given


def _kept(lab: Lab, subject: str, label: str) -> Kept[Episode]:
    return Kept(
        kind="episode",
        subject=subject,
        visit="",
        location=f"episodes/{subject}/{label}",
        load=lambda: load_episode(lab, subject, label),
        save=lambda noun: save_episode(lab, noun),
        find=lambda session: EpisodeDocument.of(find_episode(session, subject, label)),
    )
