"""What is kept back from those who were let in and from the log, and what the audit says of who read what."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from starlette.testclient import TestClient

from api.access.audit import TERMINAL
from api.access.keys import revoke
from api.database.connection import Database, open_database
from api.database.tables_owned import ApiKeyRow, UserRow
from api.routes import jobs
from labsys.storage.identity import new_uuid
from labsys.storage.lab import Lab

API = "/api/v1"
SECRET = "a hash, or a note about Ada"
Headers = dict[str, str]


def _database(client: TestClient) -> Database:
    database: Database = client.app.state.database  # type: ignore[attr-defined]
    return database


@pytest.fixture
def link(client: TestClient) -> Headers:
    """How somebody who was given a link to S01 asks."""
    end = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = client.post(f"{API}/links", json={"subject": "S01", "expires_at": end}).json()
    return {"Authorization": f"Bearer {made['token']}"}


@pytest.mark.slow
def test_who_comes_by_a_link_reads_nothing_that_was_typed_about_the_runner(client: TestClient, link: Headers) -> None:
    typed = {"notes": "Ada's daughter, works at the mill"}
    visit, trial = "S01/2026-11-01", "S01/2026-11-01/run1"
    for noun in ("subjects/S01", "episodes/S01/acl-left", f"sessions/{visit}", f"trials/{trial}"):
        assert client.patch(f"{API}/{noun}", json=typed).status_code == 200
    nouns = ("subjects", "episodes", "sessions", "trials")
    documents = [f"{API}/{n}" for n in nouns] + [f"{API}/subjects/S01", f"{API}/sessions/{visit}"]
    for address in (*documents, "/", "/subjects/S01", f"/trials/{trial}"):
        answer = client.get(address, headers=link)
        assert answer.status_code == 200, answer.text
        assert "Ada" not in answer.text, address
    assert typed["notes"] in client.get(f"{API}/subjects/S01").text, "those of the lab read it"
    assert "Ada&#39;s daughter" in client.get("/subjects/S01").text


@pytest.mark.slow
def test_who_comes_by_a_link_reads_that_a_trial_was_excluded_and_not_why(client: TestClient, link: Headers) -> None:
    trial, other = "S01/2026-12-13/run1", "pre=2026-11-01&post=2026-12-13&subject=S01"
    said = {"excluded": True, "exclusion_reason": "Ada fell ill"}
    assert client.patch(f"{API}/trials/{trial}", json=said).status_code == 200
    addresses = [f"{API}/trials", f"{API}/trials/{trial}", f"{API}/trials/{trial}/result", f"{API}/compare?{other}"]
    addresses += [f"{API}/trials/{trial}/report?format=html", "/subjects/S01", f"/trials/{trial}", f"/compare?{other}"]
    for address in addresses:
        assert "Ada fell ill" in client.get(address).text, f"those of the lab read it in {address}"
        answer = client.get(address, headers=link)
        assert answer.status_code == 200, address
        assert "Ada" not in answer.text, address
        assert "xcluded" in answer.text, address


def test_who_sees_some_subjects_reads_no_note_about_the_whole_lab(client: TestClient, link: Headers) -> None:
    made = {"name": "r1", "note": "S02 walks better now", "of_present": True}
    assert client.post(f"{API}/releases", json=made).status_code == 201
    admin = {"Authorization": f"Bearer {client.post(f'{API}/keys', json={'role': 'admin'}).json()['token']}"}
    narrowed = {"role": "viewer", "subjects": ["S01"]}
    viewer = client.post(f"{API}/keys", json=narrowed, headers=admin).json()["token"]
    for address in (f"{API}/releases", f"{API}/releases/r1", "/releases"):
        assert made["note"] in client.get(address, headers=admin).text
        for asks in (link, {"Authorization": f"Bearer {viewer}"}):
            answer = client.get(address, headers=asks)
            assert (answer.status_code, "r1" in answer.text) == (200, True)
            assert "S02" not in answer.text, address
            assert "somebody at this machine" not in answer.text, address


@pytest.mark.parametrize("padding", ["metric=cadence&", "m%65tric=cadence&"])
@pytest.mark.parametrize("action", ["read", "export"])
def test_no_subject_is_pushed_out_of_the_audit(client: TestClient, link: Headers, action: str, padding: str) -> None:
    asked = f"{API}/tables/trial_metrics?format={'csv' if action == 'export' else 'json'}&{padding * 300}subject=S01"
    admin = {"Authorization": f"Bearer {client.post(f'{API}/keys', json={'role': 'admin'}).json()['token']}"}
    assert client.get(asked, headers=link).status_code == 200
    (event,) = client.get(f"{API}/audit?action={action}", headers=admin).json()["items"]
    assert "subject=S01" in event["object"]
    assert event["object"].endswith("…"), "it says that it is not all"
    assert len(event["object"]) <= 2000


def test_audit_says_which_subject_a_restricted_one_asked_for(client: TestClient, link: Headers) -> None:
    asked = f"{API}/compare?subject=S01&pre=2026-11-01&post=2026-12-13"
    assert client.get(asked, headers=link).status_code == 200
    key = client.post(f"{API}/keys", json={"role": "admin"}).json()["token"]
    events = client.get(f"{API}/audit?action=read", headers={"Authorization": f"Bearer {key}"}).json()["items"]
    assert [e["object"] for e in events] == [f"GET {asked}"]


def test_who_is_shut_out_is_told_no_more_of_a_job(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"kind": "process", "target": "S02/2026-11-03/walk1"}
    job = client.post(f"{API}/jobs", json=asked).json()
    key = client.post(f"{API}/keys", json={"role": "clinician"}).json()
    look, looks = jobs._look, list[int]()

    def look_and_revoke(*of: Any) -> Any:
        looks.append(1)
        assert len(looks) < 5, "whoever was shut out still follows the job"
        if len(looks) == 2:
            with _database(client).write() as session:
                revoke(session, TERMINAL, ApiKeyRow, key["id"])
        return look(*of)

    monkeypatch.setattr(jobs, "_look", look_and_revoke)
    monkeypatch.setattr(jobs, "_LOOK_EVERY_S", 0.01)
    headers = {"Authorization": f"Bearer {key['token']}"}
    answer = client.get(f"{API}/jobs/{job['id']}/events", headers=headers)
    assert answer.text.count("event: job") == 1
    assert len(looks) == 2


def test_log_of_a_database_error_does_not_hold_what_was_to_be_written(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DBAPIError) as raised, _database(client).write() as session:
        session.execute(text("INSERT INTO nowhere VALUES (:secret)"), {"secret": SECRET})
    logging.getLogger("labsys.requests").error("failed", exc_info=raised.value)
    assert "nowhere" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.slow
def test_log_of_a_row_that_postgresql_refused_does_not_hold_the_row(
    lab: Lab, postgresql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = open_database(replace(lab, database=postgresql_url))
    about = {"id": new_uuid(), "name": SECRET, "password_hash": SECRET, "disabled": False}
    with pytest.raises(DBAPIError) as raised, database.write() as session:
        session.add(UserRow(**about, role=None, created_at=datetime.now(UTC)))
    logging.getLogger("labsys.requests").error("failed", exc_info=raised.value)
    assert "not-null" in caplog.text
    assert SECRET not in caplog.text
    database.close()


@pytest.mark.parametrize(
    ("typed", "found"),
    [("2026", True), ("2026-11", True), ("2026-11-03", True), ("2026-12", False), ("2025", False), ("2026-13", False)],
)
def test_visits_are_found_by_their_date_whatever_they_are_called(client: TestClient, typed: str, found: bool) -> None:
    new = {"subject": "S02", "session": "before", "captured_at": "2026-11-03T23:30:00Z"}
    assert client.post(f"{API}/sessions", json=new).status_code == 201
    assert ("#before" in client.get("/", params={"q": typed}).text) is found
