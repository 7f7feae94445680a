"""The page of who a subject is: shown to those who may know, written down, and where admins erase."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.access.audit import TERMINAL
from api.access.keys import KeyRequest, make_key
from api.access.roles import Role, Scope
from api.erasure import KEPT
from api.key_store import KeyStore
from labsys.core.session import Subject, TrialName
from labsys.storage.lab import Lab
from labsys.storage.sessions import load_session, save_session
from labsys.storage.subjects import save_subject
from labsys.storage.trial_bin import move_trial_away
from tests.test_api.page_text import read_page

API = "/api/v1"
PAGE = "/subjects/S01/identity"
WHO = {"name": "Ada <b>Example</b>", "record_number": "4711", "contact": "ada@mill.example\n12 Mill Lane"}


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key store of its own."""
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "keys"))


def _headers(client: TestClient, role: Role, *scopes: Scope) -> dict[str, str]:
    with client.app.state.database.write() as session:  # type: ignore[attr-defined]
        _, token = make_key(session, TERMINAL, KeyRequest(role, scopes=scopes, subjects=None))
    return {"Authorization": f"Bearer {token.show()}"}


def _fields(page: str) -> dict[str, str]:
    (form,) = (f for f in read_page(page).all("form") if f.attributes.get("data-method") == "PUT")
    values = {e.attributes["name"]: e.attributes["value"] for e in form.all("input")}
    return values | {e.attributes["name"]: e.text for e in form.all("textarea")}


def test_a_name_is_shown_to_those_who_may_know_and_each_look_is_written_down(client: TestClient) -> None:
    assert client.put(f"{API}{PAGE}", json=WHO).status_code == 200
    admin, clinician = _headers(client, Role.ADMIN), _headers(client, Role.CLINICIAN)
    for refused in (_headers(client, Role.VIEWER), _headers(client, Role.ADMIN, Scope.READ), {}):
        answer = client.get(PAGE, headers=refused)
        assert answer.status_code in (401, 403)
        assert "4711" not in answer.text
        if refused:
            assert PAGE not in client.get("/subjects/S01", headers=refused).text
    shown = client.get(PAGE, headers=clinician).text
    assert _fields(shown) == WHO | {"contact": "ada@mill.example 12 Mill Lane"}, "read with spaces as one"
    assert "<b>Example" not in shown
    assert "Erase S01" not in shown, "clinicians may not erase"
    assert "Erase S01" in client.get(PAGE, headers=admin).text
    assert f'href="{PAGE}"' in client.get("/subjects/S01", headers=clinician).text
    assert f'href="{PAGE}"' in client.get("/admin", headers=admin).text
    events = client.get(f"{API}/audit?action=identity.read", headers=admin).json()["items"]
    assert [e["object"] for e in events] == ["S01", "S01"]
    assert client.get(PAGE, headers=clinician).headers["cache-control"] == "no-store"


def test_erasing_says_the_day_what_stays_and_what_was_moved_away(client: TestClient, lab: Lab) -> None:
    client.put(f"{API}{PAGE}", json=WHO)
    trial = TrialName("S01", "2026-11-01", "run1")
    save_subject(lab, Subject("", "S03"))
    visit = load_session(lab, "S01", trial.session)
    save_session(lab, type(visit)("", "S03", visit.session, visit.captured_at))
    moved = move_trial_away(lab, trial, TrialName("S03", *str(trial).split("/")[1:])).name
    page = read_page(client.get(PAGE).text)
    (form,) = (f for f in page.all("form") if f.attributes.get("data-method") == "DELETE")
    (confirm,) = (e for e in form.all("input") if "data-confirms" in e.attributes)
    assert "required" in confirm.attributes
    assert (confirm.attributes["pattern"], "name" in confirm.attributes) == ("S01", False)
    days = {o.attributes["value"]: o.text for o in form.all("option")}
    assert list(days) == ["30", "0", "7", "90"]
    assert (datetime.now(UTC) + timedelta(days=7)).date().isoformat() in days["7"]
    for said in (*KEPT, str(moved), "cannot be brought back"):
        assert said in page.text
    answer = client.request("DELETE", form.attributes["data-address"], params={"keep_days": "7"})
    assert answer.json()["moved_away"] == [str(moved)]
    erased = client.get(PAGE).text
    for said in (*KEPT, str(moved), f"removed after {answer.json()['recordings_removed_after'][:10]}"):
        assert said in read_page(erased).text
    assert 'data-method="DELETE"' not in erased
    assert "4711" not in erased
    assert "are removed after" in client.get("/admin").text


def test_a_name_whose_key_is_not_here_is_said_to_be_locked(client: TestClient, lab: Lab) -> None:
    client.put(f"{API}{PAGE}", json=WHO)
    subject_id = client.get(f"{API}/subjects/S01").json()["uuid"]
    KeyStore.of(lab).destroy_key(subject_id)
    page = client.get(PAGE)
    assert page.status_code == 200
    assert "the identity of S01 is locked" in page.text
    assert 'data-method="PUT"' not in page.text
