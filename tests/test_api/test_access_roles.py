"""Who may do what, for every route that is served; and what a viewer without a grant can find out: nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import event
from starlette.testclient import TestClient

from api.access.audit import TERMINAL
from api.access.keys import KeyRequest, make_key
from api.access.roles import Role, Scope
from api.access.rules import RULES, check_every_route_has_a_rule, served_routes
from api.access.visibility import CRITERIA
from api.database.columns import Base
from api.database.connection import Database
from api.database.tables import INDEX_TABLES
from api.indexing.index import index_lab
from labsys.storage.lab import Lab, open_lab
from tests.test_api.every_url import every_url

API = "/api/v1"
_FILLED = {"subject": "S01", "session": "2026-11-01", "trial": "run1", "run": "current", "episode": "acl-left"}


def _database(client: TestClient) -> Database:
    database: Database = client.app.state.database  # type: ignore[attr-defined]
    return database


def _headers(client: TestClient, role: Role, **narrowed: object) -> dict[str, str]:
    with _database(client).write() as session:
        _, token = make_key(session, TERMINAL, replace(KeyRequest(role), **narrowed))  # type: ignore[arg-type]
    return {"Authorization": f"Bearer {token.show()}"}


def _fill(path: str) -> str:
    return re.sub(r"\{(\w+)(:path)?\}", lambda m: _FILLED.get(m[1], "0123456789ab"), path)


@pytest.mark.slow
def test_every_route_lets_in_those_whom_its_rule_names(client: TestClient) -> None:
    callers: dict[Role | None, dict[str, str]] = {role: _headers(client, role) for role in Role}
    callers[None] = {}
    for route in served_routes(client.app):  # type: ignore[arg-type]
        method = min(route.methods)
        for role, headers in callers.items():
            least = route.rule.role
            expected = {401} if role is None else {403}
            # Without a body nothing is changed: those who are let in get 422, 404 or an answer.
            status = client.request(method, _fill(route.path), headers=headers).status_code
            allowed = least is None or (
                role is not None and role.reaches(least) and not _only_reads(role, route.rule.scope)
            )
            assert (status not in (401, 403)) if allowed else ({status} == expected), (route, role, status)


def _only_reads(role: Role, scope: Scope) -> bool:
    return role is Role.VIEWER and scope is not Scope.READ


def test_rules_are_as_the_roles_are_meant(client: TestClient) -> None:
    for route in served_routes(client.app):  # type: ignore[arg-type]
        area = route.id.split("-")[0]
        if area == "access":
            assert route.rule.role is None
            continue
        assert route.rule.role is not None
        if route.methods - {"GET", "HEAD"}:
            assert route.rule.role.reaches(Role.CLINICIAN), route
            assert route.rule.scope is not Scope.READ, route
        if area in ("users", "keys", "audit"):
            assert (route.rule.role, route.rule.scope) == (Role.ADMIN, Scope.ACCOUNTS)


def test_route_without_a_rule_is_not_served() -> None:
    app = FastAPI()

    @app.get("/new", tags=["new"])
    def route() -> None:
        """New."""

    with pytest.raises(LookupError, match="new-route"):
        check_every_route_has_a_rule(app)


def test_no_rule_is_left_over(client: TestClient) -> None:
    assert set(RULES) == {route.id for route in served_routes(client.app)}  # type: ignore[arg-type]


def test_key_without_the_scope_is_refused(client: TestClient) -> None:
    headers = _headers(client, Role.ADMIN, scopes=(Scope.READ,))
    assert client.get(f"{API}/subjects", headers=headers).status_code == 200
    assert client.patch(f"{API}/subjects/S01", json={"notes": "x"}, headers=headers).status_code == 403
    assert client.get(f"{API}/users", headers=headers).status_code == 403


def test_every_table_that_says_something_of_a_subject_is_limited() -> None:
    said = {kind.__tablename__ for kind in CRITERIA}
    assert said >= INDEX_TABLES - {"index_state"}
    assert {t.name for t in Base.metadata.tables.values() if "subject_id" in t.c} - said == {
        # Read only by their own routes, which a viewer has no rule for.
        *("subject_grant", "share_link", "subject_identity"),
    }


@pytest.mark.slow
def test_what_is_index_does_not_depend_on_what_was_imported_first() -> None:
    """Were a table of users among them, `labsys index` would empty it."""
    said = (
        "import api.database.tables_owned; from api.database.tables import INDEX_TABLES; print(*sorted(INDEX_TABLES))"
    )
    found = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout.split()
    assert set(found) == INDEX_TABLES
    assert not {"user", "login", "api_key", "share_link", "subject_identity", "job", "audit_event"} & INDEX_TABLES


def _lab_without(lab: Lab, subject: str, root: Path) -> Lab:
    other = open_lab(Path(shutil.copytree(lab.root, root)))
    shutil.rmtree(other.root / "subjects" / subject)
    return other


@pytest.mark.slow
def test_viewer_sees_what_there_is_in_a_lab_without_the_others(
    any_lab: Lab, lab: Lab, tmp_path: Path, open_client: Callable[[Lab], TestClient]
) -> None:
    # One trend of twenty: they all ask the same question.
    urls = [u for i, u in enumerate(every_url(open_client(any_lab))) if "/trend" not in u or i % 20 == 0]
    # What no viewer may ask, of anybody.
    urls = [u for u in urls if not u.endswith(("/identity", "/reliability"))]
    whole, rest = open_client(any_lab), open_client(_lab_without(lab, "S01", tmp_path / "rest"))
    index_lab(rest.app.state.lab, database=_database(rest))  # type: ignore[attr-defined]
    viewer, admin = _headers(whole, Role.VIEWER, subjects=("S02",)), _headers(rest, Role.ADMIN)
    seen = 0
    for url in urls:
        shown, true = whole.get(url, headers=viewer), rest.get(url, headers=admin)
        assert (shown.status_code, shown.content) == (true.status_code, true.content), url
        assert shown.headers.get("etag") == true.headers.get("etag")
        if "S01" in url and "/tables" not in url:
            assert shown.status_code == 404, url
        seen += shown.status_code == 200
    assert seen > 20
    assert len(urls) > 60


def test_hidden_subject_costs_the_statements_of_one_that_never_was(client: TestClient) -> None:
    headers = _headers(client, Role.VIEWER, subjects=("S02",))
    assert client.get(f"{API}/subjects", headers=headers).status_code == 200  # the use of a key is noted once a minute
    said: list[str] = []
    event.listen(_database(client).engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    paths = ("subjects/{}", "sessions/{}/2026-11-01", "trials/{}/2026-11-01/run1/metrics", "episodes/{}/acl-left")
    for path in (*paths, "compare?subject={}&pre=2026-11-01&post=2026-12-13"):
        found = []
        for code in ("S01", "S03"):
            said.clear()
            answer = client.get(f"{API}/{path.format(code)}", headers=headers)
            found.append((answer.status_code, answer.text.replace(code, "?"), list(said)))
        assert found[0] == found[1]
        assert found[0][0] == 404


def test_viewer_key_without_subjects_sees_nobody(client: TestClient) -> None:
    headers = _headers(client, Role.VIEWER)
    assert client.get(f"{API}/subjects", headers=headers).json() == {"items": [], "next_cursor": None}
    assert client.get(f"{API}/tables/trial_metrics", headers=headers).json()["rows"] == []
    assert "S01" not in client.get("/", headers=headers).text
