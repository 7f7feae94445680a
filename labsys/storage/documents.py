"""Core dataclasses as JSON objects and back: fields by name, enums as their text, and a schema version in every file.

A file of an older schema is read with today's defaults for what it lacks and is never rewritten in place; a file of a
newer schema is refused.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
from collections.abc import Hashable, Mapping
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from labsys.core.errors import InputError, NewerSchemaError
from labsys.core.session import TrialName
from labsys.storage.atomic import read_json, write_json_atomic

SCHEMA_VERSION = 1

T = TypeVar("T")


def check_schema(found: Any, where: str, *, known: int = SCHEMA_VERSION) -> int:
    """Return the schema version of a file, if this labsys can read it.

    Raises:
        InputError: there is no version. NewerSchemaError: it is newer than `known`.
    """
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise InputError("has no schema_version", where=where, remedy="It was not written by labsys, or is damaged")
    if found > known:
        raise NewerSchemaError(
            f"was written with schema {found}, this labsys reads up to {known}", where=where, remedy="Update labsys"
        )
    return found


def save_document(path: Path, value: Any) -> None:
    """Write a dataclass as JSON with its schema version (InputError where it cannot be written)."""
    write_json_atomic(path, {"schema_version": SCHEMA_VERSION, **to_document(value)})


def load_document(path: Path, kind: type[T]) -> T:
    """Read a dataclass that `save_document` wrote.

    Raises:
        InputError: unreadable, a field is missing, unknown or of another type. NewerSchemaError: as `check_schema`.
    """
    document = read_json(path)
    check_schema(document.pop("schema_version", None), str(path))
    return from_document(document, kind, where=str(path))


def to_document(value: Any) -> dict[str, Any]:
    """Fields of a dataclass as JSON values."""
    return {f.name: _encode(getattr(value, f.name)) for f in dataclasses.fields(value)}


def from_document(document: Mapping[str, Any], kind: type[T], *, where: str) -> T:
    """A dataclass from JSON values (InputError names the field and what is wrong with it)."""
    hints = _hints(cast(Hashable, kind))
    _check_fields(document, kind, where)
    fields = {name: _decode(value, hints[name], f"{where}: {name}") for name, value in document.items()}
    try:
        return kind(**fields)
    except InputError as error:
        raise InputError(error.what, where=where, remedy=error.remedy) from error


@functools.cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind)


def _check_fields(document: Mapping[str, Any], kind: type[Any], where: str) -> None:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for name in document:
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            remedy = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(fields)}"
            raise InputError(f"unknown field '{name}'", where=where, remedy=remedy)
    for name, f in fields.items():
        needed = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if needed and name not in document:
            raise InputError(f"field '{name}' is missing", where=where, remedy="Restore the file from a backup")


def _encode(value: Any) -> Any:
    match value:
        case StrEnum() | TrialName():
            return str(value)
        case IntEnum():
            return value.name
        case Mapping():
            return {str(k): _encode(v) for k, v in value.items()}
        case tuple() | list():
            return [_encode(v) for v in value]
    return to_document(value) if dataclasses.is_dataclass(value) else value


def _decode(value: Any, hint: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else _decode(value, _only_other_than_none(hint), where)
    if origin is tuple:
        return _decode_tuple(value, get_args(hint), where)
    if origin is not None and issubclass(origin, Mapping):
        _require(value, dict, where, "an object")
        return {k: _decode(v, get_args(hint)[1], f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(hint) and hint is not TrialName:
        _require(value, dict, where, "an object")
        return from_document(value, cast(type[Any], hint), where=where)
    return _decode_scalar(value, hint, where)


def _only_other_than_none(hint: Any) -> Any:
    (other,) = (a for a in get_args(hint) if a is not type(None))
    return other


def _decode_tuple(value: Any, items: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    _require(value, list, where, "a list")
    if items[-1] is Ellipsis:
        return tuple(_decode(v, items[0], f"{where}[{i}]") for i, v in enumerate(value))
    if len(value) != len(items):
        raise InputError(f"has {len(value)} items, expected {len(items)}", where=where)
    return tuple(_decode(v, h, f"{where}[{i}]") for i, (v, h) in enumerate(zip(value, items, strict=True)))


def _decode_scalar(value: Any, hint: Any, where: str) -> Any:
    if hint is float:
        _require(value, (int, float), where, "a number")
        return float(value)
    if hint in (int, bool, str):
        _require(value, hint, where, {int: "a whole number", bool: "true or false", str: "text"}[hint])
        return value
    _require(value, str, where, "text")
    if hint is TrialName:
        return TrialName.parse(value)
    choices = {member.name if issubclass(hint, IntEnum) else str(member): member for member in hint}
    if value not in choices:
        raise InputError(f"'{value}' is none of {', '.join(choices)}", where=where)
    return choices[value]


def _require(value: Any, kinds: type[Any] | tuple[type[Any], ...], where: str, wanted: str) -> None:
    is_flag = isinstance(value, bool) and kinds is not bool
    if is_flag or not isinstance(value, kinds):
        raise InputError(f"is {type(value).__name__} {value!r:.40}, expected {wanted}", where=where)
