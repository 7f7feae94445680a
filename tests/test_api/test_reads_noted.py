"""Reads are written down before they are answered, and wait for nobody who writes: not for an hour-long index."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from api.access.audit import Actor
from api.access.reads import collect_reads, note_read
from api.access.roles import Role
from api.backup import backup_lab
from api.database.connection import Database, open_database
from api.database.reads_file import ReadsFile
from api.database.tables_owned import AuditRow
from labsys.core.errors import InputError
from labsys.storage.lab import Lab
from tests.test_api.audited import audited
from tests.test_api.handed_keys import key_headers

API = "/api/v1"
# A writer may be waited for as long as a minute; far more than an answer takes, far less than that.
AT_ONCE_S = 10.0


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key store of its own."""
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "keys"))


@contextmanager
def _indexing(lab: Lab) -> Iterator[None]:
    """Another process holds the write lock, as `labsys index` does."""
    other = open_database(lab)
    with other.write():
        yield
    other.close()


def test_viewer_reads_and_is_written_down_while_another_writes(
    any_lab: Lab, open_client: Callable[[Lab], TestClient]
) -> None:
    client = open_client(any_lab)
    database: Database = client.app.state.database  # type: ignore[attr-defined]
    viewer, clinician = key_headers(database, Role.VIEWER, "S01"), key_headers(database, Role.CLINICIAN)
    admin = key_headers(database, Role.ADMIN)
    table = "/tables/trial_metrics?format=csv"
    with _indexing(any_lab):
        begun = time.monotonic()
        for path, headers in (("/subjects/S01", viewer), (table, clinician), ("/subjects/S01/identity", clinician)):
            assert client.get(API + path, headers=headers).status_code == 200
        client.head(f"{API}/subjects/S01", headers=viewer)
        assert time.monotonic() - begun < AT_ONCE_S
    said = client.get(f"{API}/audit", headers=admin).json()["items"]
    assert [(e["action"], e["object"]) for e in said if e["action"] not in ("key.create",)] == [
        ("read", f"GET {API}/subjects/S01"),
        ("export", "trial_metrics as csv: format=csv"),
        ("identity.read", "S01"),
        ("read", f"HEAD {API}/subjects/S01"),
    ]
    assert {e["address"] for e in said if e["action"] == "read"} == {"127.0.0.1"}
    assert "HEAD" in client.get("/admin/audit?action=read", headers=admin).text


def test_read_that_cannot_be_written_down_is_not_answered(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    database: Database = client.app.state.database  # type: ignore[attr-defined]
    viewer = key_headers(database, Role.VIEWER, "S01")

    def full(*_: Any) -> None:
        raise InputError("reads cannot be written down", where="disk full")

    monkeypatch.setattr(ReadsFile, "add", full)
    refused = client.get(f"{API}/subjects/S01", headers=viewer)
    assert refused.status_code == 422
    assert "1991" not in refused.text


def test_every_read_comes_into_the_audit_once_whatever_is_cut_short(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(lab)
    assert database.reads is not None
    for what in ("first", "second"):
        note_read(database, Actor("viewer"), "read", what)
    with monkeypatch.context() as killed:
        killed.setattr(ReadsFile, "remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            collect_reads(database)
    database.close()
    database = open_database(lab)  # the process was killed between the two files
    note_read(database, Actor("viewer"), "read", "third")
    assert audited(lab, "read") == ["first", "second", "third"]
    assert database.reads is not None
    assert database.reads.first() == []
    note_read(database, Actor("viewer"), "read", "fourth")
    made = backup_lab(lab, tmp_path / "backup")
    with database.read() as session:  # without collecting: the backup did
        assert session.scalars(select(AuditRow.object).where(AuditRow.object == "fourth")).all() == ["fourth"]
    assert not [name for name in made.files if "reads" in name]
    database.close()
