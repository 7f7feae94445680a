"""`labsys serve`, `labsys index`, `labsys db`: the service and its database."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import InputError

if TYPE_CHECKING:
    from api.settings import ServiceSettings

database = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The database: upgrade, reader, backup, restore."
)


def register(app: typer.Typer) -> None:
    """Add the commands to the terminal."""
    app.command("serve")(serve)
    app.command("index")(index)
    app.add_typer(database, name="db")


def serve(
    host: Annotated[
        str | None, typer.Option("--host", help="127.0.0.1 if not given; others need a user first.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="8000 if not given.")] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Jobs at the same time; 0 leaves them to `labsys worker`.")
    ] = 1,
    blur_faces: Annotated[
        bool,
        typer.Option("--blur-faces", help="Show faces to nobody: films are blurred, recordings stay here."),
    ] = False,
    lab: LabOption = None,
    quiet: QuietOption = False,
) -> None:
    """Serve the lab over HTTP and do its jobs; OpenAPI is at /api/v1/openapi.json. Ctrl-C stops it.

    A lab without users answers this machine alone. `labsys user add` closes it to everybody unknown.

    \b
    Example: labsys serve --lab mylab --port 8000
    """
    terminal = Terminal(lab, as_json=False, quiet=quiet)
    with _nothing_collected():
        import uvicorn

        from api.app import create_app
        from api.commands.working import working_beside

        settings = _settings(host, port, blur_faces=blur_faces)
        folder = terminal.open_lab()
        application = create_app(folder, settings)
    terminal.say(f"http://{settings.host}:{settings.port}  (Ctrl-C stops)")
    with working_beside(folder, workers), _collected_seldom():
        uvicorn.run(
            application,
            host=settings.host,
            port=settings.port,
            ws="none",  # nothing here speaks it, and its library takes its time
            log_level="warning" if quiet else "info",
            log_config=_log_config(quiet=quiet),
            access_log=False,  # `labsys.requests` says the same with the request's id
        )


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """While a service is put together nothing of it becomes garbage; looking for some takes a sixth of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _collected_seldom() -> Iterator[None]:
    """A running service: what it was put together from is not looked through again, which made every fiftieth
    comparison wait for a quarter of a second, and half a million rows of a table are not for each 700 of them."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _settings(host: str | None, port: int | None, *, blur_faces: bool) -> ServiceSettings:
    from pydantic import ValidationError

    from api.settings import ServiceSettings

    given: dict[str, Any] = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    if blur_faces:  # without the option the environment decides
        given["blur_faces"] = True
    try:
        return ServiceSettings(**given)
    except ValidationError as error:
        raise InputError(str(error.errors()[0]["msg"]), where=str(error.errors()[0]["loc"][0])) from error


def _log_config(*, quiet: bool) -> dict[str, Any]:
    """What uvicorn says and what labsys says, in one form."""
    from uvicorn.config import LOGGING_CONFIG

    ours = {"handlers": ["default"], "level": "WARNING" if quiet else "INFO", "propagate": False}
    return {**LOGGING_CONFIG, "loggers": {**LOGGING_CONFIG["loggers"], "labsys": ours}}


def index(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Rebuild the database's index from the lab folder; identity, users, keys, jobs and audit stay.

    \b
    Example: labsys index
    """
    from api.indexing.index import index_lab

    terminal = Terminal(lab, as_json, quiet)
    report = index_lab(terminal.open_lab())
    for problem in report.problems:
        terminal.say(f"not indexed: {problem.what} ({problem.place}). {problem.remedy}")
    counts = {key: value for key, value in asdict(report).items() if key != "problems"}
    document = counts | {"problems": [asdict(p) for p in report.problems]}
    terminal.give(document, "indexed " + ", ".join(f"{n} {what}" for what, n in counts.items()))


@database.command("upgrade")
def upgrade(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Migrate the database to this version's schema.

    \b
    Example: labsys db upgrade
    """
    from api.database.connection import upgrade_database

    terminal = Terminal(lab, as_json, quiet)
    revision = upgrade_database(terminal.open_lab())
    terminal.give({"revision": revision}, f"database at revision {revision}")


@database.command("reader")
def reader(
    password: Annotated[
        bool, typer.Option("--password", help="Let the role sign in; the password is asked for, or read from stdin.")
    ] = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make read-only views v_* in PostgreSQL and the role labsys_reader, which can read them and nothing else.

    \b
    Example: labsys db reader --password
    """
    from api.commands.asked_password import ask_password
    from api.database.connection import open_database
    from api.database.reader_sql import VIEWS
    from api.database.reader_views import READER, make_reader, set_password
    from api.indexing.index import ensure_indexed

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    chosen = ask_password() if password else None
    opened = open_database(folder)
    try:
        ensure_indexed(folder, opened)
        with opened.engine.begin() as connection:
            is_new = make_reader(connection)
            if chosen is not None:
                set_password(connection, chosen)
    finally:
        opened.close()
    document = {"role": READER, "new": is_new, "views": list(VIEWS)}
    terminal.give(document, f"{READER} reads {', '.join(VIEWS)}")


@database.command("backup")
def backup(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="New folder outside the lab.")],
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Back up the whole lab while it is in use: folder with hashes, and database; without the keys of identity.

    \b
    Example: labsys db backup --out /mnt/backup/2026-11-22
    """
    from api.backup import backup_lab

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    with terminal.progress() as progress:
        made = backup_lab(folder, out, progress=progress)
    size_bytes = sum(file.size_bytes for file in made.files.values()) + made.database.size_bytes
    terminal.give({"backup": str(out), "files": len(made.files), "size_bytes": size_bytes}, str(out))


@database.command("restore")
def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="Folder that `labsys db backup` made.")],
    to: Annotated[Path, typer.Option("--to", metavar="LAB", help="Folder that is empty or not there.")],
    database_url: Annotated[
        str, typer.Option("--database", metavar="URL", help="An empty PostgreSQL instead of a file in the lab.")
    ] = "",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a lab from a backup, comparing every file with its hash; what is there already is never overwritten.

    \b
    Example: labsys db restore /mnt/backup/2026-11-22 --to mylab
    """
    from api.restore import restore_lab

    terminal = Terminal(None, as_json, quiet)
    with terminal.progress() as progress:
        made = restore_lab(source, to, database=database_url, progress=progress)
    for problem in made.index.problems:
        terminal.say(f"not indexed: {problem.what} ({problem.place}). {problem.remedy}")
    live = made.access
    if live.users or live.keys:
        terminal.say(
            f"{live.users} users and {live.keys} keys are live as they were then: see 'labsys user list' and "
            "'labsys key list', and withdraw again what was withdrawn since. All links are revoked, all logins ended."
        )
    document = {"lab": str(made.lab.root), "files": len(made.manifest.files), "made_at": made.manifest.made_at}
    terminal.give(document | asdict(live), f"{made.lab.root}: as of {made.manifest.made_at}")
