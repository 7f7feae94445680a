"""Users, keys, links and the audit as JSON. Only the answer that hands a new secret over holds one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from api.access.keys import LONGEST_LABEL
from api.access.passwords import LONGEST
from api.access.roles import Means, Principal, Role, Scope
from api.database.tables_owned import ApiKeyRow, AuditRow, LinkRow, UserRow
from api.moments import show_moment
from api.schemas.sent import ABSENT, Code, Flag, Moment, Sent, no_control_characters


def _encodable(secret: SecretStr) -> SecretStr:
    no_control_characters(secret.get_secret_value())
    return secret


UserName = Annotated[str, AfterValidator(no_control_characters), Field(min_length=1, max_length=100, examples=["mk"])]
Password = Annotated[
    SecretStr, AfterValidator(_encodable), Field(max_length=LONGEST, examples=["four words that go together"])
]
Label = Annotated[str, AfterValidator(no_control_characters), Field(max_length=LONGEST_LABEL)]


class Credentials(Sent):
    """A name and its password."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "mk", "password": "four words that go together"}]}
    )

    name: UserName
    password: Password


class AccessDocument(BaseModel):
    """Who asks. `set_up`: whether the lab has users. `csrf_token` is sent back as X-CSRF-Token with every change."""

    set_up: bool
    name: str | None
    role: Role | None
    means: Means | None
    scopes: list[Scope]
    subjects: list[str] | None
    csrf_token: str | None

    @classmethod
    def of(cls, principal: Principal | None, *, set_up: bool) -> Self:
        """From whoever asks."""
        if principal is None:
            return cls(set_up=set_up, name=None, role=None, means=None, scopes=[], subjects=[], csrf_token=None)
        return cls(
            set_up=set_up,
            name=principal.name,
            role=principal.role,
            means=principal.means,
            scopes=sorted(principal.scopes),
            subjects=None if principal.subjects is None else sorted(principal.subjects),
            csrf_token=principal.csrf_token or None,
        )


class UserNew(Credentials):
    """A person who may sign in."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "mk", "password": "four words that go together", "role": "clinician"}]}
    )

    role: Role


class UserChange(Sent):
    """Fields of a user to change; what is not named stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "clinician"}]})

    role: Role = ABSENT
    disabled: Flag = ABSENT
    password: Password = ABSENT


class UserDocument(BaseModel):
    """A person who may sign in."""

    name: str
    role: Role
    disabled: bool
    created_at: str

    @classmethod
    def of(cls, row: UserRow) -> Self:
        """From the database."""
        return cls(name=row.name, role=Role(row.role), disabled=row.disabled, created_at=show_moment(row.created_at))


class GrantsDocument(BaseModel):
    """Subjects that a viewer may see."""

    user: str
    subjects: list[str]


class KeyNew(Sent):
    """A program's key. Without scopes it may what its role may; with subjects, and as a viewer, it only reads them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "viewer", "subjects": ["S01"]}]})

    role: Role
    label: Label = ""
    scopes: list[Scope] = Field(default=[], max_length=len(Scope))
    subjects: list[Code] | None = Field(default=None, max_length=1000)
    expires_at: Moment | None = None


class KeyDocument(BaseModel):
    """A program's key, without its secret. `subjects` counts those that it is narrowed to."""

    id: str
    label: str
    role: Role
    scopes: list[Scope]
    subjects: int | None
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None
    used_at: str | None

    @classmethod
    def of(cls, row: ApiKeyRow) -> Self:
        """From the database."""
        return cls(
            id=row.id,
            label=row.label,
            role=Role(row.role),
            scopes=[Scope(s) for s in row.scopes],
            subjects=None if row.subjects is None else len(row.subjects),
            created_at=show_moment(row.created_at),
            created_by=row.created_by,
            expires_at=_moment(row.expires_at),
            revoked_at=_moment(row.revoked_at),
            used_at=_moment(row.used_at),
        )


class KeyMade(KeyDocument):
    """A new key: `token` is shown this once."""

    token: str


class LinkNew(Sent):
    """A read-only link to one subject."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"subject": "S01", "expires_at": "2027-01-31T00:00:00Z"}]}
    )

    subject: Code
    expires_at: Moment


class LinkDocument(BaseModel):
    """A read-only link, without its secret. `subject` is null where the subject is gone."""

    id: str
    subject: str | None
    created_at: str
    created_by: str
    expires_at: str
    revoked_at: str | None

    @classmethod
    def of(cls, row: LinkRow, subject: str | None) -> Self:
        """From the database."""
        return cls(
            id=row.id,
            subject=subject,
            created_at=show_moment(row.created_at),
            created_by=row.created_by,
            expires_at=show_moment(row.expires_at),
            revoked_at=_moment(row.revoked_at),
        )


class SharedFilm(BaseModel):
    """What a link shows of one trial's videos: the film in which faces are blurred, where it is `ready`.

    `not_found`: of its pictures, those in which no face was found; `hidden` of these are blurred as a whole.
    """

    trial: str
    state: Literal["none", "making", "failed", "ready", "impossible"]
    pictures: int | None = None
    not_found: int | None = None
    hidden: int | None = None


class LinkMade(LinkDocument):
    """A new link: `token` is shown this once. `says`: what to know of the faces in `films` before it is handed on."""

    token: str
    films: list[SharedFilm]
    says: str


class LinkToken(Sent):
    """What somebody was handed to see a subject."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"token": f"link_0123456789ab_{'x' * 43}"}]})

    token: SecretStr = Field(max_length=200)


class AuditDocument(BaseModel):
    """Something that was done. Of contents there are only hashes."""

    id: str
    at: str
    actor: str
    action: str
    object: str
    before_hash: str | None
    after_hash: str | None
    request_id: str | None
    address: str | None

    @classmethod
    def of(cls, row: AuditRow) -> Self:
        """From the database."""
        names = ("id", "actor", "action", "object", "before_hash", "after_hash", "request_id", "address")
        return cls(at=show_moment(row.at), **{name: getattr(row, name) for name in names})


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else show_moment(moment)
