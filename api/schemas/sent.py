"""What every body that a client sends has in common. Unknown fields are refused."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from labsys.core.errors import LabsysError
from labsys.core.session import check_code


def _code(text: str) -> str:
    try:
        return check_code("thing", text)
    except LabsysError as error:
        raise ValueError(str(error)) from error


def no_control_characters(text: str) -> str:
    """The text, unless it holds what no keyboard types (ValueError)."""
    if any((ord(c) < 32 and c not in "\n\t") or 0xD800 <= ord(c) < 0xE000 for c in text):
        raise ValueError("control characters and halves of surrogate pairs are not accepted")
    return text


_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _begins_with_day(value: Any) -> Any:
    """pydantic reads numbers, and texts of digits, as seconds since 1970: 20261122 would be a day of August 1970."""
    if not (isinstance(value, date) or (isinstance(value, str) and _DAY.match(value))):
        raise ValueError("a date begins with year, month and day, as in 2026-11-22")
    return value


Day = Annotated[date, BeforeValidator(_begins_with_day)]


Moment = Annotated[datetime, BeforeValidator(_begins_with_day)]


# The pattern is what `check_code` says, for the document: its own words are told to whoever breaks it.
Code = Annotated[
    str,
    AfterValidator(_code),
    Field(
        description="1-64 letters, digits, '_', '-' or '.'",
        json_schema_extra={"pattern": "^[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_-])?$"},
    ),
]


Word = Annotated[str, AfterValidator(no_control_characters), Field(max_length=200)]


Notes = Annotated[str, AfterValidator(no_control_characters), Field(max_length=20_000)]


# Strict: no true or "3" for a number, as the document says.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]


Finite = Annotated[float, Field(allow_inf_nan=False, strict=True)]


Flag = Annotated[bool, Field(strict=True)]


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


# A field that may be left out of a change, but may not be null.
ABSENT: Any = Field(default=None, json_schema_extra=_without_default)


class Sent(BaseModel):
    """A body that a client sends."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    def given(self) -> dict[str, Any]:
        """The fields that the client named, whatever their value."""
        return {name: getattr(self, name) for name in self.model_fields_set}
