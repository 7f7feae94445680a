"""YAML files that people write, read strictly: an unknown or doubled key is an error that names file and key."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from labsys.core.errors import InputError, NewerSchemaError, UnknownNameError

# A list in the file, a tuple in the value; the elements stay strictly typed.
AS_TUPLE = Field(strict=False)


class Section(BaseModel):
    """One mapping of a file: frozen, typed, no unknown key. `section` is its name in messages and docs."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False)
    section: ClassVar[str] = ""

    @classmethod
    def known_keys(cls) -> tuple[str, ...]:
        """Keys as written in the file."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, content: Any, info: ValidationInfo) -> Any:
        if isinstance(content, dict):
            for key in content:
                if key not in cls.known_keys():
                    raise UnknownNameError(
                        f"key of {cls.section}", str(key), valid=cls.known_keys(), where=file_of(info)
                    )
        return content


def file_of(info: ValidationInfo) -> str:
    """Path of the file being read, for messages."""
    return str((info.context or {}).get("file", ""))


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; here that is an error."""


def _construct_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    mapping: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in mapping:
            raise InputError(f"key '{key}' occurs twice, the second time in line {key_node.start_mark.line + 1}")
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        InputError: the file is missing, is not YAML, holds a key twice, or holds something else than a mapping.
    """
    try:
        # A SafeLoader under another name: it constructs plain values only.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path.name}: {error}", where=str(path)) from error
    except yaml.YAMLError as error:
        raise InputError(f"{path.name} is not YAML: {' '.join(str(error).split())}", where=str(path)) from error
    except InputError as error:
        raise InputError(error.what, where=str(path), remedy="Keep one of them") from error
    if not isinstance(content, dict):
        raise InputError(f"{path.name} does not hold keys and values", where=str(path))
    return content


def check_schema(content: dict[str, Any], *, schema: str, path: Path) -> None:
    """Compare the file's `schema: name/version` with the one that this labsys reads.

    Raises:
        NewerSchemaError: same name, higher version.
        InputError: no schema, or another one.
    """
    found = content.get("schema")
    name, version = schema.rsplit("/", 1)
    match = re.fullmatch(rf"{re.escape(name)}/(\d+)", str(found))
    if match and int(match[1]) > int(version):
        raise NewerSchemaError(
            f"{path.name} has schema {found}, this labsys reads {schema}", where=str(path), remedy="Update labsys"
        )
    if found != schema:
        raise InputError(
            f"{path.name} has schema {found}, expected {schema}",
            where=str(path),
            remedy=f"Begin it with 'schema: {schema}'",
        )


SectionType = TypeVar("SectionType", bound=Section)


def parse_section(section: type[SectionType], content: dict[str, Any], *, path: Path) -> SectionType:
    """Validate a mapping as this section.

    Raises:
        UnknownNameError: a key that the section does not know.
        InputError: a value of the wrong type or outside its range, or a rule between values that is broken.
    """
    try:
        return section.model_validate(content, context={"file": str(path)})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or section.section
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise InputError(f"{key}: {first['msg']}{more}", where=str(path)) from error
