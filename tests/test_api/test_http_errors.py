"""Every error is a problem (RFC 9457) that says what happened, where, and what to do."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from api.app import create_app
from api.boundary import Boundary
from api.settings import ServiceSettings
from labsys.core.errors import InputError
from labsys.storage.lab import Lab

pytestmark = pytest.mark.slow

API = "/api/v1"


def _problem(answer: object) -> dict[str, object]:
    assert answer.headers["content-type"] == "application/problem+json"  # type: ignore[attr-defined]
    problem: dict[str, object] = answer.json()  # type: ignore[attr-defined]
    assert problem["status"] == answer.status_code  # type: ignore[attr-defined]
    assert {"type", "title", "status", "detail", "instance"} <= set(problem)
    return problem


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/static/../../pyproject.toml", 404),
        ("GET", "/static/%2e%2e/%2e%2e/app.py", 404),
        ("DELETE", f"{API}/subjects/S01", 405),
        ("GET", f"{API}/subjects/S99", 404),
        ("GET", f"{API}/sessions/S01/2026-11-02", 404),
        ("GET", f"{API}/trials/S01/2026-11-01/run9", 404),
        ("GET", f"{API}/runs/S01/2026-11-01/run1/r000000000000", 404),
        ("GET", f"{API}/episodes/S01/none", 404),
        ("GET", f"{API}/subjects/..%2f..%2fetc", 404),
        ("GET", f"{API}/subjects/.hidden", 422),
        ("GET", f"{API}/subjects/a%00b", 422),
        ("GET", f"{API}/subjects?limit=0", 422),
        ("GET", f"{API}/subjects?limit=1&limit=2", 422),
        ("GET", f"{API}/subjects?cursor=%%%", 400),
        ("GET", f"{API}/subjects?cursor=bm90IGpzb24", 400),
        ("GET", f"{API}/subjects?cursor=W10", 400),
        ("GET", f"{API}/trials/S01/2026-11-01/run1/curves?angle=hip_flexon", 404),
        ("GET", f"{API}/compare?subject=S01&pre=2026-11-01", 422),
        ("GET", f"{API}/compare?subject=S01&pre=2026-11-01&post=2026-11-01", 422),
        ("GET", f"{API}/trend?subject=S01&metric=cadence&side=left", 422),
        ("GET", f"{API}/trend?subject=S01&metric=cadense&side=both", 422),
        ("GET", f"{API}/tables/trial_metrics?from=yesterday", 422),
        ("GET", f"{API}/tables/trial_metrics?columns=meen", 422),
        ("GET", f"{API}/tables/trial_metrics?metric=cadense", 422),
        ("GET", f"{API}/tables/trial_metrics?from=999999999999999999999", 422),
        ("GET", f"{API}/tables/trial_metrics?subject=%00", 422),
        ("PATCH", f"{API}/subjects/S99", 404),
    ],
)
def test_status_and_shape(method: str, path: str, status: int, client: TestClient) -> None:
    answer = client.request(method, path, json={"notes": "x"} if method == "PATCH" else None)
    assert answer.status_code == status, answer.text
    _problem(answer)


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        (f"{API}/tables/trial_metrics?metrik=cadence", "metric"),
        (f"{API}/tables/trial_metrics?updated_sinc=0", "updated_since"),
        (f"{API}/trials?subjects=S01", "subject"),
        (f"{API}/tables/trial_metrics?columns=meen", "mean"),
        (f"{API}/trend?subject=S01&metric=cadense&side=both", "cadence"),
        (f"{API}/subjects/S1", "S01"),
        ("/compare?subject=S01&prae=2026-11-01&post=2026-12-13", "pre"),
    ],
)
def test_typos_are_refused_and_the_nearest_name_is_said(path: str, nearest: str, client: TestClient) -> None:
    assert _problem(client.get(path))["nearest"] == nearest


def test_cursor_of_another_question_is_refused(client: TestClient) -> None:
    cursor = client.get(f"{API}/trials?limit=1").json()["next_cursor"]
    assert client.get(f"{API}/trials?limit=1&cursor={cursor}").status_code == 200
    assert client.get(f"{API}/trials?limit=1&kind=run&cursor={cursor}").status_code == 400
    assert client.get(f"{API}/tables/trial_metrics?format=csv&cursor={cursor}").status_code == 400


def test_method_not_allowed_says_what_is(client: TestClient) -> None:
    assert "GET" in client.delete(f"{API}/subjects").headers["allow"]


def test_bodies_that_are_not_json(client: TestClient) -> None:
    path = f"{API}/subjects/S01"
    assert client.patch(path, content=b"{", headers={"content-type": "application/json"}).status_code == 422
    assert client.patch(path, content=b'{"notes": "x"}', headers={"content-type": "text/plain"}).status_code == 422
    assert client.patch(path, content=b"[]", headers={"content-type": "application/json"}).status_code == 422
    _problem(client.patch(path, content=b"\xff\xfe", headers={"content-type": "application/json"}))
    for half in (b'{"notes": "\\ud800"}', b'{"\\ud800": 1}', b'{"goals": [{"metric": "\\ud800"}]}'):
        answer = client.patch(path, content=half, headers={"content-type": "application/json"})
        assert answer.status_code == 422
        _problem(answer)


def test_huge_body_is_refused(client: TestClient) -> None:
    body = json.dumps({"notes": "x" * (2 << 20)})
    headers = {"content-type": "application/json"}
    for content in (body, iter([body.encode()])):  # the second does not announce its length
        answer = client.patch(f"{API}/subjects/S01", content=content, headers=headers)
        assert answer.status_code == 413
        _problem(answer)


def test_defect_tells_nothing_of_the_inside(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("api.routes.subjects.find_subject", fail)
    answer = client.get(f"{API}/subjects/S01")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    problem = _problem(answer)
    request_id = answer.headers["x-request-id"]
    assert request_id in str(problem["detail"])
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert any(request_id in r.getMessage() and r.exc_info for r in caplog.records)


def test_every_request_is_in_the_log_with_its_id(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="labsys.requests")
    answers = [client.get(f"{API}/subjects/a%0Ab?x=secret"), client.get("/", headers={"Host": "evil.example"})]
    said = [r.getMessage() for r in caplog.records if r.name == "labsys.requests"]
    ids = [a.headers["x-request-id"] for a in answers]
    assert said == [f"{ids[0]} GET {API}/subjects/a%0Ab 422", f"{ids[1]} GET / 400"]


@pytest.mark.parametrize(("begun", "error"), [(True, RuntimeError("broke")), (False, asyncio.CancelledError())])
def test_a_request_that_breaks_off_is_in_the_log_too(
    begun: bool, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_off(_scope: Scope, _receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    async def drop(_message: Message) -> None:
        """Nobody hears it."""

    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    caplog.set_level(logging.INFO, logger="labsys.requests")
    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": [(b"host", b"127.0.0.1")]}
    with pytest.raises(type(error)):
        asyncio.run(Boundary(break_off, settings=ServiceSettings())(scope, nothing, drop))
    assert caplog.records[-1].getMessage().endswith(f" GET /x {200 if begun else 0}")


def test_unreadable_result_is_named_without_the_path_of_the_lab(client: TestClient, lab: Lab) -> None:
    for path in (lab.root / "subjects/S01/2026-11-01/run1/runs").glob("*/curves.parquet"):
        path.write_bytes(b"torn")
    problem = _problem(client.get(f"{API}/trials/S01/2026-11-01/run1/curves"))
    assert problem["status"] == 422
    assert "curves.parquet" in str(problem["where"])
    assert str(lab.root) not in json.dumps(problem)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_listening_beyond_this_machine_without_credentials_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="credentials"):
        ServiceSettings(host=host).refuse_open_doors(has_credentials=False)


def test_application_asks_whether_there_are_credentials(lab: Lab) -> None:
    with pytest.raises(InputError, match="credentials"):
        create_app(lab, ServiceSettings(host="192.168.1.5"))


def test_listening_everywhere_needs_a_name() -> None:
    with pytest.raises(InputError, match="no name"):
        ServiceSettings(host="0.0.0.0").refuse_open_doors(has_credentials=True)
    ServiceSettings(host="0.0.0.0", allowed_hosts=("lab.example",)).refuse_open_doors(has_credentials=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_listening_on_this_machine_is_allowed(host: str) -> None:
    ServiceSettings(host=host).refuse_open_doors(has_credentials=False)


@pytest.mark.parametrize("origin", ["*", "evil.example", "https://evil.example/path", "https://*"])
def test_origins_are_named_one_by_one(origin: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        ServiceSettings(cors_origins=(origin,))
