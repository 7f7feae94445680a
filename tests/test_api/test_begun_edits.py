"""An edit whose process is killed after the folder was changed is in the index and in the audit all the same, once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.access.audit import Actor, audit_row
from api.begun_edits import finish_begun, tell_begun
from api.database.connection import Database, open_database
from api.jobs.cleaning import clean_lab
from labsys.core.errors import InputError
from labsys.storage.lab import Lab
from labsys.storage.subjects import load_subject, save_subject
from tests.test_api.audited import audited

API = "/api/v1"
NOTES = "left knee, since March"
_KILLED = """
import os, sys
from dataclasses import replace
from pathlib import Path
from starlette.testclient import TestClient
from api import edits
from api.app import create_app
from labsys.storage.lab import open_lab

edits.refresh_subject = lambda *_: os._exit(9)
lab = replace(open_lab(Path(sys.argv[1])), database=sys.argv[2])
client = TestClient(create_app(lab), base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50_000))
new = {"code": "S03"} if sys.argv[3] == "POST" else {}
client.request(sys.argv[3], sys.argv[4], json={"notes": sys.argv[5]} | new)
"""


def _told(lab: Lab) -> list[Path]:
    return list(lab.root.glob(".edit*"))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "action"), [("PATCH", "/S01", "change"), ("POST", "", "create")])
def test_edit_that_is_killed_half_way_is_told_by_the_next_start(
    any_lab: Lab, open_client: Callable[[Lab], TestClient], method: str, path: str, action: str
) -> None:
    subject = path.strip("/") or "S03"
    open_database(any_lab).close()
    words = [str(any_lab.root), str(any_lab.database), method, f"{API}/subjects{path}", NOTES]
    killed = subprocess.run([sys.executable, "-c", _KILLED, *words], check=False, env=os.environ)
    assert killed.returncode == 9
    assert load_subject(any_lab, subject).notes == NOTES
    assert len(_told(any_lab)) == 1
    assert audited(any_lab, f"subject.{action}") == []
    for _ in range(2):
        client = open_client(any_lab)
        assert client.get(f"{API}/subjects/{subject}").json()["notes"] == NOTES
        (event,) = client.get(f"{API}/audit?action=subject.{action}").json()["items"]
        assert (event["object"], event["actor"]) == (f"subjects/{subject}", "somebody at this machine")
        assert (event["address"], event["after_hash"]) == ("127.0.0.1", None)
        assert _told(any_lab) == []


def test_worker_finishes_what_another_process_began_and_notes_it_once(lab: Lab) -> None:
    database = open_database(lab)
    row = audit_row(Actor("ada", "an id", "10.0.0.7"), "subject.change", "subjects/S01")
    tell_begun(lab, "S01", row)
    save_subject(lab, replace(load_subject(lab, "S01"), notes=NOTES))
    clean_lab(lab, database)
    assert _told(lab) == []
    assert audited(lab, "subject.change") == ["subjects/S01"]
    tell_begun(lab, "S01", row)  # killed after its commit, before it could take it back
    assert finish_begun(lab, database) == []
    assert _told(lab) == []
    assert audited(lab, "subject.change") == ["subjects/S01"]
    database.close()


def test_what_is_done_or_refused_leaves_nothing_told(client: TestClient, lab: Lab) -> None:
    database: Database = client.app.state.database  # type: ignore[attr-defined]
    before = datetime.now(UTC)
    assert client.patch(f"{API}/subjects/S01", json={"notes": NOTES}).status_code == 200
    refused = client.patch(f"{API}/trials/S01/2026-11-01/run1", json={"excluded": True})
    assert refused.status_code == 422
    assert client.post(f"{API}/subjects", json={"code": "S01"}).status_code == 409
    assert _told(lab) == []
    assert finish_begun(lab, database) == []
    (event,) = client.get(f"{API}/audit").json()["items"]
    assert (event["action"], bool(event["after_hash"])) == ("subject.change", True)
    assert datetime.fromisoformat(event["at"]) >= before.replace(microsecond=before.microsecond // 1000 * 1000)


def test_edit_that_cannot_be_told_is_not_made(client: TestClient, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, _told: object) -> None:
        raise InputError("cannot write: No space left on device", where=str(path))

    monkeypatch.setattr("api.begun_edits.write_json_atomic", refuse)
    answer = client.patch(f"{API}/subjects/S01", json={"notes": NOTES})
    assert (answer.status_code, "cannot write" in answer.json()["detail"]) == (422, True)
    assert load_subject(lab, "S01").notes != NOTES
    assert client.get(f"{API}/audit").json()["items"] == []


def test_edit_of_a_lab_that_cannot_be_indexed_is_not_made(client: TestClient, lab: Lab) -> None:
    (lab.root / "releases/r1.json").write_text("{")
    answer = client.patch(f"{API}/subjects/S01", json={"notes": NOTES})
    assert (answer.status_code, "releases/r1.json" in answer.json()["detail"]) == (422, True)
    assert load_subject(lab, "S01").notes != NOTES
    assert _told(lab) == []


def test_edit_that_breaks_after_the_folder_was_changed_stays_told(
    client: TestClient, lab: Lab, monkeypatch: pytest.MonkeyPatch, open_client: Callable[[Lab], TestClient]
) -> None:
    def fail(*_: object) -> None:
        raise InputError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr("api.edits.refresh_subject", fail)
        assert client.patch(f"{API}/subjects/S01", json={"notes": NOTES}).status_code == 422
    with monkeypatch.context() as still_broken:
        still_broken.setattr("api.begun_edits.index_subject", lambda *_, **__: fail())
        assert open_client(lab).get(f"{API}/subjects/S01").status_code == 200, "the service starts all the same"
    assert audited(lab, "subject.change") == ["subjects/S01"]
    assert open_client(lab).get(f"{API}/subjects/S01").json()["notes"] == NOTES
    assert audited(lab, "subject.change") == ["subjects/S01"]
    assert _told(lab) == []
