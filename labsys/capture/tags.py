"""Treadmill tags: ArUco markers on the chassis that give every calibration the same LAB frame."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import yaml
from pydantic import Field, ValidationInfo, model_validator

from labsys.capture.strict_yaml import AS_TUPLE, Section, check_schema, file_of, parse_section, read_mapping
from labsys.core.board import DICTIONARIES
from labsys.core.errors import InputError, UnknownNameError
from labsys.storage.lab import Lab
from labsys.storage.templates import find_template

TAGS_SCHEMA = "labsys.tags/1"
Finite = Annotated[float, Field(allow_inf_nan=False)]
Spread = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Vector = Annotated[tuple[Finite, Finite, Finite], AS_TUPLE]


class TagPose(Section):
    """Where a tag was surveyed: takes points of the tag (x right, y up in its picture, z out of it) into LAB."""

    section: ClassVar[str] = "tags.pose"
    rotvec_rad: Vector
    translation_m: Vector


class Tag(Section):
    """One tag; without a pose until it is surveyed."""

    section: ClassVar[str] = "tags"
    id: Annotated[int, Field(ge=0)]
    label: str = ""
    size_m: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
    pose: TagPose | None = None


class TagSet(Section):
    """All tags of one treadmill."""

    section: ClassVar[str] = "tag set"
    schema_name: Annotated[Literal["labsys.tags/1"], Field(alias="schema")]
    name: Annotated[str, Field(min_length=1)]
    dictionary: str
    surveyed_on: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    up_sd_rad: Spread | None = None
    heading_sd_rad: Spread | None = None
    tags: Annotated[tuple[Tag, ...], AS_TUPLE, Field(min_length=4)]

    @property
    def surveyed(self) -> bool:
        """Whether every tag has a pose."""
        return all(tag.pose is not None for tag in self.tags)

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> TagSet:
        file = file_of(info)
        if self.dictionary not in DICTIONARIES:
            raise UnknownNameError("ArUco dictionary", self.dictionary, valid=DICTIONARIES, where=file)
        ids = [tag.id for tag in self.tags]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise InputError(f"tag id used more than once: {', '.join(map(str, twice))}", where=file)
        if max(ids) >= DICTIONARIES[self.dictionary]:
            raise InputError(f"{self.dictionary} has no tag {max(ids)}", where=file)
        surveyed = sum(tag.pose is not None for tag in self.tags)
        if surveyed != (len(self.tags) if self.surveyed_on else 0):
            raise InputError(
                "the survey is incomplete: poses and surveyed_on belong together",
                where=file,
                remedy="Give every tag a pose and the date, or leave out both",
            )
        return self


def load_tags(path: Path) -> TagSet:
    """Read a treadmill's tag set.

    Raises:
        UnknownNameError: an unknown key or dictionary; names the nearest valid one.
        NewerSchemaError: written for a newer labsys.
        InputError: unreadable, fewer than four tags, equal ids, or half a survey.
    """
    content = read_mapping(path)
    check_schema(content, schema=TAGS_SCHEMA, path=path)
    return parse_section(TagSet, content, path=path)


def format_tags(tags: TagSet) -> str:
    """A tag set as YAML that `load_tags` reads back."""
    content = tags.model_dump(mode="json", by_alias=True)
    head = (
        "# Surveyed by labsys: poses in LAB (X against belt travel, Y up, Z to the runner's right). Keys: README.md.\n"
    )
    return head + yaml.safe_dump(content, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)


def load_surveyed_tags(lab: Lab, name: str) -> TagSet:
    """A tag set of the lab that says where LAB is.

    Raises:
        UnknownNameError: no such set; names the nearest. InputError: it cannot be read, or was not surveyed.
    """
    tags = load_tags(find_template(lab, "tag", name))
    if not tags.surveyed:
        raise InputError(f"the tags {name} were not surveyed", remedy="Survey them: labsys calibrate --survey-tags")
    return tags
