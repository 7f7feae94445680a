"""A POST that is sent twice with one key is done once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from api.database.connection import Database
from labsys.storage.lab import Lab
from tests.test_api.conftest import HERE

API = "/api/v1"
NEW = {"code": "S03"}
JOB = {"kind": "process", "target": "S01/2026-11-01/run1"}


def test_done_once_and_answered_alike(client: TestClient) -> None:
    key = {"Idempotency-Key": "3f0c"}
    first = client.post(f"{API}/subjects", json=NEW, headers=key)
    again = client.post(f"{API}/subjects", json=NEW, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert client.post(f"{API}/subjects", json=NEW).status_code == 409  # without the key it is another request
    assert [e["action"] for e in client.get(f"{API}/audit").json()["items"]] == ["subject.create"]
    other = client.post(f"{API}/subjects", json={"code": "S04"}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "urn:labsys:problem:key-used")
    assert client.get(f"{API}/subjects/S04").status_code == 404
    made = client.post(f"{API}/keys", json={"role": "clinician"}).json()  # another caller's key is another key
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert client.post(f"{API}/subjects", json=NEW, headers=key | bearer).status_code == 409
    assert client.post(f"{API}/subjects", json=NEW, headers=key).status_code == 401  # the lab is closed by now


def test_key_that_is_too_long_is_not_taken_for_its_beginning(client: TestClient) -> None:
    assert client.post(f"{API}/subjects", json=NEW, headers={"Idempotency-Key": 200 * "k"}).status_code == 201
    longer = client.post(f"{API}/subjects", json=NEW, headers={"Idempotency-Key": 201 * "k"})
    assert (longer.status_code, longer.json()["errors"][0]["loc"]) == (422, ["header", "idempotency-key"])


def test_what_failed_may_be_tried_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    key = {"Idempotency-Key": "9a"}
    assert client.post(f"{API}/subjects", json={"code": "no code"}, headers=key).status_code == 422
    with monkeypatch.context() as broken:
        broken.setattr("api.routes.subjects.make_noun", lambda *_: 1 / 0)
        assert client.post(f"{API}/subjects", json=NEW, headers=key).status_code == 500
    assert client.post(f"{API}/subjects", json=NEW, headers=key).status_code == 201


def test_second_waits_while_the_first_is_at_work(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    key = {"Idempotency-Key": "at work"}
    answers = []

    def ask_again(*arguments: object) -> object:
        other = TestClient(client.app, base_url=str(client.base_url), client=HERE)
        answers.append(other.post(f"{API}/subjects", json=NEW, headers=key))
        return make(*arguments)

    from api.routes import subjects

    make = subjects.make_noun
    monkeypatch.setattr(subjects, "make_noun", ask_again)
    assert client.post(f"{API}/subjects", json=NEW, headers=key).status_code == 201
    assert [(a.status_code, a.json()["type"]) for a in answers] == [(409, "urn:labsys:problem:at-work")]


@pytest.mark.slow
def test_every_route_that_takes_a_key_keeps_its_answer(client: TestClient) -> None:
    bodies: dict[str, Any] = {
        "subjects": NEW,
        "episodes": {"subject": "S03", "label": "e1", "index_date": "2026-11-01"},
        "sessions": {"subject": "S03", "session": "v1", "captured_at": "2026-11-01T09:00:00Z", "phase": "pre"},
        "trials": {
            "subject": "S03",
            "session": "v1",
            "trial": "run1",
            "kind": "run",
            "recorded_at": "2026-11-01T09:00:00Z",
        },
        "jobs": JOB,
        "releases": {"name": "2026-autumn", "of_present": True},
        "releases/candidate": {"subject": "S01"},
        "recordings": {
            "subject": "S03",
            "session": "v1",
            "trial": "run2",
            "kind": "run",
            "markers": {"sha256": hashlib.sha256(b"markers").hexdigest(), "name": "run.trc"},
        },
    }
    client.put(f"{API}/uploads/{bodies['recordings']['markers']['sha256']}", content=b"markers")
    document = client.get(f"{API}/openapi.json").json()["paths"]
    taking = {
        p for p, o in document.items() if "Idempotency-Key" in str(o.get("post", {}).get("parameters", "")).title()
    }
    assert taking == {f"{API}/{noun}" for noun in bodies}
    for noun, body in bodies.items():
        first, again = (client.post(f"{API}/{noun}", json=body, headers={"Idempotency-Key": noun}) for _ in range(2))
        assert first.is_success, first.text
        assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")


def test_what_was_done_is_answered_though_the_service_died_before_it_could(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"Idempotency-Key": "lost"}
    write = Database.write

    @contextmanager
    def dying(self: Database) -> Iterator[Session]:
        with write(self) as session:
            yield session
        raise RuntimeError("the power went")

    with monkeypatch.context() as broken:
        broken.setattr(Database, "write", dying)
        assert client.post(f"{API}/jobs", json=JOB, headers=key).status_code == 500
    again = client.post(f"{API}/jobs", json=JOB, headers=key)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
    assert [j["id"] for j in client.get(f"{API}/jobs").json()["items"]] == [again.json()["id"]]


@pytest.mark.slow
def test_request_that_was_only_slow_does_nothing_twice(
    any_lab: Lab, open_client: Callable[[Lab], TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, write, answers = {"Idempotency-Key": "slow"}, Database.write, []
    client = open_client(any_lab)

    @contextmanager
    def slow(self: Database) -> Iterator[Session]:
        if not answers:
            answers.append(None)
            other = TestClient(client.app, base_url=str(client.base_url), client=HERE)
            answers[0] = other.post(f"{API}/jobs", json=JOB, headers=key)
        with write(self) as session:
            yield session

    monkeypatch.setattr("api.once._AT_WORK", timedelta(0))
    monkeypatch.setattr(Database, "write", slow)
    first = client.post(f"{API}/jobs", json=JOB, headers=key)
    assert [a.status_code for a in (first, answers[0])] == [202, 202]
    assert first.content == answers[0].content
    assert len(client.get(f"{API}/jobs").json()["items"]) == 1
