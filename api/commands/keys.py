"""`labsys key`: keys with which programs ask the service, and the key that names are locked with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal, parse_time
from api.commands.users import opened, parse_role, writing
from labsys.core.errors import UnknownNameError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Keys of programs: create, list, revoke; the lab's own key: rotate.",
)


@app.command("create")
def create(
    role: Annotated[str, typer.Option("--role", metavar="viewer|clinician|operator|admin")],
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DATE", help="ISO-8601; never if not given.")
    ] = None,
    label: Annotated[str, typer.Option("--label", help="What it is for.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="read, write, jobs, identity, accounts; repeatable; else all.")
    ] = None,
    subject: Annotated[
        list[str] | None, typer.Option("--subject", metavar="CODE", help="Only this subject, to read; repeatable.")
    ] = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a key and print it, this once, on the last line. Requests carry it as `Authorization: Bearer KEY`.

    A viewer's key sees the subjects that --subject names and nothing else. From the first key on the lab is closed to
    those who come without one.

    \b
    Example: labsys key create --role viewer --subject S01 --expires 2027-01-31 --label grafana
    """
    from api.access.audit import TERMINAL
    from api.access.keys import KeyRequest, make_key
    from api.access.roles import Scope

    terminal = Terminal(lab, as_json, quiet)
    valid = [s.value for s in Scope]
    for text in scope or ():
        if text not in valid:
            raise UnknownNameError("scope", text, valid=valid)
    end = datetime.fromisoformat(parse_time(expires, "--expires")) if expires else None
    subjects = tuple(subject) if subject else None
    asked = KeyRequest(parse_role(role), label, tuple(Scope(s) for s in scope or ()), subjects, end)
    with writing(terminal.open_lab()) as session:
        row, token = make_key(session, TERMINAL, asked)
    document = {"id": row.id, "role": row.role, "scopes": row.scopes, "expires_at": expires, "key": token.show()}
    terminal.say(f"key {row.id}; it is shown this once")
    terminal.give(document, token.show())


@app.command("list")
def list_all(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List keys, without their secrets.

    \b
    Example: labsys key list
    """
    from sqlalchemy import select

    from api.commands.text_table import format_table
    from api.database.tables_owned import ApiKeyRow
    from api.schemas.access import KeyDocument

    terminal = Terminal(lab, as_json, quiet)
    with writing(terminal.open_lab()) as session:
        keys = [KeyDocument.of(k) for k in session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at))]
    columns = ("id", "label", "role", "expires_at", "revoked_at", "used_at")
    rows: list[Any] = [tuple(getattr(k, c) for c in columns) for k in keys]
    terminal.give({"keys": [k.model_dump(mode="json") for k in keys]}, format_table(columns, rows))


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as 'labsys key list' shows it.")],
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a key useless from now on.

    \b
    Example: labsys key revoke 0123456789ab
    """
    from api.access.audit import TERMINAL
    from api.access.keys import revoke as revoke_handed
    from api.database.tables_owned import ApiKeyRow

    terminal = Terminal(lab, as_json, quiet)
    with writing(terminal.open_lab()) as session:
        row = revoke_handed(session, TERMINAL, ApiKeyRow, key)
    terminal.give({"id": row.id, "revoked": True}, f"key {row.id} opens nothing any more")


@app.command("rotate")
def rotate(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Give the lab a new lab.key, with which the keys of names are wrapped, and destroy the old one.

    A running service goes on with the new one. What was cut short is finished by the next `labsys key rotate`.

    \b
    Example: labsys key rotate
    """
    from api.access.audit import TERMINAL
    from api.identity import rotate_keys
    from api.key_store import KeyStore

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    store = KeyStore.of(folder)
    with opened(folder) as database:
        wrapped = rotate_keys(database, TERMINAL, store)
    said = f"{wrapped} keys of subjects are wrapped with a new lab.key; replace copies of {store.folder} made before"
    terminal.give({"wrapped": wrapped, "folder": str(store.folder)}, said)
