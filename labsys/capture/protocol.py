"""Session protocols: the steps of a visit and what must be asked, as data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, model_validator

from labsys.capture.rig_base import Positive
from labsys.capture.strict_yaml import AS_TUPLE, Section, check_schema, file_of, parse_section, read_mapping
from labsys.core.errors import InputError, UnknownNameError

PROTOCOL_SCHEMA = "labsys.protocol/1"
# What a protocol may ask for; answers go to session.json and trial.json.
REQUIRABLE = (
    "shoes",
    "pain_0_10",
    "palpated_by",
    "leg_length_m",
    "mass_kg",
    "height_m",
    "operator",
    "phase",
)


class Step(Section):
    """One trial of a visit; familiarisation is not recorded."""

    section: ClassVar[str] = "steps"
    kind: Literal["static", "familiarisation", "run", "walk", "other"]
    seconds: Positive
    speed_mps: Annotated[float, Field(gt=0, le=12)] | Literal["preferred"] | None = None
    incline_pct: Annotated[float, Field(ge=-20, le=30)] = 0.0


class Protocol(Section):
    """A visit's steps in order, and the fields without which it cannot be closed."""

    section: ClassVar[str] = "protocol"
    schema_name: Annotated[Literal["labsys.protocol/1"], Field(alias="schema")]
    name: Annotated[str, Field(min_length=1)]
    steps: Annotated[tuple[Step, ...], AS_TUPLE, Field(min_length=1)]
    required: Annotated[tuple[str, ...], AS_TUPLE] = ()

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Protocol:
        file = file_of(info)
        for name in self.required:
            if name not in REQUIRABLE:
                raise UnknownNameError("required field", name, valid=REQUIRABLE, where=file)
        for number, step in enumerate(self.steps, start=1):
            moving = step.kind in ("run", "walk")
            if moving and step.speed_mps is None:
                raise InputError(
                    f"step {number} ({step.kind}) has no speed_mps", where=file, remedy="Give m/s or 'preferred'"
                )
            if step.kind == "static" and step.speed_mps is not None:
                raise InputError(f"step {number} is static and has a speed", where=file, remedy="Remove speed_mps")
        kinds = [step.kind for step in self.steps]
        if "static" not in kinds:
            raise InputError(
                "the protocol has no static step",
                where=file,
                remedy="Angles need the subject's own standing posture; add {kind: static, seconds: 5}",
            )
        return self


def load_protocol(path: Path) -> Protocol:
    """Read a session protocol.

    Raises:
        UnknownNameError: an unknown key or required field; names the nearest valid one.
        NewerSchemaError: written for a newer labsys.
        InputError: unreadable, a moving step without speed, or no static step.
    """
    content = read_mapping(path)
    check_schema(content, schema=PROTOCOL_SCHEMA, path=path)
    return parse_section(Protocol, content, path=path)
