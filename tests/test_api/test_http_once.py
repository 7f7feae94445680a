"""A POST that is sent twice with one key is done once."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.test_api.conftest import HERE

API = "/api/v1"
NEW = {"code": "S03"}


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
