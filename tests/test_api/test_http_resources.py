"""Reading, making and changing nouns over HTTP: nobody overwrites what they did not read."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from labsys.core.session import TrialName
from labsys.storage.episodes import load_episode
from labsys.storage.lab import Lab
from labsys.storage.runs import current_run
from labsys.storage.sessions import load_session
from labsys.storage.subjects import load_subject, save_subject
from labsys.storage.trials import load_trial

pytestmark = pytest.mark.slow

API = "/api/v1"
RUN1 = TrialName("S01", "2026-11-01", "run1")


def test_lists_come_in_strict_pages(client: TestClient) -> None:
    for path in ("subjects", "sessions", "trials", "runs", "trials/S01/2026-11-01/run1/files"):
        whole = client.get(f"{API}/{path}").json()["items"]
        walked, cursor = [], ""
        while True:
            page = client.get(f"{API}/{path}?limit=1{cursor}").json()
            walked += page["items"]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert walked == whole
        assert len(whole) > 1, path


def test_filters(client: TestClient) -> None:
    def names(query: str) -> list[str]:
        return [t["name"] for t in client.get(f"{API}/trials?{query}").json()["items"]]

    assert names("kind=walk") == ["S02/2026-11-03/walk1"]
    assert names("subject=S01&session=2026-12-13&kind=run") == ["S01/2026-12-13/run1", "S01/2026-12-13/run2"]
    assert names("subject=S99") == []
    sessions = client.get(f"{API}/sessions?phase=post&episode=acl-left").json()["items"]
    assert [s["session"] for s in sessions] == ["2026-12-13"]


def test_make_everything_from_nothing(client: TestClient, lab: Lab) -> None:
    bodies = (
        ("subjects", {"code": "S10", "sex": "female", "birth_year": 1999}, "subjects/S10"),
        ("episodes", {"subject": "S10", "label": "itbs", "index_date": "2026-11-01"}, "episodes/S10/itbs"),
        (
            "sessions",
            {
                "subject": "S10",
                "session": "2026-11-22",
                "captured_at": "2026-11-22T10:00:00+01:00",
                "episode": "itbs",
                "phase": "pre",
                "anthropometry": {"mass_kg": 70},
                "scores": {"lefs": 70},
            },
            "sessions/S10/2026-11-22",
        ),
        (
            "trials",
            {
                "subject": "S10",
                "session": "2026-11-22",
                "trial": "run1",
                "kind": "run",
                "recorded_at": "2026-11-22T10:05:00",
                "conditions": {"surface": "treadmill", "speed_mps": 3},
            },
            "trials/S10/2026-11-22/run1",
        ),
    )
    for path, body, location in bodies:
        answer = client.post(f"{API}/{path}", json=body)
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"] == f"{API}/{location}"
        again = client.get(answer.headers["location"])
        assert again.json() == answer.json()
        assert again.headers["etag"] == answer.headers["etag"]
        assert client.post(f"{API}/{path}", json=body).status_code == 409
    assert load_session(lab, "S10", "2026-11-22").captured_at == "2026-11-22T09:00:00.000Z"
    assert load_trial(lab, TrialName("S10", "2026-11-22", "run1")).conditions.speed_mps == 3.0


def test_patch_changes_the_named_fields_alone(client: TestClient, lab: Lab) -> None:
    before = load_session(lab, "S01", "2026-11-01")
    answer = client.patch(f"{API}/sessions/S01/2026-11-01", json={"anthropometry": {"mass_kg": 59.5}, "phase": None})
    assert answer.status_code == 200
    after = load_session(lab, "S01", "2026-11-01")
    assert after.anthropometry == replace(before.anthropometry, mass_kg=59.5)
    assert after == replace(before, anthropometry=after.anthropometry, phase=None, updated_at=after.updated_at)
    assert answer.json()["anthropometry"]["height_m"] == 1.7


def test_goals_are_written_to_the_folder_and_reach_the_comparison(client: TestClient, lab: Lab) -> None:
    goal = {"metric": "cadence", "side": "both", "direction": "toward_lower", "date": "2026-11-02"}
    assert client.patch(f"{API}/episodes/S01/acl-left", json={"goals": [goal]}).status_code == 200
    assert [g.metric for g in load_episode(lab, "S01", "acl-left").goals] == ["cadence"]
    compared = client.get(f"{API}/compare?subject=S01&pre=2026-11-01&post=2026-12-13").json()
    assert [r["id"] for r in compared["rows"] if r["family"] == "goal"] == ["cadence"]


def test_exclusion_needs_a_reason_and_keeps_the_rows(client: TestClient) -> None:
    path = f"{API}/trials/S01/2026-12-13/run2"
    refused = client.patch(path, json={"excluded": True})
    assert refused.status_code == 422
    assert "reason" in refused.json()["detail"]
    assert client.patch(path, json={"excluded": True, "exclusion_reason": "Tripped"}).json()["excluded"] is True
    metrics = client.get(f"{path}/metrics").json()
    assert metrics["excluded"] is True
    assert {m["quality"] for m in metrics["metrics"]} == {"excluded"}
    compared = client.get(f"{API}/compare?subject=S01&pre=2026-11-01&post=2026-12-13").json()
    assert compared["pairs"][0]["post"] == ["run1"]
    back = client.patch(path, json={"excluded": False}).json()
    assert (back["excluded"], back["exclusion_reason"]) == (False, "")
    assert {m["quality"] for m in client.get(f"{path}/metrics").json()["metrics"]} == {"ok"}


def test_results_that_rest_on_a_changed_speed_stop_counting(client: TestClient, lab: Lab) -> None:
    assert current_run(lab, RUN1) is not None
    changed = client.patch(f"{API}/trials/{RUN1}", json={"conditions": {"speed_mps": 2.5}}).json()
    assert changed["current_run"] is None
    assert client.get(f"{API}/trials/{RUN1}/metrics").status_code == 404
    assert client.get(f"{API}/runs?subject=S01&session=2026-11-01&trial=run1").json()["items"][0]["is_current"] is False


def test_etag_saves_sending_and_refuses_lost_updates(client: TestClient, lab: Lab) -> None:
    path = f"{API}/subjects/S01"
    first = client.get(path)
    tag = first.headers["etag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert client.get(path, headers={"If-None-Match": f'"other", W/{tag}'}).status_code == 304
    assert client.patch(path, json={"notes": "mine"}, headers={"If-Match": tag}).status_code == 200
    late = client.patch(path, json={"notes": "yours"}, headers={"If-Match": tag})
    assert late.status_code == 412
    assert late.headers["content-type"] == "application/problem+json"
    assert load_subject(lab, "S01").notes == "mine"
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 200
    assert client.patch(path, json={"notes": "any"}, headers={"If-Match": "*"}).status_code == 200


def test_of_two_patches_with_one_etag_exactly_one_wins(any_lab: Lab, open_client: Callable[[Lab], TestClient]) -> None:
    client = open_client(any_lab)
    for path in (f"{API}/subjects/S02", f"{API}/trials/S02/2026-11-03/walk1"):
        tag = client.get(path).headers["etag"]

        def change(note: str, path: str = path, tag: str = tag) -> int:
            return client.patch(path, json={"notes": note}, headers={"If-Match": tag}).status_code

        with ThreadPoolExecutor(4) as pool:
            statuses = sorted(pool.map(change, ("a", "b", "c", "d")))
        assert statuses == [200, 412, 412, 412]


def test_folder_edited_behind_the_index_is_not_overwritten(client: TestClient, lab: Lab) -> None:
    tag = client.get(f"{API}/subjects/S01").headers["etag"]
    save_subject(lab, replace(load_subject(lab, "S01"), notes="edited by hand"))
    assert client.patch(f"{API}/subjects/S01", json={"sex": "x"}, headers={"If-Match": tag}).status_code == 412
    merged = client.patch(f"{API}/subjects/S01", json={"sex": "other"}).json()
    assert (merged["sex"], merged["notes"]) == ("other", "edited by hand")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("subjects", {"code": "../../etc"}),
        ("subjects", {"code": "S01/../S02"}),
        ("subjects", {"code": "ok", "colour": "red"}),
        ("subjects", {"code": "ok", "birth_year": 10**30}),
        ("subjects", {"code": "ok", "notes": "a\u0000b"}),
        ("subjects", {"code": "s01"}),  # differs from S01 in case only
        ("episodes", {"subject": "S99", "label": "x", "index_date": "2026-11-01"}),
        ("episodes", {"subject": "S01", "label": "x", "index_date": "yesterday"}),
        ("sessions", {"subject": "S01", "session": "x", "captured_at": "2026-11-01T10:00:00Z", "episode": "none"}),
        ("sessions", {"subject": "S01", "session": "x", "captured_at": None}),
        (
            "sessions",
            {"subject": "S01", "session": "x", "captured_at": "2026-11-01T10:00:00Z", "anthropometry": {"mass_kg": -1}},
        ),
        (
            "trials",
            {"subject": "S01", "session": "2026-11-01", "trial": "x", "kind": "jump", "recorded_at": "2026-11-01"},
        ),
    ],
)
def test_bad_bodies_are_refused_and_write_nothing(
    path: str, body: dict[str, object], client: TestClient, lab: Lab
) -> None:
    before = sorted(p for p in lab.root.rglob("*") if "labsys.db" not in p.name)
    answer = client.post(f"{API}/{path}", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert sorted(p for p in lab.root.rglob("*") if "labsys.db" not in p.name) == before


def test_goal_of_an_unknown_metric_names_the_nearest(client: TestClient) -> None:
    goal = {"metric": "cadense", "side": "both", "direction": "toward_lower", "date": "2026-11-02"}
    answer = client.patch(f"{API}/episodes/S01/acl-left", json={"goals": [goal]})
    assert answer.status_code == 422
    assert "'cadence'" in answer.json()["detail"]
    sided = client.patch(f"{API}/episodes/S01/acl-left", json={"goals": [goal | {"metric": "cadence", "side": "left"}]})
    assert sided.status_code == 422
    four = [goal | {"metric": "cadence"}] * 4
    assert client.patch(f"{API}/episodes/S01/acl-left", json={"goals": four}).status_code == 422
