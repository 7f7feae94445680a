"""`labsys reliability` and its routes: from repeats in a lab folder to verdicts that rest on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.cli import main
from labsys.core.session import Conditions, Session, Subject, Surface, Trial, TrialKind, TrialName
from labsys.storage.lab import Lab, create_lab, open_lab
from labsys.storage.sessions import save_session
from labsys.storage.subjects import save_subject
from labsys.storage.takes import stage_take
from labsys.storage.trials import save_trial
from tests.test_api.made_results import make_motion, save_run

API = "/api/v1"
PEOPLE = 10


def _add_visit(lab: Lab, subject: str, day: str, *, repeats: str, shift_deg: float, seed: int) -> None:
    save_session(lab, Session("", subject, day, f"{day}T09:00:00Z", repeats=repeats))
    name = TrialName(subject, day, "run1")
    save_trial(lab, Trial("", name, TrialKind.RUN, f"{day}T09:10:00Z", Conditions(Surface.TREADMILL, 3.0)))
    markers = lab.root / "markers.trc"
    markers.write_text(f"markers of {name}\n", encoding="utf-8")
    with stage_take(lab, name) as take:
        take.add_file("markers", markers)
        take.finish(rate_hz=100.0, calibration="")
    save_run(lab, name, make_motion(shift_deg=shift_deg, seed=seed), started_at=f"{day}T09:20:00Z")


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten people seen twice, hip extension one degree apart and back, and one visit that is no repeat."""
    lab = create_lab(tmp_path_factory.mktemp("repeats") / "lab")
    for k in range(PEOPLE):
        save_subject(lab, Subject("", f"R{k:02d}"))
        sign = 1.0 if k % 2 else -1.0
        _add_visit(lab, f"R{k:02d}", "2026-01-05", repeats="", shift_deg=3.0 * k, seed=2 * k)
        shift = 3.0 * k + sign * 2.0
        _add_visit(lab, f"R{k:02d}", "2026-01-07", repeats="2026-01-05", shift_deg=shift, seed=2 * k + 1)
    return lab.root


