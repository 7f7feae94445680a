"""A database that cannot be used for a while: who asks is told why, nobody is told of a defect, and all goes on."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, make_url, text
from starlette.testclient import TestClient

from api.access.audit import Actor
from api.access.reads import note_read
from api.access.roles import Role
from api.database.away import DatabaseAwayError
from api.database.connection import _PRAGMAS, Database, open_database
from api.database.reads_file import ReadsFile
from api.jobs.cleaning import clean_lab
from labsys.storage.lab import Lab
from tests.test_api.audited import audited
from tests.test_api.cli_answer import make_runner
from tests.test_api.handed_keys import key_headers

API = "/api/v1"
AWAY = "urn:labsys:problem:database-away"


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key store of its own."""
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "keys"))


def _database(client: TestClient) -> Database:
    database: Database = client.app.state.database  # type: ignore[attr-defined]
    return database


def _refuse_writing(connection: Any, *_: Any) -> None:
    connection.execute("PRAGMA query_only=ON")


def test_who_may_read_reads_a_lab_that_cannot_be_written(client: TestClient) -> None:
    database = _database(client)
    clinician = key_headers(database, Role.CLINICIAN)
    event.listen(database.engine, "checkout", _refuse_writing)
    for address in (f"{API}/subjects/S01", "/subjects/S01", f"{API}/tables/trial_metrics"):
        assert client.get(address, headers=clinician).status_code == 200, address
    refused = client.patch(f"{API}/subjects/S01", json={"notes": "new"}, headers=clinician)
    said = refused.json()
    assert (refused.status_code, said["type"], said["remedy"]) == (503, AWAY, "Let labsys write into its folder")


def _read_for_ever(database: Database, what: str) -> None:
    while True:
        note_read(database, Actor("viewer"), "read", what)


def test_disk_that_is_full_is_no_mistake_of_who_reads_and_passes(client: TestClient) -> None:
    database = _database(client)
    viewer = key_headers(database, Role.VIEWER, "S01")
    assert client.get(f"{API}/subjects/S01", headers=viewer).status_code == 200
    assert database.reads is not None
    database.reads._connection.execute("PRAGMA max_page_count=1")  # as full as the file is now
    for length in (1900, 1):  # until a short row has no room either
        with pytest.raises(DatabaseAwayError, match="Make room"):
            _read_for_ever(database, "x" * length)
    refused = client.get(f"{API}/subjects/S01", headers=viewer)
    assert (refused.status_code, refused.json()["type"], "1991" in refused.text) == (503, AWAY, False)
    page = client.get("/subjects/S01", headers={"Accept": "text/html", **viewer})
    assert (page.status_code, "Make room on its disk" in page.text, "1991" in page.text) == (503, True, False)
    database.reads._connection.execute("PRAGMA max_page_count=1000000")
    assert client.get(f"{API}/subjects/S01", headers=viewer).status_code == 200, "no transaction was left open"


@pytest.mark.parametrize("path", ["/audit", "/subjects/S01"])
def test_reads_that_were_damaged_are_said_and_not_overwritten(client: TestClient, path: str) -> None:
    database = _database(client)
    asks = key_headers(database, Role.ADMIN) if path == "/audit" else key_headers(database, Role.VIEWER, "S01")
    assert database.reads is not None
    database.reads.path.write_bytes(b"torn " * 1000)
    refused = client.get(API + path, headers=asks)
    assert (refused.status_code, refused.json()["type"]) == (503, AWAY)
    assert "Move it elsewhere" in refused.json()["remedy"]
    assert database.reads.path.read_bytes() == b"torn " * 1000


