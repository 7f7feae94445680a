"""Who a subject is. Every reading is written down; nothing of it is cached, logged, or in any other answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Self

from fastapi import Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api import kept_days
from api.access.authenticate import actor_of
from api.begun_edits import take_back
from api.dependencies import DatabaseDep, LabDep, SubjectCode
from api.documents import as_bytes
from api.erasure import KEPT, erase_subject
from api.errors import RefusedError, problem_responses
from api.identity import Identity, erase_identity, read_identity, save_identity
from api.key_store import KeyStore, LockedError
from api.queries import find_subject
from api.routing import Router
from api.schemas.sent import Sent, Word, no_control_characters
from labsys.core.session import TrialName
from labsys.storage.erasures import Erasure, find_erasure
from labsys.storage.trial_bin import moved_to_others

router = Router(prefix="/subjects", tags=["identity"])

KeepDays = Annotated[int, Query(ge=0, le=3650, description="Days until recordings are removed")]
Contact = Annotated[str, AfterValidator(no_control_characters), Field(max_length=2000)]


class IdentityChange(Sent):
    """Who a subject is, whole; what is not named is empty afterwards."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ada Example", "record_number": "123"}]})

    name: Word = ""
    record_number: Word = ""
    contact: Contact = ""


class IdentityDocument(BaseModel):
    """Who a subject is; `known` is false where that was never said, or was erased."""

    subject: str
    known: bool
    name: str
    record_number: str
    contact: str

    @classmethod
    def of(cls, subject: str, identity: Identity | None) -> Self:
        """From the decrypted row."""
        return cls(subject=subject, known=identity is not None, **asdict(identity or Identity()))


class Recordings(StrEnum):
    """What becomes of the recordings of somebody whose identity is erased."""

    REMOVED = "removed"
    KEPT = "kept"


class ErasedDocument(IdentityDocument):
    """A subject who was erased: since when (null where only the identity was), after when no recording is left, what
    stays and why; and trials that were the subject's and were moved to others, which are not hidden."""

    asked_at: str | None
    recordings_removed_after: str | None
    kept: list[str]
    moved_away: list[str]

    @classmethod
    def after(cls, subject: str, erasure: Erasure | None, kept: Sequence[str], moved_away: Sequence[TrialName]) -> Self:
        """Of what was begun."""
        return cls(
            **IdentityDocument.of(subject, None).model_dump(),
            asked_at=None if erasure is None else erasure.asked_at,
            recordings_removed_after=None if erasure is None else erasure.remove_after,
            kept=list(kept),
            moved_away=[str(name) for name in moved_away],
        )


@router.get("/{subject}/identity", response_model=IdentityDocument, responses=problem_responses(404, 409))
def get_identity(request: Request, lab: LabDep, database: DatabaseDep, subject: SubjectCode) -> Response:
    """Name, record number and contact; 409 where they are there and their key is not."""
    try:
        identity = read_identity(database, actor_of(request), KeyStore.of(lab), subject)
    except LockedError as error:
        raise _refusal(error) from error
    return _private(IdentityDocument.of(subject, identity))


@router.put("/{subject}/identity", response_model=IdentityDocument, responses=problem_responses(404, 409, 413))
def put_identity(
    request: Request, lab: LabDep, database: DatabaseDep, subject: SubjectCode, body: IdentityChange
) -> Response:
    """Say who a subject is; 409 where something is known already and its key is not here."""
    identity = Identity(**body.model_dump())
    with database.write() as session:
        row = find_subject(session, subject)
        try:
            save_identity(session, actor_of(request), KeyStore.of(lab), row, identity)
        except LockedError as error:
            raise _refusal(error) from error
    return _private(IdentityDocument.of(subject, identity))


@router.delete("/{subject}/identity", response_model=ErasedDocument, responses=problem_responses(404))
def delete_identity(
    request: Request,
    lab: LabDep,
    database: DatabaseDep,
    subject: SubjectCode,
    recordings: Annotated[Recordings, Query(description="`kept` where only the key is lost")] = Recordings.REMOVED,
    keep_days: KeepDays = kept_days.ERASED,
) -> Response:
    """Erase a subject: the key of the identity is destroyed, so that nobody can read it again, from here or from any
    backup; recordings are hidden now, and removed after `keep_days`."""
    actor = actor_of(request)
    with database.write() as session:
        row = find_subject(session, subject)
        if recordings is Recordings.KEPT:
            erase_identity(session, actor, KeyStore.of(lab), row)
            erasure, kept, told = find_erasure(lab, subject), KEPT, None
        else:
            erased = erase_subject(session, actor, lab, row, keep_days=keep_days)
            erasure, kept, told = erased.erasure, erased.kept, erased.told
    if told is not None:
        take_back(told)
    return _private(ErasedDocument.after(subject, erasure, kept, moved_to_others(lab, subject)))


def _refusal(locked: LockedError) -> RefusedError:
    return RefusedError(HTTPStatus.CONFLICT, "locked", locked.what, remedy=locked.remedy)


def _private(document: IdentityDocument) -> Response:
    return Response(as_bytes(document), media_type="application/json", headers={"Cache-Control": "no-store"})
