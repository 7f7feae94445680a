"""`labsys user` and `labsys key`: the key that is printed opens the service, the password that was typed signs in."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from labsys.storage.lab import Lab, open_lab
from tests.test_api.cli_answer import Run

API = "/api/v1"
PASSWORD = "four words that go together"


@pytest.mark.slow
def test_users_and_keys(
    labsys: Run, new_lab: Path, monkeypatch: pytest.MonkeyPatch, open_client: Callable[[Lab], TestClient]
) -> None:
    """One lab for all of it."""
    assert labsys("subject", "add", "S01").code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    added = labsys("user", "add", "mk", "--role", "admin")
    assert (added.code, PASSWORD in added.out + added.err) == (0, False)
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert labsys("user", "add", "x", "--role", "viewer").code == 2
    assert labsys("user", "add", "x", "--role", "viewr").code == 2
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert labsys("user", "add", "physio", "--role", "viewer").code == 0
    assert json.loads(labsys("user", "grant", "physio", "S01", "--json").out)["subjects"] == ["S01"]
    assert labsys("user", "grant", "physio", "S1").code == 2
    made = labsys("key", "create", "--role", "viewer", "--subject", "S01", "--label", "grafana")
    token = made.out.strip().splitlines()[-1]
    assert token not in labsys("key", "list").out
    assert labsys("key", "create", "--role", "viewer", "--expires", "2020-01-01").code == 2
    assert labsys("key", "create", "--role", "viewer", "--subject", "S01", "--scope", "write").code == 2

    client = open_client(open_lab(new_lab))
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get(f"{API}/subjects").status_code == 401
    assert [s["code"] for s in client.get(f"{API}/subjects", headers=headers).json()["items"]] == ["S01"]
    signed_in = client.post(f"{API}/access/login", json={"name": "mk", "password": PASSWORD})
    assert signed_in.json()["role"] == "admin"
    key = json.loads(labsys("key", "list", "--json").out)["keys"][0]
    assert labsys("key", "revoke", key["id"]).code == 0
    assert client.get(f"{API}/subjects", headers=headers).status_code == 401
    assert labsys("user", "withdraw", "physio", "S01").code == 0
    assert labsys("user", "change", "mk", "--disable").code == 2  # the only admin
    assert [u["grants"] for u in json.loads(labsys("user", "list", "--json").out)["users"]] == [[], []]
