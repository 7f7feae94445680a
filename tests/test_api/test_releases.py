"""Releases: made beside, seen before they count, promoted whole, and looked up afterwards; on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.access.audit import TERMINAL
from api.app import create_app
from api.database.connection import open_database
from api.indexing.index import ensure_indexed, index_lab, index_subject
from api.lab_errors import default_errors
from api.promotion import promote_release
from api.work import do_job
from labsys.core.errors import ConcurrencyError, InputError
from labsys.core.progress import SilentProgress
from labsys.core.release import Member, Recipe, finished_at
from labsys.core.session import TrialName
from labsys.storage import current_runs
from labsys.storage.current_runs import current_run, promote, set_current_run, settle_promotion
from labsys.storage.finished_runs import load_run
from labsys.storage.lab import Lab
from labsys.storage.releases import add_to_candidate, load_candidate, load_release, release_names
from labsys.storage.trials import load_trial, save_trial
from pipelines.promoting import release_candidate
from tests.test_api.made_results import make_motion, save_run

pytestmark = pytest.mark.slow

API = "/api/v1"
RUNS = tuple(
    TrialName("S01", *rest) for rest in (("2026-11-01", "run1"), ("2026-12-13", "run1"), ("2026-12-13", "run2"))
)
TABLE, TREND = f"{API}/tables/trial_metrics?limit=1000", f"{API}/trend?subject=S01&metric=cadence&side=both"
COMPARE = f"{API}/compare?subject=S01&pre=2026-11-01&post=2026-12-13"


def reprocess_by_hand(
    lab: Lab, names: tuple[TrialName, ...] = RUNS, *, rule: str = "huber", shift_deg: float = 3.0
) -> None:
    """What `labsys reprocess` leaves: new runs, `current` untouched, and the candidate. Post shifts by 12° less."""
    for i, name in enumerate(names):
        before = current_run(lab, name)
        motion = make_motion(shift_deg=3.0, seed=i)
        run = save_run(lab, name, motion, started_at="2026-12-20T10:00:00Z", rule=rule)
        set_current_run(lab, name, str(before))
        made = load_run(lab, name, run).provenance
        add_to_candidate(lab, Recipe.of(made), {load_trial(lab, name).uuid: Member(str(name), run, finished_at(made))})
    for subject in sorted({name.subject for name in names}):
        index_subject(lab, subject)


def promoted(lab: Lab, name: str, *, of_present: bool = False) -> Any:
    database = open_database(lab)
    ensure_indexed(lab, database)
    release = promote_release(lab, database, name, actor=TERMINAL, of_present=of_present)
    database.close()
    return release


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what a promotion changes of them."""
    return [{k: v for k, v in row.items() if k not in ("updated_at", "is_current")} for row in rows]


def verdicts(document: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(r["id"], r["side"]): r["verdict"] for r in document["rows"]}