def _run(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main([*words, "--lab", str(root)])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


def _json(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    code, out, err = _run(root, capsys, *words, "--json")
    assert code == 0, err
    return json.loads(out)


@pytest.mark.slow
def test_a_lab_learns_keeps_and_judges_by_its_own_error(
    repeated: Path, capsys: pytest.CaptureFixture[str], open_client: Callable[[Lab], TestClient]
) -> None:
    learnt = _json(repeated, capsys, "reliability")
    assert learnt["name"] is None
    row = next(r for r in learnt["rows"] if r["id"] == "hip_ext_excursion_stance" and r["speed_band_mps"] is None)
    # Two degrees apart each time: d^2 / 2 = 2, minus what the strides explain.
    assert row["sem"] == pytest.approx(2.0**0.5, rel=0.25)
    assert (row["source"], row["split_source"], row["n_people"], row["provisional"]) == (
        "lab",
        "default",
        PEOPLE,
        False,
    )
    assert row["sem_ci95"][0] < row["sem"] < row["sem_ci95"][1]
    assert [a["side"] for a in row["agreement"]] == ["left", "right"]
    assert all(a["n"] == PEOPLE and a["icc_2_1"] > 0.9 for a in row["agreement"])
    before = _json(repeated, capsys, "compare", "R00/2026-01-05", "R00/2026-01-07")
    assert {r["sem_source"] for r in before["rows"]} == {"default", None}

    saved = _json(repeated, capsys, "reliability", "--save")
    assert saved["name"].endswith("-001")
    after = _json(repeated, capsys, "compare", "R00/2026-01-05", "R00/2026-01-07")
    hip = next(r for r in after["rows"] if r["id"] == "hip_ext_excursion_stance")
    assert (hip["sem_source"], hip["provisional"]) == ("lab", False)
    assert hip["mdc95"] == pytest.approx(1.96 * 2**0.5 * row["sem"], rel=0.01)

    client = open_client(open_lab(repeated))
    assert client.get(f"{API}/reliability").json() == saved
    over_http = client.get(f"{API}/compare?subject=R00&pre=2026-01-05&post=2026-01-07").json()
    assert over_http == after
    errors = {m["id"]: m["errors"] for m in client.get(f"{API}/metrics").json()["items"]}
    assert next(e for e in errors["hip_ext_excursion_stance"] if e["tier"] == "T3")["source"] == "lab"
    plan = client.get(f"{API}/reliability/plan?metric=hip_ext_excursion_stance&change=8").json()
    assert plan == _json(repeated, capsys, "reliability", "--plan", "hip_ext_excursion_stance", "--change", "8")
    assert plan["enough"]["captures_per_visit"] == 1
    assert client.get(f"{API}/reliability/plan?metric=hip_ext&change=8").status_code == 422
    _, text, _ = _run(repeated, capsys, "reliability")
    assert "hip_ext_excursion_stance" in text
    assert "Not saved" in text


def test_a_plan_answers_in_words(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    # SEM 2.5, of it 30 % the day: 2.8 * sqrt(2 * (4.375 / k + 1.875)) is below 7 from four re-placed captures on.
    plan = ("reliability", "--plan", "hip_ext_excursion_stance", "--change")
    code, text, _ = _run(lab.root, capsys, *plan, "7")
    assert code == 0
    assert text.startswith(
        "4 captures per visit, stickers taken off and re-placed between them, see a change of 7.0 deg"
    )
    assert "provisional" in text
    code, text, _ = _run(lab.root, capsys, *plan, "5")
    assert code == 0
    assert "day-to-day variation alone rules it out" in text


def test_bad_questions_are_refused_with_one_line(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    for words, code, said in (
        (("--plan", "cadence"), 2, "Give both --plan METRIC and --change X"),
        (("--plan", "cadance", "--change", "2"), 2, "cadence"),
        (("--plan", "cadence", "--change", "-2"), 2, "larger than zero"),
        (("--plan", "duty_factor", "--change", "2", "--tier", "T9"), 2, "T9"),
        (("--save",), 3, "Record 10 people twice"),
    ):
        found, out, err = _run(lab.root, capsys, "reliability", *words)
        assert (found, out) == (code, ""), words
        assert said in err
        assert err.count("\n") == 1


@pytest.mark.slow
def test_repeats_and_placements_are_stated_and_taken_back(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    visit = _json(lab.root, capsys, "session", "edit", "S01/2026-12-13", "--repeats", "2026-11-01")
    assert visit["repeats"] == "2026-11-01"
    learnt = _json(lab.root, capsys, "reliability")
    assert "phases differ" in learnt["left_out"]["S01/2026-12-13"]
    assert _json(lab.root, capsys, "session", "edit", "S01/2026-12-13", "--clear", "repeats")["repeats"] == ""
    trial = _json(lab.root, capsys, "trial", "edit", "S01/2026-12-13/run2", "--placement", "second")
    assert trial["placement"] == "second"
    code, _, err = _run(lab.root, capsys, "session", "edit", "S01/2026-12-13", "--repeats", "2026-11-02")
    assert code == 2
    assert "2026-11-01" in err


@pytest.mark.slow
def test_http_states_repeats_and_placements(client: TestClient) -> None:
    answer = client.patch(f"{API}/sessions/S01/2026-12-13", json={"repeats": "2026-11-01"})
    assert answer.json()["repeats"] == "2026-11-01"
    assert client.patch(f"{API}/sessions/S01/2026-12-13", json={"repeats": None}).json()["repeats"] is None
    assert client.patch(f"{API}/sessions/S01/2026-12-13", json={"repeats": "1999-01-01"}).status_code == 422
    trial = client.patch(f"{API}/trials/S01/2026-12-13/run1", json={"placement": "first"})
    assert trial.json()["placement"] == "first"
    nothing = client.get(f"{API}/reliability").json()
    assert (nothing["name"], nothing["rows"]) == (None, [])


@pytest.mark.slow
def test_curves_of_two_visits_are_the_same_in_both_doors(
    client: TestClient, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = _json(lab.root, capsys, "compare", "S01/2026-11-01", "S01/2026-12-13", "--curves")["curves"]
    over_http = client.get(f"{API}/compare/curves?subject=S01&pre=2026-11-01&post=2026-12-13").json()["curves"]
    assert over_http == printed
    hip = {c["side"]: c for c in printed if c["id"] == "hip_flexion"}
    assert set(hip) == {"left", "right"}
    assert (hip["left"]["n_pre"], hip["left"]["n_post"], len(hip["left"]["difference"])) == (28, 56, 101)
    assert hip["left"]["mdc95"] == pytest.approx(1.96 * 2**0.5 * 2.5, rel=1e-3)
    assert not any(c["larger_than_error"] for c in hip["left"]["clusters"]), "these curves are of one runner"
    other = next(c for c in printed if c["id"] == "knee_flexion")
    assert "no stride to compare" in other["reason"]
    one = client.get(f"{API}/compare/curves?subject=S01&pre=2026-11-01&post=2026-12-13&angle=hip_flexion").json()
    assert [c["id"] for c in one["curves"]] == ["hip_flexion", "hip_flexion"]
    itself = client.get(f"{API}/compare/curves?subject=S01&pre=2026-11-01&post=2026-11-01")
    assert (itself.status_code, "with itself" in itself.json()["detail"]) == (422, True)
    unknown = client.get(f"{API}/compare/curves?subject=S01&pre=2026-11-01&post=2026-12-13&angle=hip_flex")
    assert unknown.status_code == 422
    _, text, _ = _run(lab.root, capsys, "compare", "S01/2026-11-01", "S01/2026-12-13", "--curves")
    assert "Over the stride, larger than measurement error:" in text


def test_text_of_a_comparison_counts_the_rows_that_it_leaves_out(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("compare", "S01/2026-11-01", "S01/2026-12-13")
    rows = _json(lab.root, capsys, *words)["rows"]
    _, short, _ = _run(lab.root, capsys, *words)
    _, whole, _ = _run(lab.root, capsys, *words, "--all")
    told = next(line for line in short.splitlines() if line.startswith("Further rows: "))
    ids = {r["id"] for r in rows}
    shown = sum(line.split(" ")[0] in ids for line in short.splitlines())
    assert sum(int(part.split()[0]) for part in told[len("Further rows: ") :].split(";")) == len(rows) - shown
    assert all(f"\n{r['id']} " in whole for r in rows)
    assert "right minus left" in whole
    assert "right minus left" not in short
