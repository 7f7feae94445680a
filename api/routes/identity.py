"""Who a subject is. Every reading is written down; nothing of it is cached, logged, or in any other answer."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Self

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.access.authenticate import actor_of
from api.dependencies import DatabaseDep, LabDep, SubjectCode
from api.documents import as_bytes
from api.errors import RefusedError, problem_responses
from api.identity import Identity, KeyStore, LockedError, erase_identity, read_identity, save_identity
from api.queries import find_subject
from api.schemas.sent import Sent, Word, no_control_characters

router = APIRouter(prefix="/subjects", tags=["identity"])

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


@router.get("/{subject}/identity", response_model=IdentityDocument, responses=problem_responses(404, 409))
def get_identity(request: Request, lab: LabDep, database: DatabaseDep, subject: SubjectCode) -> Response:
    """Name, record number and contact; 409 where they are there and their key is not."""
    with database.write() as session:
        row = find_subject(session, subject)
        try:
            identity, locked = read_identity(session, actor_of(request), KeyStore.of(lab), row), None
        except LockedError as error:
            identity, locked = None, error
    if locked is not None:
        raise _refusal(locked) from locked
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


@router.delete("/{subject}/identity", response_model=IdentityDocument, responses=problem_responses(404))
def delete_identity(request: Request, lab: LabDep, database: DatabaseDep, subject: SubjectCode) -> Response:
    """Destroy the key of a subject's identity: nobody can read it again, from here or from any backup."""
    with database.write() as session:
        row = find_subject(session, subject)
        erase_identity(session, actor_of(request), KeyStore.of(lab), row)
    return _private(IdentityDocument.of(subject, None))


def _refusal(locked: LockedError) -> RefusedError:
    return RefusedError(HTTPStatus.CONFLICT, "locked", locked.what, remedy=locked.remedy)


def _private(document: IdentityDocument) -> Response:
    return Response(as_bytes(document), media_type="application/json", headers={"Cache-Control": "no-store"})
