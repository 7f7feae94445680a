"""Asking for what changed, again and again, ends where asking for everything ends; whatever happened in between."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.access.throttle import Throttle
from api.indexing.index import index_subject
from labsys.core.clock import utc_now
from labsys.core.session import TrialName
from labsys.storage.finished_runs import run_names
from labsys.storage.lab import Lab, trial_folder
from labsys.storage.runs import clear_current_run, set_current_run
from labsys.storage.trial_bin import delete_trial, list_bin, move_trial_away, restore_trial
from labsys.storage.trials import list_trials

TABLE = "/api/v1/tables/trial_metrics"
API = "/api/v1"
KEY = ("subject", "session", "trial", "run", "metric", "side")
VISITS = (("S01", "2026-11-01"), ("S01", "2026-12-13"), ("S02", "2026-11-03"))
# Also of what an edit takes out or brings in: phase, kind and time are no part of a row's key.
QUESTIONS = ("", "&run=all", "&phase=post", "&subject=S01&metric=cadence&side=both", "&kind=walk&to=2026-11-30")
Rows = dict[tuple[str, ...], dict[str, Any]]
# Of the other tables: what is replaced as a whole, and questions.
UNITS = {"sessions": KEY[:2], "session_metrics": KEY[:2], "strides": KEY[:4], "curves": KEY[:4]}
UNIT_QUESTIONS = {
    "sessions": ("", "&phase=post"),
    "session_metrics": (
        "&metric=cadence&metric=speed",
        "&metric=step_time&side=left&kind=walk",
        "&metric=cadence&phase=post",
    ),
    "strides": ("&metric=cadence", "&metric=cadence&run=all", "&metric=step_time&side=left&kind=walk&to=2026-11-30"),
    "curves": ("&angle=hip_flexion&side=left&phase=post",),
}


def _walk(client: TestClient, url: str) -> list[dict[str, Any]]:
    """All pages, by the cursor in the body."""
    rows, cursor = [], ""
    while cursor is not None:
        page = client.get(url + (f"&cursor={cursor}" if cursor else "")).json()
        rows += page["rows"]
        cursor = page["next_cursor"]
    return rows


def _refresh(client: TestClient, query: str, held: Rows, since: str) -> Rows:
    """What a dashboard does: put the changed rows over those that it holds, and drop the deleted ones."""
    changed = _walk(client, f"{TABLE}?limit=1000&updated_since={since}{query}")
    keys = [tuple(row[name] for name in KEY) for row in changed]
    assert len(set(keys)) == len(keys)
    merged = held | dict(zip(keys, changed, strict=True))
    return {key: row for key, row in merged.items() if not row["deleted"]}


class Happenings:
    """What may happen to a lab, one thing at a time."""

    def __init__(self, lab: Lab, client: TestClient, save_run: Callable[..., str], seed: int) -> None:
        self.lab, self.client, self.save_run, self.random = lab, client, save_run, random.Random(seed)
        self.happened: list[str] = []

    def happen(self, what: str) -> None:
        """One thing; nothing where there is nothing that it could happen to."""
        time.sleep(0.002)  # times are kept to the millisecond
        names = [t.name for visit in VISITS for t in list_trials(self.lab, *visit)]
        name = self.random.choice(names)
        also = getattr(self, f"_{what}")(name)
        for subject in {name.subject, *(also or ())}:
            index_subject(self.lab, subject, database=self.client.app.state.database)  # type: ignore[attr-defined]
        self.happened.append(f"{what} {name}")

    def _patch(self, path: str, **body: object) -> None:
        assert self.client.patch(f"{API}/{path}", json=body).status_code == 200

    def _exclude(self, name: TrialName) -> None:
        self._patch(f"trials/{name}", excluded=True, exclusion_reason="Tripped")

    def _phase(self, name: TrialName) -> None:
        self._patch(f"sessions/{name.subject}/{name.session}", phase=self.random.choice(["pre", "post", None]))

    def _kind(self, name: TrialName) -> None:
        self._patch(f"trials/{name}", kind=self.random.choice(["walk", "run"]))

    def _run(self, name: TrialName) -> None:
        past = (datetime.now(UTC) - timedelta(seconds=2)).isoformat()
        self.save_run(self.lab, name, started_at=past, rule=f"rule{len(self.happened)}")

    def _choose(self, name: TrialName) -> None:
        set_current_run(self.lab, name, self.random.choice(run_names(self.lab, name)))

    def _clear(self, name: TrialName) -> None:
        clear_current_run(self.lab, name)

    def _delete(self, name: TrialName) -> None:
        delete_trial(self.lab, name, reason="wrong runner")

    def _restore(self, _name: TrialName) -> set[str]:
        free = [e.name for e in list_bin(self.lab) if not trial_folder(self.lab, e.name).exists()]
        return {restore_trial(self.lab, free[0]).name.subject} if free else set()

    def _move(self, name: TrialName) -> set[str]:
        target = TrialName(*self.random.choice(VISITS), self.random.choice(["run1", "moved", "walk1"]))
        if not trial_folder(self.lab, target).exists():
            move_trial_away(self.lab, name, target)
        return {target.subject}


ALL = ("exclude", "phase", "kind", "run", "choose", "clear", "delete", "restore", "move")


@pytest.mark.slow
def test_refreshing_the_changes_equals_refreshing_everything(
    any_lab: Lab, open_client: Callable[[Lab], TestClient], save_another_run: Callable[..., str]
) -> None:
    client = open_client(any_lab)
    happenings = Happenings(any_lab, client, save_another_run, seed=1)
    asked_at = utc_now()
    held: dict[str, Rows] = {query: _refresh(client, query, {}, "2000-01-01") for query in QUESTIONS}
    order = [what for _ in range(2) for what in random.Random(1).sample(ALL, len(ALL))]
    for what in order:
        happenings.happen(what)
        since, asked_at = asked_at, utc_now()
        for query in QUESTIONS:
            whole = {tuple(r[n] for n in KEY): r for r in _walk(client, f"{TABLE}?limit=1000{query}")}
            held[query] = _refresh(client, query, held[query], since)
            assert held[query] == whole, (query, happenings.happened)


def _refresh_units(client: TestClient, table: str, query: str, held: list[dict[str, Any]], since: str) -> Any:
    """Drop every visit or run that the answer names, then take over what is not deleted."""
    url = f"{API}/tables/{table}?limit=1000{query}"
    changed = _walk(client, f"{url}&updated_since={since}")
    unit = UNITS[table]
    told = {tuple(row[name] for name in unit) for row in changed}
    kept = [row for row in held if tuple(row[name] for name in unit) not in told]
    return kept + [row for row in changed if not row["deleted"]]


def check_units(
    lab: Lab, client: TestClient, save_run: Callable[..., str], order: list[str], *, seed: int, most: int = 9
) -> None:
    """After every happening, refreshing the changes of each table gives what asking for everything gives."""
    happenings = Happenings(lab, client, save_run, seed=seed)
    asked_at = utc_now()
    questions = [(table, query) for table, queries in UNIT_QUESTIONS.items() for query in queries[:most]]
    held: dict[Any, Any] = {asked: _refresh_units(client, *asked, [], "2000-01-01") for asked in questions}
    for what in order:
        happenings.happen(what)
        since, asked_at = asked_at, utc_now()
        for asked in questions:
            held[asked] = _refresh_units(client, *asked, held[asked], since)
            whole = _walk(client, f"{API}/tables/{asked[0]}?limit=1000{asked[1]}")
            assert sorted(map(repr, held[asked])) == sorted(map(repr, whole)), (asked, happenings.happened)


@pytest.mark.slow
def test_refreshing_whole_visits_and_runs_equals_refreshing_everything(
    lab: Lab, open_client: Callable[[Lab], TestClient], save_another_run: Callable[..., str]
) -> None:
    client = open_client(lab)
    client.app.state.export_throttle = Throttle(burst=1_000_000, every_s=0.001)  # type: ignore[attr-defined]
    check_units(lab, client, save_another_run, ["run", "move"], seed=3, most=1)


@pytest.mark.slow
def test_what_went_is_told_once_by_its_key(client: TestClient, lab: Lab) -> None:
    name = TrialName("S01", "2026-12-13", "run2")
    before = _walk(client, f"{TABLE}?limit=1000&subject=S01")
    gone = {tuple(r[n] for n in KEY) for r in before if (r["session"], r["trial"]) == ("2026-12-13", "run2")}
    since = utc_now()
    delete_trial(lab, name, reason="consent withdrawn")
    index_subject(lab, "S01", database=client.app.state.database)  # type: ignore[attr-defined]
    # A page that ends where the tombstones begin, pages among them, and all at once.
    for limit in (7, len(gone), 1000):
        told = _walk(client, f"{TABLE}?limit={limit}&updated_since={since}")
        there = [r for r in told if not r["deleted"]]
        told = told[len(there) :]
        # The scene's visit of December lies ahead of the clock: its other trial, with as many rows, counts as changed.
        assert {(r["session"], r["trial"]) for r in there} == {("2026-12-13", "run1")}
        assert len(there) == len(gone)
        assert len(told) == len(gone) > 40
        assert {tuple(r[n] for n in KEY) for r in told} == gone
        assert {(r["deleted"], r["is_current"], r["mean"], r["reason"]) for r in told} == {(True, False, None, None)}
    assert _walk(client, f"{TABLE}?limit=1000&subject=S02&updated_since={since}") == []
    assert all(r["trial"] != "run2" for r in _walk(client, f"{TABLE}?limit=1000&subject=S01"))
    told = client.get(f"{TABLE}?format=csv&updated_since={since}").text.splitlines()
    assert len(told) == 2 * len(gone) + 1
    assert client.get(f"{TABLE}?cursor=gone.x&updated_since={since}").status_code == 400
    assert client.get(f"{TABLE}?cursor=gone.").status_code == 400


@pytest.mark.slow
def test_restored_trial_is_told_and_its_tombstones_are_gone(client: TestClient, lab: Lab) -> None:
    name = TrialName("S01", "2026-11-01", "run1")
    delete_trial(lab, name, reason="wrong runner")
    time.sleep(0.002)
    since = utc_now()
    restore_trial(lab, name)
    assert (trial_folder(lab, name) / "changed").read_text().strip() >= since
    index_subject(lab, "S01", database=client.app.state.database)  # type: ignore[attr-defined]
    told = [r for r in _walk(client, f"{TABLE}?limit=1000&updated_since={since}") if r["session"] != "2026-12-13"]
    assert {(r["session"], r["trial"], r["deleted"]) for r in told} == {("2026-11-01", "run1", False)}
