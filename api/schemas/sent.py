"""What every body that a client sends has in common. Unknown fields are refused."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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


Code = Annotated[str, AfterValidator(_code), Field(description="1-64 letters, digits, '_', '-' or '.'")]


Word = Annotated[str, AfterValidator(no_control_characters), Field(max_length=200)]


Notes = Annotated[str, AfterValidator(no_control_characters), Field(max_length=20_000)]


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


Finite = Annotated[float, Field(allow_inf_nan=False)]


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
