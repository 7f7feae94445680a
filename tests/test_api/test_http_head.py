"""HEAD says what GET would answer, without a body; other methods are refused with those that there are."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from api.access.audit import TERMINAL
from api.access.keys import KeyRequest, make_key
from api.access.roles import Role
from api.access.rules import served_routes

API = "/api/v1"
_FILLED = {"subject": "S01", "session": "2026-11-01", "trial": "run1", "run": "current", "episode": "acl-left"}
# Answers that go on for as long as somebody follows them.
_ENDLESS = ("/events", "/watch", "/pictures")
# Of one answer alone, or of the moment.
_OWN = {"x-request-id", "date"}


def _readable(client: TestClient) -> list[str]:
    paths = [route.path for route in served_routes(client.app) if "GET" in route.methods]  # type: ignore[arg-type]
    return [re.sub(r"\{(\w+)(:path)?\}", lambda m: _FILLED.get(m[1], "0123456789ab"), path) for path in paths]


def _said(answer: object) -> tuple[int, dict[str, str]]:
    headers = {k: v for k, v in answer.headers.items() if k not in _OWN}  # type: ignore[attr-defined]
    return answer.status_code, headers  # type: ignore[attr-defined]


def check_heads(client: TestClient, *, every: int) -> None:
    """HEAD and GET compared on every nth route, and on what is no route."""
    seen = set[int]()
    for path in [*_readable(client)[::every], "/static/labsys.css", "/nowhere", f"{API}/subjects?nothing=1"]:
        head = client.head(path)
        assert head.content == b"", path
        if not path.endswith(_ENDLESS):
            assert _said(head) == _said(client.get(path)), path
        seen.add(head.status_code)
    assert seen >= {200, 404, 422}


@pytest.mark.slow
def test_head_says_what_get_says(client: TestClient) -> None:
    """On some routes; on all of them in tests/accept."""
    check_heads(client, every=7)


def test_head_needs_what_get_needs(client: TestClient) -> None:
    with client.app.state.database.write() as session:  # type: ignore[attr-defined]
        _, token = make_key(session, TERMINAL, KeyRequest(Role.VIEWER, subjects=("S02",)))
    viewer = {"Authorization": f"Bearer {token.show()}"}
    for path in ("/subjects/S01", "/subjects/S02", "/subjects/S01/identity", "/users"):
        assert client.head(API + path).status_code == 401
        asked = [_said(ask(API + path, headers=viewer)) for ask in (client.head, client.get)]
        assert asked[0] == asked[1], path


def test_head_of_a_file_tells_its_whole_size_and_reads_nothing_of_it(client: TestClient) -> None:
    files = client.get(f"{API}/trials/S01/2026-11-01/run1/files").json()["items"]
    path = f"{API}/files/{files[0]['path']}"
    whole = client.get(path)
    head = client.head(path, headers={"Range": "bytes=0-3"})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.headers["accept-ranges"] == "bytes"
    assert client.head(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304


def test_head_of_what_has_no_end_ends(client: TestClient) -> None:
    job = client.post(f"{API}/jobs", json={"kind": "process", "target": "S01/2026-11-01/run1"}).json()
    head = client.head(f"{API}/jobs/{job['id']}/events")
    assert head.headers["content-type"].startswith("text/event-stream")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (f"{API}/subjects", "GET, HEAD, POST"),
        (f"{API}/subjects/S01", "GET, HEAD, PATCH"),
        (f"{API}/subjects/S01/identity", "DELETE, GET, HEAD, PUT"),
        (f"{API}/access/login", "POST"),
        (f"{API}/openapi.json", "GET, HEAD"),
        ("/", "GET, HEAD"),
        ("/static/labsys.css", "GET, HEAD"),
    ],
)
def test_method_that_a_path_does_not_have_is_refused_with_all_that_it_has(
    path: str, allowed: str, client: TestClient
) -> None:
    answer = client.request("TRACE", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    if "GET" not in allowed:
        assert client.head(path).status_code == 405


@pytest.mark.parametrize("path", [f"{API}/openapi.json", "/static/labsys.css"])
def test_unknown_parameters_are_refused_of_every_path(path: str, client: TestClient) -> None:
    answer = client.get(f"{path}?version=1")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:labsys:problem:unknown-parameter")
    assert "version" in answer.json()["detail"]
    assert client.get(path).status_code == 200
