"""`labsys user`: people who may sign in, and the subjects that viewers may see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.asked_password import ask_password
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import UnknownNameError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.access.roles import Role
    from api.database.connection import Database
    from labsys.storage.lab import Lab

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Users: add, list, change, grant, withdraw.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]
Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="Code of the subject.")]
RoleOption = Annotated[str, typer.Option("--role", metavar="viewer|clinician|operator|admin")]


@app.command("add")
def add(
    name: Name, role: RoleOption, lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Add a person who may sign in; the password is asked for, or read from stdin. From then on the lab is closed.

    \b
    Example: labsys user add mk --role admin
    """
    from api.access.audit import TERMINAL
    from api.access.users import add_user

    terminal = Terminal(lab, as_json, quiet)
    chosen, folder = parse_role(role), terminal.open_lab()
    password = ask_password()
    with writing(folder) as session:
        row = add_user(session, TERMINAL, name, chosen, password)
    terminal.give({"name": row.name, "role": row.role}, row.name)


@app.command("list")
def list_all(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List users, their roles, and what viewers may see.

    \b
    Example: labsys user list
    """
    from sqlalchemy import select

    from api.access.users import granted_codes
    from api.commands.text_table import format_table
    from api.database.tables_owned import UserRow

    terminal = Terminal(lab, as_json, quiet)
    with writing(terminal.open_lab()) as session:
        users: list[dict[str, Any]] = [
            {"name": u.name, "role": u.role, "disabled": u.disabled, "grants": sorted(granted_codes(session, u.id))}
            for u in session.scalars(select(UserRow).order_by(UserRow.name))
        ]
    rows = [(u["name"], u["role"], "disabled" if u["disabled"] else "", ", ".join(u["grants"])) for u in users]
    terminal.give({"users": users}, format_table(("user", "role", "state", "sees"), rows))


@app.command("change")
def change(
    name: Name,
    role: Annotated[str | None, typer.Option("--role", metavar="viewer|clinician|operator|admin")] = None,
    disable: Annotated[bool | None, typer.Option("--disable/--enable", help="Disabled users cannot sign in.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new one, or read it from stdin.")] = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Change a user's role or password, or disable the user; the last two end every login of the user.

    \b
    Example: labsys user change mk --disable
    """
    from api.access.audit import TERMINAL
    from api.access.users import change_user

    terminal = Terminal(lab, as_json, quiet)
    given: dict[str, Any] = {"role": parse_role(role)} if role is not None else {}
    given |= {"disabled": disable} if disable is not None else {}
    folder = terminal.open_lab()
    given |= {"password": ask_password()} if password else {}
    with writing(folder) as session:
        row = change_user(session, TERMINAL, name, **given)
    terminal.give({"name": row.name, "role": row.role, "disabled": row.disabled}, row.name)


@app.command("grant")
def grant_subject(
    name: Name, subject: Subject, lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Let a viewer see a subject; everybody else sees all subjects anyway.

    \b
    Example: labsys user grant physio S01
    """
    _set_grant(Terminal(lab, as_json, quiet), name, subject, given=True)


@app.command("withdraw")
def withdraw_subject(
    name: Name, subject: Subject, lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Take a grant back.

    \b
    Example: labsys user withdraw physio S01
    """
    _set_grant(Terminal(lab, as_json, quiet), name, subject, given=False)


def _set_grant(terminal: Terminal, name: str, code: str, *, given: bool) -> None:
    from api.access.audit import TERMINAL
    from api.access.users import find_user, grant, granted_codes, withdraw
    from api.queries import find_subject

    with writing(terminal.open_lab()) as session:
        change = grant if given else withdraw
        change(session, TERMINAL, name, find_subject(session, code))
        session.flush()
        codes = sorted(granted_codes(session, find_user(session, name).id))
    terminal.give({"user": name, "subjects": codes}, f"{name} sees {', '.join(codes) or 'nobody'}")


def parse_role(text: str) -> Role:
    """A role by its name (UnknownNameError names the nearest)."""
    from api.access.roles import Role

    valid = [r.value for r in Role]
    if text not in valid:
        raise UnknownNameError("role", text, valid=valid)
    return Role(text)


@contextmanager
def opened(lab: Lab) -> Iterator[Database]:
    """The lab's database, indexed, while the block runs."""
    from api.database.connection import open_database
    from api.indexing.index import ensure_indexed

    database = open_database(lab)
    try:
        ensure_indexed(lab, database)
        yield database
    finally:
        database.close()


@contextmanager
def writing(lab: Lab) -> Iterator[Session]:
    """A write session of the lab's database, indexed; both are closed with the block."""
    with opened(lab) as database, database.write() as session:
        yield session
