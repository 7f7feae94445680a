"""Coming in: set-up, passwords, logins with their CSRF token, keys, links, throttling; and what the audit keeps."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from api.access import passwords
from api.access.throttle import Throttle
from api.database.connection import Database
from api.database.tables_owned import ApiKeyRow, LinkRow, LoginRow, UserRow
from labsys.core.errors import InputError

pytestmark = pytest.mark.usefixtures("cheap_hashes")

API = "/api/v1"
ADMIN = {"name": "mk", "password": "four words that go together"}
VIEWER = {"name": "physio", "password": "another four words here"}


@pytest.fixture
def admin(client: TestClient) -> TestClient:
    """The service, set up, with its admin signed in."""
    answer = client.post(f"{API}/access/setup", json=ADMIN)
    assert answer.status_code == 201, answer.text
    client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return client


def _database(client: TestClient) -> Database:
    database: Database = client.app.state.database  # type: ignore[attr-defined]
    return database


def _without_cookie(client: TestClient) -> TestClient:
    return TestClient(client.app, base_url=str(client.base_url), raise_server_exceptions=False)


def _log_in(client: TestClient, who: dict[str, str]) -> TestClient:
    browser = _without_cookie(client)
    answer = browser.post(f"{API}/access/login", json=who)
    assert answer.status_code == 200, answer.text
    browser.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return browser


@pytest.mark.slow
def test_lab_without_users_is_open_to_its_own_machine(client: TestClient) -> None:
    access = client.get(f"{API}/access").json()
    assert (access["set_up"], access["role"], access["means"]) == (False, "admin", "open")
    assert client.get("/").status_code == 200


def test_set_up_closes_the_lab_and_happens_once(admin: TestClient) -> None:
    stranger = _without_cookie(admin)
    assert stranger.get(f"{API}/subjects").status_code == 401
    assert stranger.get("/").status_code == 401
    assert stranger.get(f"{API}/subjects").headers["www-authenticate"] == "Bearer"
    assert stranger.post(f"{API}/access/setup", json={**ADMIN, "name": "second"}).status_code == 409
    assert admin.get(f"{API}/access").json()["role"] == "admin"


def test_cookie_is_out_of_reach_of_scripts_and_other_sites(client: TestClient) -> None:
    cookie = client.post(f"{API}/access/setup", json=ADMIN).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    with _database(client).read() as session:
        kept = session.query(LoginRow).one().token_hash
    assert kept not in cookie


@pytest.mark.parametrize("token", [None, "", "0" * 64])
def test_change_with_a_cookie_needs_its_csrf_token(token: str | None, admin: TestClient) -> None:
    admin.headers.pop("X-CSRF-Token")
    headers = {} if token is None else {"X-CSRF-Token": token}
    for method, path in (("PATCH", "subjects/S01"), ("POST", "users"), ("POST", "access/logout")):
        assert admin.request(method, f"{API}/{path}", json={"notes": "x"}, headers=headers).status_code == 403
    assert admin.get(f"{API}/subjects/S01").json()["notes"] != "x"


def test_csrf_token_of_another_login_does_not_serve(admin: TestClient) -> None:
    other = _log_in(admin, ADMIN)
    swapped = {"X-CSRF-Token": other.headers["X-CSRF-Token"]}
    assert admin.patch(f"{API}/subjects/S01", json={"notes": "x"}, headers=swapped).status_code == 403
    assert admin.patch(f"{API}/subjects/S01", json={"notes": "x"}).status_code == 200


def test_signing_out_ends_the_login(admin: TestClient) -> None:
    cookie = {"Cookie": f"labsys_session={admin.cookies['labsys_session']}"}
    assert admin.post(f"{API}/access/logout").status_code == 200
    assert _without_cookie(admin).get(f"{API}/subjects", headers=cookie).status_code == 401


@pytest.mark.parametrize("column", ["expires_at", "seen_at"])
def test_old_logins_open_nothing(column: str, admin: TestClient) -> None:
    with _database(admin).write() as session:
        setattr(session.query(LoginRow).one(), column, datetime.now(UTC) - timedelta(hours=3))
    assert admin.get(f"{API}/subjects").status_code == 401


@pytest.mark.parametrize("change", [{"password": "yet another four words"}, {"disabled": True}])
def test_changed_password_and_disabling_end_every_login(change: dict[str, object], admin: TestClient) -> None:
    assert admin.post(f"{API}/users", json={**VIEWER, "role": "clinician"}).status_code == 201
    browser = _log_in(admin, VIEWER)
    assert browser.get(f"{API}/subjects").status_code == 200
    assert admin.patch(f"{API}/users/physio", json=change).status_code == 200
    assert browser.get(f"{API}/subjects").status_code == 401
    assert _without_cookie(admin).post(f"{API}/access/login", json=VIEWER).status_code == 401


def test_grant_shows_a_subject_and_withdrawing_hides_it(admin: TestClient) -> None:
    admin.post(f"{API}/users", json={**VIEWER, "role": "viewer"})
    viewer = _log_in(admin, VIEWER)
    assert viewer.get(f"{API}/subjects/S01").status_code == 404
    assert admin.put(f"{API}/users/physio/grants/S01").json()["subjects"] == ["S01"]
    assert viewer.get(f"{API}/subjects/S01").status_code == 200
    assert [s["code"] for s in viewer.get(f"{API}/subjects").json()["items"]] == ["S01"]
    assert viewer.patch(f"{API}/subjects/S01", json={"notes": "x"}).status_code == 403
    assert admin.delete(f"{API}/users/physio/grants/S01").json()["subjects"] == []
    assert viewer.get(f"{API}/subjects/S01").status_code == 404
    said = [(e["actor"], e["action"], e["object"]) for e in admin.get(f"{API}/audit?limit=1000").json()["items"]]
    assert ("mk", "grant.add", "S01 to physio") in said
    assert ("mk", "grant.withdraw", "S01 from physio") in said
    assert said.count(("physio", "read", f"GET {API}/subjects/S01")) == 3


def test_last_admin_stays_admin(admin: TestClient) -> None:
    for change in ({"role": "viewer"}, {"disabled": True}):
        assert admin.patch(f"{API}/users/mk", json=change).status_code == 422
    with _database(admin).read() as session:
        assert session.query(UserRow).one().role == "admin"


def test_login_is_throttled_by_name_and_recovers(admin: TestClient) -> None:
    clock = [0.0]
    admin.app.state.login_throttle = Throttle(burst=3, every_s=10.0, clock=lambda: clock[0])  # type: ignore[attr-defined]
    wrong = {"name": "MK ", "password": "not the password at all"}
    browser = _without_cookie(admin)
    assert [browser.post(f"{API}/access/login", json=wrong).status_code for _ in range(5)] == [401, 401, 401, 429, 429]
    refused = browser.post(f"{API}/access/login", json=ADMIN)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 10
    clock[0] = 31.0
    assert browser.post(f"{API}/access/login", json=ADMIN).status_code == 200


def test_as_many_uses_as_are_allowed_are_at_whatever_time() -> None:
    """Sums of times are rounded: one of twenty first looks at a recording was taken for the second, and not audited."""
    for time_s in (i * 0.123456789 for i in range(1000)):
        for burst, every_s in ((1, 600.0), (10, 30.0), (120, 0.5)):
            throttle = Throttle(burst=burst, every_s=every_s, clock=lambda now=time_s: now)
            waits_s = [throttle.take("name") for _ in range(burst + 1)]
            assert waits_s[:-1] == [0.0] * burst
            assert waits_s[-1] == pytest.approx(every_s)


def test_unknown_name_is_hashed_like_a_known_one(admin: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str | None] = []
    real = passwords.is_password
    monkeypatch.setattr("api.access.logins.is_password", lambda p, h: verified.append(h) or real(p, h))
    answers = [
        _without_cookie(admin).post(f"{API}/access/login", json={"name": name, "password": "wrong wrong wrong"})
        for name in ("mk", "nobody")
    ]
    assert answers[0].json() | {"instance": ""} == answers[1].json() | {"instance": ""}
    assert len(verified) == 2
    assert verified[1] is None


@pytest.mark.parametrize("password", ["short", "x" * 1025, "mk-mk-mk-mk-mk"])
def test_poor_passwords_are_refused(password: str) -> None:
    with pytest.raises(InputError, match="password"):
        passwords.hash_password(password, name="MK-mk-mk-mk-mk")


@pytest.mark.slow
def test_key_is_kept_as_a_hash_expires_and_can_be_revoked(admin: TestClient) -> None:
    made = admin.post(f"{API}/keys", json={"role": "clinician", "label": "r"}).json()
    program, headers = _without_cookie(admin), {"Authorization": f"Bearer {made['token']}"}
    assert program.get(f"{API}/subjects", headers=headers).status_code == 200
    assert program.patch(f"{API}/subjects/S01", json={"notes": "x"}, headers=headers).status_code == 200
    with _database(admin).read() as session:
        row = session.query(ApiKeyRow).one()
        assert made["token"].split("_", 2)[2] not in str(vars(row))
        assert row.used_at is not None
    assert "token" not in admin.get(f"{API}/keys").json()["items"][0]
    wrong = {"Authorization": headers["Authorization"][:-1] + ("A" if headers["Authorization"][-1] != "A" else "B")}
    assert program.get(f"{API}/subjects", headers=wrong).status_code == 401
    assert admin.delete(f"{API}/keys/{made['id']}").json()["revoked_at"] is not None
    assert program.get(f"{API}/subjects", headers=headers).status_code == 401
    late = admin.post(f"{API}/keys", json={"role": "viewer", "expires_at": "2020-01-01T00:00:00Z"})
    assert late.status_code == 422


def test_expired_key_opens_nothing(admin: TestClient) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = admin.post(f"{API}/keys", json={"role": "admin", "expires_at": soon}).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    program = _without_cookie(admin)
    assert program.get(f"{API}/subjects", headers=headers).status_code == 200
    with _database(admin).write() as session:
        session.query(ApiKeyRow).one().expires_at = datetime.now(UTC) - timedelta(seconds=1)
    assert program.get(f"{API}/subjects", headers=headers).status_code == 401


def test_link_shows_one_subject_until_it_is_revoked(admin: TestClient) -> None:
    end = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = admin.post(f"{API}/links", json={"subject": "S02", "expires_at": end}).json()
    browser = _without_cookie(admin)
    answer = browser.post(f"{API}/access/link", json={"token": made["token"]})
    assert answer.json()["subjects"] == ["S02"]
    assert browser.get("/subjects/S02").status_code == 200
    assert browser.get("/subjects/S01").status_code == 404
    csrf = {"X-CSRF-Token": answer.json()["csrf_token"]}
    assert browser.patch(f"{API}/subjects/S02", json={"notes": "x"}, headers=csrf).status_code == 403
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert _without_cookie(admin).get(f"{API}/subjects/S02", headers=bearer).status_code == 200
    assert admin.delete(f"{API}/links/{made['id']}").status_code == 200
    assert browser.get("/subjects/S02").status_code == 401
    assert _without_cookie(admin).get(f"{API}/subjects/S02", headers=bearer).status_code == 401
    said = [e["action"] for e in admin.get(f"{API}/audit?actor=link {made['id']}").json()["items"]]
    assert said == ["link.open", "read", "read", "read"]
    with _database(admin).read() as session:
        assert made["token"].split("_", 2)[2] not in str(vars(session.query(LinkRow).one()))


def test_new_subject_with_an_old_code_inherits_no_grant(admin: TestClient) -> None:
    made = admin.post(f"{API}/keys", json={"role": "viewer", "subjects": ["S02"]}).json()
    with _database(admin).write() as session:
        session.query(ApiKeyRow).one().subjects = ["0190f0f0-0000-7000-8000-000000000000"]
    program, headers = _without_cookie(admin), {"Authorization": f"Bearer {made['token']}"}
    assert program.get(f"{API}/subjects", headers=headers).json()["items"] == []


@pytest.mark.parametrize(
    "sent", ["Basic bWs6eA==", "Bearer", "Bearer x", "Bearer lab_0123456789ab_short", "Bearer lab_' OR 1=1_" + "a" * 43]
)
def test_what_is_no_key_is_refused_even_in_an_open_lab(sent: str, client: TestClient) -> None:
    assert client.get(f"{API}/subjects", headers={"Authorization": sent}).status_code == 401


def test_audit_and_log_hold_no_secret(admin: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made = admin.post(f"{API}/keys", json={"role": "viewer", "subjects": ["S02"]}).json()
    answer = admin.post(f"{API}/users", json={"name": "x", "password": "secret-12", "role": "no role"})
    assert answer.status_code == 422
    said = admin.get(f"{API}/audit?limit=1000").text + caplog.text + answer.text
    for secret in (ADMIN["password"], "secret-12", made["token"], admin.cookies["labsys_session"]):
        assert secret not in said


def test_exports_are_written_down_and_counted(admin: TestClient) -> None:
    admin.app.state.export_throttle = Throttle(burst=2, every_s=60.0)  # type: ignore[attr-defined]
    url = f"{API}/tables/trial_metrics?format=csv&subject=S02"
    assert [admin.get(url).status_code for _ in range(3)] == [200, 200, 429]
    assert admin.get(f"{API}/tables/trial_metrics?subject=S02").status_code == 200
    events = admin.get(f"{API}/audit?action=export").json()["items"]
    assert [(e["actor"], e["object"]) for e in events] == [("mk", "trial_metrics as csv: format=csv&subject=S02")] * 2
    assert all(e["request_id"] for e in events)


def test_whole_table_as_json_is_an_export(admin: TestClient) -> None:
    admin.app.state.export_throttle = Throttle(burst=2, every_s=60.0)  # type: ignore[attr-defined]
    url = f"{API}/tables/trial_metrics"
    page = admin.get(f"{url}?limit=5").json()
    asked = [f"limit=5&cursor={page['next_cursor']}", "limit=1000000", "limit=1001"]
    assert [admin.get(f"{url}?{query}").status_code for query in asked] == [200, 200, 429]
    assert admin.get(f"{url}?limit=1000").status_code == 200  # a page is looked at
    events = admin.get(f"{API}/audit?action=export").json()["items"]
    assert [e["object"] for e in events] == [f"trial_metrics as json: {query}" for query in asked[:2]]


def test_changes_are_written_down_with_hashes_of_before_and_after(admin: TestClient) -> None:
    for notes in ("one", "two"):
        admin.patch(f"{API}/subjects/S02", json={"notes": notes})
    first, second = admin.get(f"{API}/audit?action=subject.change").json()["items"]
    assert first["after_hash"] == second["before_hash"]
    assert first["after_hash"] != second["after_hash"]
    assert "two" not in str(second)
