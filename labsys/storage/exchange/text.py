"""Reading the lines of text files that other programs wrote, on whatever system."""

from __future__ import annotations

from pathlib import Path

from labsys.core.errors import InputError


def read_lines(path: Path) -> list[str]:
    """Lines without their ends; a byte order mark, carriage returns and Latin-1 file names in headers are taken.

    Raises:
        InputError: missing or unreadable.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return [line.rstrip("\r") for line in text.split("\n")]


def parse_number(cell: str, where: str) -> float:
    """A cell as a number (InputError says where it stands and what it holds)."""
    try:
        return float(cell)
    except ValueError as error:
        raise InputError(f"holds '{cell:.30}' where a number is expected", where=where) from error