def test_a_release_is_seen_promoted_and_looked_up(any_lab: Lab, open_client: Callable[[Lab], TestClient]) -> None:
    client = open_client(any_lab)
    before = client.get(COMPARE).json()
    before_rows, before_trend = client.get(TABLE).json()["rows"], client.get(TREND).json()["series"]
    assert client.post(f"{API}/releases", json={"name": "spring", "of_present": True}).status_code == 201
    named = client.get(COMPARE).json()
    assert named["rows"] == before["rows"]
    assert [r["release"] for r in named["releases"]] == ["spring"]

    reprocess_by_hand(any_lab)
    assert client.get(COMPARE).json() == named, "what counts is untouched by what is made beside it"
    preview = client.get(f"{API}/releases/candidate/preview").json()["items"]
    assert [p["subject"] for p in preview] == ["S01"]
    assert preview[0]["trials"] == {"processed_anew": 3, "left_as_they_are": 0}
    flips = {(f["metric"], f["side"]): f for f in preview[0]["flips"]}
    goal = flips["hip_ext_excursion_stance", "left"]
    assert (goal["before"]["verdict"], goal["before"]["direction"]) == ("larger_than_error", "higher")
    assert goal["after"]["verdict"] == "no_detectable_change"
    shift = next(s for s in preview[0]["shifts"] if (s["metric"], s["side"]) == ("hip_ext_excursion_stance", "left"))
    assert shift["n_trials"] == 3
    assert -13.0 < shift["largest"] < -11.0

    assert client.post(f"{API}/releases", json={"name": "autumn", "note": "huber"}).status_code == 201
    now = client.get(COMPARE).json()
    assert {k: f["after"]["verdict"] for k, f in flips.items()} == {k: verdicts(now)[k] for k in flips}
    assert [r["release"] for r in now["releases"]] == ["autumn"]
    old = client.get(f"{COMPARE}&as_of=spring").json()
    assert (old["rows"], old["symmetry"], old["as_of"]["release"]) == (before["rows"], before["symmetry"], "spring")
    assert old["as_of"]["closed_at"] == now["releases"][0]["made_at"]
    assert client.get(f"{API}/releases/candidate").status_code == 404
    audit = client.get(f"{API}/audit?action=release.promote").json()["items"]
    assert [a["object"].partition(":")[0] for a in audit] == ["spring", "autumn"]

    assert plain(client.get(f"{TABLE}&as_of=spring").json()["rows"]) == plain(before_rows)
    rows = client.get(f"{TABLE}&as_of=autumn&subject=S01").json()["rows"]
    assert {r["run"] for r in rows if r["kind"] == "run"} == {current_run(any_lab, n) for n in RUNS}
    assert not any(r["deleted"] for r in rows)
    trend = client.get(f"{TREND}&as_of=spring").json()["series"]
    assert [s["points"] for s in trend] == [s["points"] for s in before_trend]
    assert client.get(f"{TREND}&as_of=sprin").status_code == 422
    assert client.get(f"{TABLE}&as_of=spring&run=all").status_code == 422
    for page in ("/releases", f"/compare?{COMPARE.partition('?')[2]}&as_of=spring"):
        assert "spring" in client.get(page).text


def test_verdicts_never_mix_releases(lab: Lab, open_client: Callable[[Lab], TestClient]) -> None:
    client = open_client(lab)
    promoted(lab, "spring", of_present=True)
    reprocess_by_hand(lab, RUNS[1:])
    mixed = client.get(f"{API}/releases/candidate/preview").json()["items"][0]
    assert {f["after"]["verdict"] for f in mixed["flips"]} == {"not_comparable"}
    assert mixed["trials"] == {"processed_anew": 2, "left_as_they_are": 1}
    promoted(lab, "autumn")
    document = client.get(COMPARE).json()
    assert set(verdicts(document).values()) <= {"not_comparable", "not_measured"}
    assert any("release autumn, release spring" in w and "reprocess" in w for w in document["warnings"])
    curves = client.get(COMPARE.replace("compare?", "compare/curves?")).json()["curves"]
    assert all("made otherwise" in c["reason"] for c in curves if c["id"] == "hip_flexion")
    series = client.get(f"{API}/trend?subject=S01&metric=cadence&side=both").json()["series"]
    assert [s["made_by"] for s in series] == ["release spring", "release autumn"]
    assert len(client.get(f"{COMPARE}&as_of=spring").json()["pairs"]) == 1


def test_later_trials_made_alike_join_until_the_next_one(lab: Lab, open_client: Callable[[Lab], TestClient]) -> None:
    first = promoted(lab, "spring", of_present=True)
    walk = TrialName("S02", "2026-11-03", "walk1")
    trial = load_trial(lab, walk)
    save_trial(lab, replace(trial, conditions=replace(trial.conditions, speed_mps=2.9)))
    alike = save_run(lab, walk, make_motion(seed=5), started_at="2026-12-01T08:00:00Z")
    index_subject(lab, "S02")
    client = open_client(lab)
    url = f"{API}/tables/trial_metrics?as_of=spring&subject=S02&metric=cadence"
    assert [r["run"] for r in client.get(url).json()["rows"]] == [alike]
    otherwise = save_run(lab, walk, make_motion(seed=6), started_at="2026-12-02T08:00:00Z", rule="huber")
    index_subject(lab, "S02")
    assert otherwise != alike
    # It counts now, and is of no release; the release keeps what was promoted in it.
    assert [r["run"] for r in client.get(url).json()["rows"]] == [first.members[load_trial(lab, walk).uuid].run]
    set_current_run(lab, walk, alike)
    reprocess_by_hand(lab)
    second = promoted(lab, "autumn")
    joined = second.closed[load_trial(lab, walk).uuid]
    assert (joined.run, joined.joined_at) == (alike, "2026-12-01T08:00:01.500Z")
    assert [r["run"] for r in client.get(url).json()["rows"]] == [alike]


