"""What every command shares: its lab, its way of speaking, and its progress.

Results go to stdout, everything else to stderr. With `--json` a command prints exactly one JSON document on stdout; on
an error it prints the message on stderr as always, and nothing on stdout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labsys.core.errors import InputError

if TYPE_CHECKING:
    from labsys.core.progress import Progress
    from labsys.storage.lab import Lab

LabOption = Annotated[
    Path | None,
    typer.Option("--lab", metavar="LAB", envvar="LABSYS_LAB", help="Lab folder; else the nearest labsys.toml upwards."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no messages.")]

AsOfOption = Annotated[
    str | None, typer.Option("--as-of", metavar="RELEASE", help="As it was in a named release; see 'labsys release'.")
]

# `labsys --lab LAB COMMAND`: what stands before the command, for commands that are not told themselves.
root_lab: ContextVar[Path | None] = ContextVar("root_lab", default=None)


@dataclass(frozen=True)
class Terminal:
    """How one command talks to whoever called it."""

    lab_path: Path | None
    as_json: bool
    quiet: bool

    def open_lab(self) -> Lab:
        """The lab folder that was named, else the nearest upwards (InputError where there is none)."""
        from labsys.storage.lab import find_lab, open_lab

        path = self.lab_path or root_lab.get()
        return open_lab(path) if path is not None else find_lab(Path.cwd())

    def say(self, message: str) -> None:
        """A message for the person: stderr, unless quiet."""
        if not self.quiet:
            typer.echo(message, err=True)

    def give(self, document: Mapping[str, Any], text: str) -> None:
        """The result: the document with `--json`, else the text; an empty text prints nothing."""
        if self.as_json:
            typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
        elif text:
            typer.echo(text)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Progress on stderr with the time left; nothing where quiet, with `--json`, or where nobody watches."""
        from api.commands.progress_bar import show_progress

        with show_progress(quiet=self.quiet or self.as_json) as progress:
            yield progress


def parse_pairs(texts: Sequence[str], option: str, example: str) -> dict[str, str]:
    """`name=value` texts as a mapping (InputError: no '=', an empty part, or a name given twice)."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InputError(f"'{text}' is not understood", where=option, remedy=f"Write {option} {example}")
        if name in pairs:
            raise InputError(f"'{name}' is given twice", where=option)
        pairs[name.strip()] = value.strip()
    return pairs


def parse_size(text: str, option: str) -> tuple[int, int]:
    """`WIDTHxHEIGHT` in px (InputError otherwise)."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise InputError(f"'{text}' is no size", where=option, remedy="Write WIDTHxHEIGHT, for example 1080x1920")
    return int(width), int(height)


def parse_session(text: str) -> tuple[str, str]:
    """`SUBJECT/SESSION` (InputError otherwise)."""
    subject, slash, session = text.partition("/")
    if not slash or not subject or not session or "/" in session:
        raise InputError(f"'{text}' does not name a session", remedy="A session is named SUBJECT/SESSION")
    return subject, session


def parse_visits(session_a: str, session_b: str) -> tuple[str, str, str]:
    """Subject and the codes of two of its sessions (InputError: not two sessions of one subject)."""
    subject, pre = parse_session(session_a)
    other, post = parse_session(session_b)
    if other != subject:
        raise InputError(f"{session_a} and {session_b} are of two subjects", remedy="Compare visits of one subject")
    return subject, pre, post


def parse_time(text: str, option: str) -> str:
    """ISO-8601 as UTC; a date alone is its midnight, a time without zone is taken as UTC (InputError otherwise)."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"'{text}' is no time", where=option, remedy="Write 2026-11-22 or 2026-11-22T14:30Z"
        ) from error
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
