"""What somebody who means harm may try: to be answered with headers of one's own, to have the service ask elsewhere, to
keep a key that was exchanged."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from starlette.testclient import TestClient

API = "/api/v1"
_SPLIT = "%0d%0aX-Evil:%201%0d%0aSet-Cookie:%20a=b"
_ELSEWHERE = (
    "http://169.254.169.254/latest/meta-data",
    "//evil.example/x",
    "file:///etc/passwd",
    "tcp://evil.example:1",
)


@pytest.mark.parametrize(
    "path",
    [
        f"{API}/subjects/S01{_SPLIT}",
        f"{API}/files/subjects/S01{_SPLIT}",
        f"{API}/tables/trial_metrics?format=csv&subject=S01{_SPLIT}",
        f"{API}/compare?subject=S01&pre=2026-11-01&post=2026-12-13&as_of={_SPLIT}",
        f"/sign-in?next=/{_SPLIT}",
        f"/static/labsys.css{_SPLIT}",
        f"/?q={_SPLIT}",
    ],
)
def test_no_answer_has_a_header_that_was_sent_in_a_name(path: str, client: TestClient) -> None:
    answer = client.get(path, headers={"X-Request-ID": "chosen", "Accept": "text/html"}, follow_redirects=False)
    assert answer.status_code in (200, 303, 404, 422)
    assert not {"x-evil", "set-cookie"} & set(answer.headers)
    assert answer.headers["x-request-id"] != "chosen"


@pytest.mark.slow
def test_the_service_asks_nobody_elsewhere_whatever_is_named(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*where: Any) -> None:
        raise AssertionError(f"asked {where[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for place in _ELSEWHERE:
        for route, body in (
            ("jobs", {"kind": "process", "target": place}),
            ("releases/candidate", {"model": place}),
            ("releases/candidate", {"settings": [f"pose2d.model={place}"], "subject": place}),
            ("capture", {"rig": place}),
            ("sessions", {"subject": "S01", "session": place, "captured_at": "2026-11-03T10:00:00Z"}),
            ("trials", {"subject": "S01", "session": "2026-11-01", "trial": "t", "kind": "run", "calibration": place}),
        ):
            answer = client.post(f"{API}/{route}", json=body)
            assert 400 <= answer.status_code < 500, (route, body, answer.text)
        for question in (f"subjects/{place}", f"files/{place}", f"compare?subject={place}&pre=a&post=b"):
            assert 400 <= client.get(f"{API}/{question}").status_code < 500


def test_a_key_is_exchanged_without_a_moment_without_one(client: TestClient) -> None:
    def ask(token: str) -> int:
        return client.get(f"{API}/subjects", headers={"Authorization": f"Bearer {token}"}).status_code

    old = client.post(f"{API}/keys", json={"role": "admin", "label": "grafana"}).json()
    admin = {"Authorization": f"Bearer {old['token']}"}
    new = client.post(f"{API}/keys", json={"role": "admin", "label": "grafana"}, headers=admin).json()
    assert (ask(old["token"]), ask(new["token"])) == (200, 200)
    revoked = client.delete(f"{API}/keys/{old['id']}", headers={"Authorization": f"Bearer {new['token']}"})
    assert revoked.status_code == 200
    assert (ask(old["token"]), ask(new["token"])) == (401, 200)
