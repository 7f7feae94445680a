"""Names of people and labels of keys: every way to write one is the same name, and none is longer than its column."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from api.access.audit import Actor, record
from api.access.keys import KeyRequest, make_key
from api.access.logins import check_password
from api.access.roles import Role
from api.access.throttle import Throttle
from api.access.users import add_user, find_user
from api.database.connection import open_database
from api.database.tables_owned import AuditRow
from labsys.core.errors import InputError
from labsys.storage.lab import Lab

pytestmark = [pytest.mark.usefixtures("cheap_hashes"), pytest.mark.slow]

API = "/api/v1"
PASSWORD = "four words that go together"


@pytest.fixture
def admin(client: TestClient) -> TestClient:
    """The service with an admin whose name is no ASCII."""
    answer = client.post(f"{API}/access/setup", json={"name": "Łukasz Ångström", "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return client


def test_names_that_are_no_ascii(admin: TestClient) -> None:
    made = admin.post(f"{API}/users", json={"name": "Élodie Ñ", "password": PASSWORD, "role": "viewer"})
    assert (made.status_code, made.json()["name"]) == (201, "Élodie Ñ")
    url = made.headers["location"]
    assert admin.patch(url, json={"role": "clinician"}).json()["role"] == "clinician"
    for same in ("ÉLODIE ñ", "e\u0301lodie n\u0303", " élodie ñ "):
        again = admin.post(f"{API}/users", json={"name": same, "password": PASSWORD, "role": "admin"})
        assert again.status_code == 422, same
        browser = TestClient(admin.app, base_url=str(admin.base_url))
        assert browser.post(f"{API}/access/login", json={"name": same, "password": PASSWORD}).status_code == 200
    assert admin.put(f"{API}/users/ÉLODIE Ñ/grants/S01").json() == {"user": "Élodie Ñ", "subjects": ["S01"]}


def test_two_names_that_fold_to_one_are_each_their_own(lab: Lab) -> None:
    """SQLite's lower() leaves Å alone, so that older versions let both in."""
    database = open_database(lab)
    with database.write() as session:
        add_user(session, Actor("terminal"), "Zoe Ångström", Role.ADMIN, PASSWORD)
        other = add_user(session, Actor("terminal"), "another", Role.VIEWER, f"{PASSWORD} too")
        other.name = "Zoe ångström"
    with database.read() as session:
        assert find_user(session, "Zoe ångström").role == Role.VIEWER
        assert find_user(session, "Zoe Ångström").role == Role.ADMIN
        assert find_user(session, "ZOE ÅNGSTRÖM").role == Role.ADMIN
        assert check_password(session, "Zoe ångström", f"{PASSWORD} too") is not None
    database.close()


def test_every_way_to_write_a_name_counts_as_the_same_try(admin: TestClient) -> None:
    admin.app.state.login_throttle = Throttle(burst=2, every_s=60.0)  # type: ignore[attr-defined]
    browser = TestClient(admin.app, base_url=str(admin.base_url))
    names = ("łukasz ångström", "ŁUKASZ ÅNGSTRÖM", "łukasz a\u030angstro\u0308m")
    tries = [browser.post(f"{API}/access/login", json={"name": n, "password": "wrong"}).status_code for n in names]
    assert tries == [401, 401, 429]


@pytest.mark.parametrize("name", ["a/b", "/", "..", ".", "a\nb", "\ud800"])
def test_names_that_cannot_stand_in_an_address_are_refused(name: str, admin: TestClient) -> None:
    body = b'{"name": "%s", "password": "%s", "role": "viewer"}' % (
        name.encode("ascii", "backslashreplace").replace(b"\n", b"\\n"),
        PASSWORD.encode(),
    )
    json_type = {"content-type": "application/json"}
    assert admin.post(f"{API}/users", content=body, headers=json_type).status_code == 422


@pytest.mark.parametrize("path", ["access/setup", "access/login", "users"])
@pytest.mark.parametrize("field", ["name", "password"])
def test_half_of_a_surrogate_pair_is_refused(path: str, field: str, client: TestClient) -> None:
    sent = (
        {"name": "x", "password": PASSWORD, "role": "admin"} if path == "users" else {"name": "x", "password": PASSWORD}
    )
    text = str(sent | {field: "four words and \\ud800"}).replace("'", '"').replace("\\\\", "\\")
    answer = client.post(f"{API}/{path}", content=text, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text


def test_longest_label_fits_wherever_its_key_is_named(any_lab: Lab, open_client: Callable[[Lab], TestClient]) -> None:
    client = open_client(any_lab)
    assert client.post(f"{API}/keys", json={"role": "admin", "label": "x" * 101}).status_code == 422
    made = client.post(f"{API}/keys", json={"role": "admin", "label": "x" * 100}).json()
    headers = {"Authorization": f"Bearer {made['token']}", "Idempotency-Key": "k" * 200}
    assert client.post(f"{API}/subjects", json={"code": "S09"}, headers=headers).status_code == 201
    assert client.post(f"{API}/keys", json={"role": "viewer"}, headers=headers).status_code == 201
    job = {"kind": "process", "target": "S01/2026-11-01/run1"}
    assert client.post(f"{API}/jobs", json=job, headers=headers).status_code == 422  # another request by that key
    assert client.post(f"{API}/jobs", json=job, headers=headers | {"Idempotency-Key": "2"}).status_code == 202


def test_terminal_refuses_a_label_that_is_too_long(lab: Lab) -> None:
    database = open_database(lab)
    with pytest.raises(InputError, match="label"), database.write() as session:
        make_key(session, Actor("terminal"), KeyRequest(Role.ADMIN, "x" * 101))
    database.close()


def test_audit_takes_any_name_and_address(any_lab: Lab) -> None:
    database = open_database(any_lab)
    with database.write() as session:
        record(session, Actor("n" * 500, address="a" * 500), "test", "x")
    with database.read() as session:
        row = session.query(AuditRow).one()
        assert (len(row.actor), len(row.address or "")) == (200, 64)
    database.close()