def test_cleaning_outlives_reads_that_were_damaged(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    database = open_database(lab)
    assert database.reads is not None
    database.reads.path.write_bytes(b"torn " * 1000)
    clean_lab(lab, database)
    assert "reads for the audit cannot be seen to" in caplog.text
    database.close()


def test_a_wrong_statement_stays_a_defect(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(session: Any, _code: str) -> None:
        session.execute(text("SELECT nothing FROM nowhere"))

    monkeypatch.setattr("api.routes.subjects.find_subject", ask)
    assert client.get(f"{API}/subjects/S01").status_code == 500


_BEGIN = """
import sys, time
from pathlib import Path
from api.database.reads_file import ReadsFile
names, places = sys.argv[1], sys.argv[2:]
print("ready", flush=True)
sys.stdin.readline()
for place in places:
    ReadsFile(Path(place)).add((f"{names}", "", "", "", "", None, None))
"""


@pytest.mark.slow
def test_processes_that_make_the_file_of_reads_at_once_wait_for_each_other(tmp_path: Path) -> None:
    places = [str(tmp_path / f"{i}.db") for i in range(60)]
    command = [sys.executable, "-c", _BEGIN]
    started = [
        subprocess.Popen([*command, str(i), *places], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for i in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        process.communicate()
    assert [process.returncode for process in started] == [0] * 4
    for place in places:
        with sqlite3.connect(place) as connection:
            assert connection.execute("SELECT count(*) FROM read_event").fetchone() == (4,)
        connection.close()
    assert not list(tmp_path.glob("*.lock"))


def test_server_that_was_restarted_costs_no_request_and_one_that_is_away_is_said(
    lab: Lab, postgresql_url: str, open_client: Callable[[Lab], TestClient]
) -> None:
    client = open_client(replace(lab, database=postgresql_url))
    viewer = key_headers(_database(client), Role.VIEWER, "S01")
    other = make_url(postgresql_url)
    engine = create_engine(other.set(database="postgres"), isolation_level="AUTOCOMMIT")
    ours = f"datname = '{other.database}'"

    def end_connections() -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")

    assert client.get(f"{API}/subjects/S01", headers=viewer).status_code == 200
    end_connections()
    assert client.get(f"{API}/subjects/S01", headers=viewer).status_code == 200
    with engine.connect() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{other.database}" ALLOW_CONNECTIONS false')
    end_connections()
    refused = client.get(f"{API}/subjects/S01", headers=viewer)
    assert (refused.status_code, refused.json()["type"]) == (503, AWAY)
    assert str(other.database) not in refused.text
    with engine.connect() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{other.database}" ALLOW_CONNECTIONS true')
    assert client.get(f"{API}/subjects/S01", headers=viewer).status_code == 200
    engine.dispose()


def test_terminal_calls_a_database_that_cannot_be_written_no_defect(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.database.connection._PRAGMAS", (*_PRAGMAS, "query_only=ON"))
    refused = make_runner(capsys)("key", "create", "--role", "admin", "--lab", lab.root)
    assert (refused.code, "Let labsys write into its folder" in refused.err) == (1, True)


def test_row_that_cannot_be_written_keeps_no_other_from_it(tmp_path: Path) -> None:
    reads = ReadsFile(tmp_path / "reads.db")
    with pytest.raises(UnicodeEncodeError):
        reads.add(("1", "", "", "", "half of a pair: \udc80", None, None))
    reads.add(("2", "", "", "", "", None, None))
    assert [row[0] for row in reads.first()] == ["2"]
    reads.close()


def test_reads_file_of_a_folder_that_is_read_only_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("api.database.reads_file.hold_lock", refuse)  # whoever runs the tests may write anywhere
    with pytest.raises(DatabaseAwayError, match="Read-only file system"):
        ReadsFile(tmp_path / "reads.db").add(("1", "", "", "", "", None, None))


def test_reads_file_of_a_folder_that_is_gone_is_away(tmp_path: Path) -> None:
    with pytest.raises(DatabaseAwayError, match="nothing is shown"):
        ReadsFile(tmp_path / "gone" / "reads.db").add(("1", "", "", "", "", None, None))


def test_nothing_leaves_the_lab_that_the_audit_cannot_be_told(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = make_runner(capsys), tmp_path / "out"
    export = ("export", "S01/2026-11-01/run1", "--format", "csv", "--out", out, "--lab", lab.root)
    reads = lab.root / "labsys-reads.db"
    reads.write_bytes(b"torn " * 1000)
    refused = run(*export)
    assert (refused.code, "Move it elsewhere" in refused.err) == (1, True)
    assert not out.exists()
    reads.unlink()
    assert run(*export).code == 0
    assert audited(lab, "export") == ["S01/2026-11-01/run1 as csv"]
