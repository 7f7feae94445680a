"""A lab without users is open to its own machine, and to nobody whom that machine lets through."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import ServiceSettings
from labsys.storage.lab import Lab
from tests.test_api.conftest import BASE, HERE

API = "/api/v1"
LISTED = "https://dashboards.example"
ADMIN = {"name": "mk", "password": "four words that go together"}
PASSED_ON = [{"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"X-Real-IP": "127.0.0.1"}]


def _client(lab: Lab, host: str = HERE[0]) -> TestClient:
    settings = ServiceSettings(cors_origins=(LISTED,))
    return TestClient(create_app(lab, settings), base_url=BASE, raise_server_exceptions=False, client=(host, 50_000))


def _is_shut(client: TestClient, headers: dict[str, str]) -> bool:
    access = client.get(f"{API}/access", headers=headers).json()
    asked = [
        client.get(f"{API}/subjects", headers=headers).status_code,
        client.patch(f"{API}/subjects/S01", json={"notes": "x"}, headers=headers).status_code,
        client.post(f"{API}/keys", json={"role": "admin"}, headers=headers).status_code,
        client.post(f"{API}/access/setup", json=ADMIN, headers=headers).status_code,
    ]
    return (access["role"], access["set_up"], asked) == (None, False, [401, 401, 401, 403])


@pytest.mark.parametrize("headers", [{"Origin": LISTED}, *PASSED_ON])
def test_listed_origins_and_what_was_passed_on_stay_out(headers: dict[str, str], lab: Lab) -> None:
    with _client(lab) as client:
        assert _is_shut(client, headers)


@pytest.mark.parametrize("host", ["192.168.1.20", "10.0.0.5", "2001:db8::1", "no-address"])
def test_other_machines_stay_out(host: str, lab: Lab) -> None:
    with _client(lab, host) as client:
        assert _is_shut(client, {})


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1"])
@pytest.mark.parametrize("headers", [{}, {"Origin": BASE}])
def test_own_machine_and_own_pages_come_in(host: str, headers: dict[str, str], lab: Lab) -> None:
    with _client(lab, host) as client:
        assert client.get(f"{API}/subjects", headers=headers).status_code == 200
        assert client.post(f"{API}/access/setup", json=ADMIN, headers=headers).status_code == 201


def test_listed_origin_comes_in_with_a_key(lab: Lab) -> None:
    with _client(lab) as client:
        token = client.post(f"{API}/keys", json={"role": "viewer", "subjects": ["S01"]}).json()["token"]
        answer = client.get(f"{API}/subjects", headers={"Origin": LISTED, "Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == LISTED
