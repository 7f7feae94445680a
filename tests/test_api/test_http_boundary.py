"""No other machine's page reaches the service, and its own pages load nothing from elsewhere."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

API = "/api/v1"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::1", "10.0.0.5:8000"]
)
def test_rebound_names_are_refused(host: str, client: TestClient) -> None:
    answer = client.get(f"{API}/subjects", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "S01" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.0.0.1"])
def test_this_machine_is_let_in(host: str, client: TestClient) -> None:
    assert client.get(f"{API}/subjects", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999"])
def test_pages_of_other_origins_may_neither_read_nor_write(origin: str, client: TestClient) -> None:
    headers = {"Origin": origin}
    assert client.get(f"{API}/subjects", headers=headers).status_code == 400
    assert client.patch(f"{API}/subjects/S01", json={"notes": "x"}, headers=headers).status_code == 400
    assert client.get(f"{API}/subjects/S01").json()["notes"] != "x"


def test_own_pages_may_write(client: TestClient) -> None:
    headers = {"Origin": "http://127.0.0.1:8000"}
    assert client.patch(f"{API}/subjects/S01", json={"notes": "x"}, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", f"{API}/subjects", "/nowhere", "/static/labsys.css"])
def test_headers_keep_a_browser_at_home(path: str, client: TestClient) -> None:
    headers = client.get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
    preflight = client.options(
        path, headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "PATCH"}
    )
    assert "access-control-allow-origin" not in preflight.headers