def test_crash_between_the_document_and_the_last_current(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    promoted(lab, "spring", of_present=True)
    reprocess_by_hand(lab)
    candidate = load_candidate(lab)
    assert candidate is not None
    wanted = {TrialName.parse(m.trial): m.run for m in candidate.members.values()}
    release = release_candidate(lab, "autumn", made_by="x", note="", errors=default_errors())
    real, moved = current_runs._make_current, []

    def die_after_one(lab: Lab, name: TrialName, run: str) -> None:
        if moved:
            raise KeyboardInterrupt
        real(lab, name, run)
        moved.append(name)

    monkeypatch.setattr(current_runs, "_make_current", die_after_one)
    with pytest.raises(KeyboardInterrupt):
        promote(lab, release)
    monkeypatch.setattr(current_runs, "_make_current", real)
    assert {name: current_run(lab, name) for name in wanted} == wanted, "readers see the new state whole"
    database = open_database(lab)
    ensure_indexed(lab, database)  # as the service does at its start
    database.close()
    written = {n: (lab.root / "subjects" / str(n) / "current").read_text().strip() for n in wanted}
    assert written == wanted
    assert not (lab.root / "releases/.moving").exists()


def test_crash_before_the_document_leaves_all_as_it_was(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    reprocess_by_hand(lab)
    before = {name: current_run(lab, name) for name in RUNS}
    release = release_candidate(lab, "autumn", made_by="x", note="", errors=default_errors())

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(current_runs, "save_document", die)
        with pytest.raises(KeyboardInterrupt):
            promote(lab, release)
    assert {name: current_run(lab, name) for name in RUNS} == before
    assert release_names(lab) == ()
    settle_promotion(lab)
    assert {name: current_run(lab, name) for name in RUNS} == before
    promote(lab, release)  # nothing of the first attempt stands against it
    assert release_names(lab) == ("autumn",)


def test_a_run_finished_after_a_crash_does_not_get_lost(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    reprocess_by_hand(lab)
    release = release_candidate(lab, "autumn", made_by="x", note="", errors=default_errors())

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(current_runs, "_make_current", die)
        with pytest.raises(KeyboardInterrupt):
            promote(lab, release)
    later = save_run(lab, RUNS[0], make_motion(seed=9), started_at="2026-12-21T08:00:00Z", rule="later")
    assert current_run(lab, RUNS[0]) == later
    assert current_run(lab, RUNS[1]) == release.members[load_trial(lab, RUNS[1]).uuid].run


def test_two_promotions_do_not_pass_each_other(lab: Lab) -> None:
    reprocess_by_hand(lab)
    first = release_candidate(lab, "one", made_by="x", note="", errors=default_errors())
    promote(lab, first)
    with pytest.raises(ConcurrencyError, match="meanwhile"):
        promote(lab, replace(first, name="two"))


def test_index_made_anew_gives_the_same_answers(lab: Lab, open_client: Callable[[Lab], TestClient]) -> None:
    promoted(lab, "spring", of_present=True)
    reprocess_by_hand(lab)
    promoted(lab, "autumn")
    reprocess_by_hand(lab, RUNS[:1], rule="third")
    client = open_client(lab)
    urls = (
        f"{API}/releases",
        f"{API}/releases/candidate/preview",
        f"{COMPARE}&as_of=spring",
        f"{COMPARE}&as_of=autumn",
    )
    said = [client.get(url).json() for url in urls]
    index_lab(lab, database=client.app.state.database)  # type: ignore[attr-defined]
    assert [client.get(url).json() for url in urls] == said


def test_errors_of_a_release_are_kept_whole(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    promoted(lab, "spring", of_present=True)
    kept = load_release(lab, "spring").errors.table
    assert kept.errors == default_errors().errors
    client = TestClient(create_app(lab), base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50_000))
    before = client.get(COMPARE).json()["rows"]
    halved = {k: replace(e, v_day=100.0 * e.v_day) for k, e in default_errors().errors.items()}
    monkeypatch.setattr("api.lab_errors.default_errors", lambda: replace(default_errors(), errors=halved))
    assert client.get(COMPARE).json()["rows"] != before
    assert client.get(f"{COMPARE}&as_of=spring").json()["rows"] == before


def test_what_cannot_be_promoted_says_why(lab: Lab) -> None:
    with pytest.raises(InputError, match="nothing was processed beside"):
        promoted(lab, "autumn")
    promoted(lab, "spring", of_present=True)
    with pytest.raises(InputError, match="already"):
        promoted(lab, "again", of_present=True)
    reprocess_by_hand(lab)
    for name in ("spring", "Spring", "current", "candidate", "a b"):
        with pytest.raises(InputError, match=r"already|case only|cannot name"):
            promoted(lab, name)
    trial = load_trial(lab, RUNS[0])
    save_trial(lab, replace(trial, conditions=replace(trial.conditions, speed_mps=2.5)))
    release = promoted(lab, "autumn")
    assert list(release.left_out) == [str(RUNS[0])]
    assert "changed since" in release.left_out[str(RUNS[0])]
    assert len(release.members) == 2


def test_documents_hold_no_place_and_no_name(lab: Lab) -> None:
    promoted(lab, "spring", of_present=True)
    text = Path(lab.root / "releases/spring.json").read_text(encoding="utf-8")
    assert str(lab.root) not in text
    assert json.loads(text)["recipe"]["settings"] == {"reconstruct.rule": "robust"}


def test_trials_are_processed_anew_as_jobs(
    lab: Lab, open_client: Callable[[Lab], TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, anew = open_client(lab), {"settings": ["analyse.distal_cutoff_hz=9"]}
    for wrong in ({"settings": ["analyse.distal=9"]}, {"subject": "S9"}, {"model": "none"}, {"profile": "best"}):
        assert client.post(f"{API}/releases/candidate", json=wrong).status_code == 422
    said = client.post(f"{API}/releases/candidate", json={"subject": "S01", **anew}).json()
    assert len(said["jobs"]) == 5, "three runs and two statics"
    assert "5 trials" in said["says"]
    again = client.post(f"{API}/releases/candidate", json=anew).json()["jobs"]
    assert {name: again[name] for name in said["jobs"]} == said["jobs"], "what waits is not asked for twice"
    assert len(again) == 6
    other = client.post(f"{API}/releases/candidate", json={"subject": "S01"}).json()["jobs"]
    assert not set(other.values()) & set(said["jobs"].values())
    assert said["jobs"][str(RUNS[0])] in client.get("/jobs").text

    made: list[tuple[str, float]] = []

    def reprocess(lab: Lab, name: TrialName, *, config: Any, **_: Any) -> Any:
        made.append((str(name), config.analyse.distal_cutoff_hz))
        reprocess_by_hand(lab, (name,))
        return SimpleNamespace(run="r0", is_new=True, static="", notes=())

    monkeypatch.setattr("pipelines.reprocess.reprocess_trial", reprocess)
    about = {"lab": str(lab.root), "database": lab.database, "kind": "reprocess", "target": str(RUNS[0])}
    outcome = do_job({**about, "parameters": {"profile": "default", **anew}}, SilentProgress())
    assert (made, outcome["run"]) == ([(str(RUNS[0]), 9.0)], "r0")
    assert client.get(f"{API}/releases/candidate").json()["n_trials"] == 1
    audit = client.get(f"{API}/audit?action=release.reprocess").json()["items"]
    assert [a["object"] for a in audit] == ["S01: 5 trials", "all: 6 trials", "S01: 5 trials"]
