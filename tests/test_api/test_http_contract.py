"""The service keeps to its OpenAPI document: no 5xx, no status, type, header or body that it does not announce."""

from __future__ import annotations

from pathlib import Path

import pytest
from argon2 import PasswordHasher
from fastapi import Response
from starlette.testclient import TestClient

from api.access import passwords
from api.access.throttle import Throttle
from tests.test_api.contract import API, check_contract


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
def test_breaches_of_the_document_are_noticed(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> set[tuple[str, int]]:
        return {(check, status) for _, check, status in check_contract(client, {}, examples=1, only="/angles").breaches}

    assert ask() == set()
    with monkeypatch.context() as broken:
        broken.setattr("api.routes.analysis.list_angles", lambda: 1 / 0)
        assert ask() == {("not_a_server_error", 500)}
    with monkeypatch.context() as broken:
        broken.setattr("api.routes.analysis.send", lambda *_: Response("{}", 418, media_type="text/plain"))
        assert {("status_code_conformance", 418)} <= ask()
    monkeypatch.setattr("api.routes.analysis.send", lambda *_: Response("{}", 200, media_type="application/json"))
    assert ask() == {("response_schema_conformance", 200)}
