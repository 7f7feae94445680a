"""Routes leave no session open, and a router looks only at paths that begin as one of its own."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from api.access.rules import served_routes
from api.app import create_app
from api.database.connection import Database
from labsys.storage.lab import Lab
from tests.test_api.conftest import BASE, HERE


def test_no_route_leaves_a_session_open(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Session] = []
    read = Database.read

    def kept(database: Database) -> Session:
        opened.append(read(database))
        return opened[-1]

    client = TestClient(create_app(lab), base_url=BASE, client=HERE)
    monkeypatch.setattr(Database, "read", kept)
    paths = ("/lab", "/subjects/S01", "/subjects/nobody", "/sessions?limit=0", "/tables/trial_metrics?format=csv")
    assert [client.get(f"/api/v1{path}").status_code for path in paths] == [200, 200, 404, 422, 200]
    assert len(opened) >= len(paths)
    assert not any(session.in_transaction() for session in opened)


def test_every_route_is_found_by_its_path(lab: Lab) -> None:
    app = create_app(lab)
    client = TestClient(app, base_url=BASE, client=HERE)
    lost = [r.path for r in served_routes(app) if client.request("TRACE", _filled(r.path)).status_code != 405]
    assert lost == []


def test_a_path_of_no_router_is_not_found(lab: Lab) -> None:
    client = TestClient(create_app(lab), base_url=BASE, client=HERE)
    assert [client.get(path).status_code for path in ("/nowhere", "/api/v1/nowhere", "/api/v1")] == [404, 404, 404]


def _filled(path: str) -> str:
    return "/".join("x" if part.startswith("{") else part for part in path.split("/"))
