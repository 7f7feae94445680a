"""The service keeps to its OpenAPI document: no 5xx, no status, type, header or body that it does not announce."""

from __future__ import annotations

from pathlib import Path

import pytest
from argon2 import PasswordHasher
from fastapi import Response
from starlette.testclient import TestClient

from api.access import passwords
from api.access.throttle import Throttle
from tests.test_api.contract import API, EXCUSED, check_contract, check_edges
from tests.test_api.sequences import sign_in_anew


@pytest.mark.slow
def test_service_keeps_to_its_document(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "keys"))
    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", lambda: cheap)
    for name in ("login_throttle", "address_throttle", "export_throttle"):
        setattr(client.app.state, name, Throttle(burst=1_000_000, every_s=0.001))  # type: ignore[attr-defined]
    token = client.post(f"{API}/keys", json={"role": "admin"}).json()["token"]
    report = check_contract(client, {"Authorization": f"Bearer {token}"}, examples=3)
    assert report.breaches == {}, "\n\n".join(f"{k}: {v}" for k, v in report.breaches.items())
    assert report.cases > 250
    answered = {operation for operation, status in report.answers if status < 300}
    assert len(answered) > 30, sorted(answered)


@pytest.mark.slow
def test_methods_that_a_path_does_not_have_are_refused_with_those_it_has(client: TestClient) -> None:
    report = check_edges(client, sign_in_anew(client), scenarios={"UNSPECIFIED_HTTP_METHOD"})
    assert report.breaches == {}, "\n\n".join(f"{k}: {v}" for k, v in report.breaches.items())
    assert {status for _, status in report.answers} == {405}
    assert report.cases > 400
    assert report.excused == {excused for excused in EXCUSED if excused[0] == "allow_header_conformance"}


def test_who_is_let_in_stands_in_the_document(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = sign_in_anew(client)()
    report = check_contract(client, headers, examples=2, only="/lab")
    assert report.breaches == {}
    assert report.closed == {"GET /api/v1/lab"}
    monkeypatch.setattr("api.access.rules.Rule.lets_in", lambda *_: True)
    monkeypatch.setattr("api.access.authenticate._is_open", lambda *_: True)
    monkeypatch.setattr("api.access.authenticate.is_from_own_machine", lambda _: True)
    assert {check for _, check, _ in check_contract(client, headers, examples=2, only="/lab").breaches} == {
        "ignored_auth"
    }


@pytest.mark.parametrize("sent", [20261122, "20261122", 0, "0", 1.5, True, None, ""])
def test_day_that_is_a_number_is_refused(client: TestClient, sent: object) -> None:
    visit = {"subject": "S01", "session": "v9", "captured_at": sent}
    assert client.post(f"{API}/sessions", json=visit).status_code == 422
    assert client.patch(f"{API}/episodes/S01/acl-left", json={"index_date": sent}).status_code == 422
    assert client.get(f"{API}/episodes/S01/acl-left").json()["index_date"] == "2026-10-04"


@pytest.mark.parametrize("sent", [0, "true", "yes"])
def test_word_for_true_or_false_is_refused(client: TestClient, sent: object) -> None:
    assert client.patch(f"{API}/trials/S01/2026-11-01/run1", json={"excluded": sent}).status_code == 422


@pytest.mark.parametrize("sent", [True, "3.0"])
def test_number_that_is_none_is_refused(client: TestClient, sent: object) -> None:
    changed = client.patch(f"{API}/trials/S01/2026-11-01/run1", json={"conditions": {"incline_pct": sent}})
    assert changed.status_code == 422


@pytest.mark.slow
def test_breaches_of_the_document_are_noticed(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = sign_in_anew(client)()

    def ask() -> set[tuple[str, int]]:
        found = check_contract(client, headers, examples=1, only="/angles").breaches
        return {(check, status) for _, check, status in found}

    assert ask() == set()
    with monkeypatch.context() as broken:
        broken.setattr("api.routes.analysis.list_angles", lambda: 1 / 0)
        assert ask() == {("not_a_server_error", 500)}
    with monkeypatch.context() as broken:
        broken.setattr("api.routes.analysis.send", lambda *_: Response("{}", 418, media_type="text/plain"))
        assert {("status_code_conformance", 418)} <= ask()
    monkeypatch.setattr("api.routes.analysis.send", lambda *_: Response("{}", 200, media_type="application/json"))
    assert ask() == {("response_schema_conformance", 200)}
