"""The comparison page: goals, then changes, then everything else folded away and counted; no number of its own."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import api
from api.pages.marks import WIDTH, change_mark, decomposition_bars
from api.pages.regions import Region, find_region
from api.pages.sections import arrange_rows
from labsys.core.catalogue import DERIVED_METRICS, METRICS
from tests.test_api.page_text import Element, read_page

pytestmark = pytest.mark.slow

QUERY = "subject=S01&pre=2026-11-01&post=2026-12-13"
STATIC = Path(api.__file__).parent / "web" / "static"


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    """What HTTP says of the same two visits."""
    answer: dict[str, Any] = client.get(f"/api/v1/compare?{QUERY}").json()
    return answer


@pytest.fixture
def page(client: TestClient) -> Element:
    """The page of them."""
    return read_page(client.get(f"/compare?{QUERY}").text)


def _ids(element: Element) -> Counter[str]:
    return Counter(code.text for code in element.all("code"))


def _main_tables(page: Element) -> list[Element]:
    return page.all("table", "changes")


def test_goals_stand_first_with_change_interval_detectable_change_and_verdict(
    page: Element, document: dict[str, Any]
) -> None:
    (goal,) = [r for r in document["rows"] if r["family"] == "goal"]
    headings = [h.text.rstrip(" 0123456789") for h in page.all("h3")]
    assert headings[:2] == ["Goals", "Larger than the measurement error"]
    card = page.one("li", "goal")
    assert card.all("h4")[0].text == (
        "Hip extension at its peak minus at foot strike, left hip_ext_excursion_stance the headline hip row"
    )
    assert "Goal: toward higher values" in card.text
    said = {t.text: d.text for t, d in zip(card.all("dt"), card.all("dd"), strict=True)}
    assert card.one("p", "change").all("strong")[0].text == f"{goal['change']:+.1f}°"
    assert said["Total 95 % interval"] == f"{goal['ci95'][0]:+.1f} to {goal['ci95'][1]:+.1f}°".replace("-", "−")
    assert said["Detectable change"] == f"{goal['detectable_change']:.1f}°"
    assert said["Counts as larger from"] == f"{goal['threshold']:.1f}°"
    assert card.one("p", "verdict").text == "larger than measurement error, higher, toward the goal"


def test_every_row_of_the_document_stands_on_the_page_once(page: Element, document: dict[str, Any]) -> None:
    shown = _ids(page.one("ul", "cards"))
    for table in _main_tables(page):
        shown += _ids(table)
    folded = [d for d in page.all("details", "region") if "Right minus left" not in d.text]
    for region in folded:
        shown += _ids(region)
    assert shown == Counter(r["id"] for r in document["rows"])
    quiet = [r for r in document["rows"] if r["verdict"] in ("no_detectable_change", "not_comparable", "not_measured")]
    assert sum(int(d.one("span", "count").text) for d in folded) == len([r for r in quiet if r["family"] != "goal"])
    for region in folded:
        assert "open" not in region.attributes
        counted = [int(n) for n in re.findall(r"(\d+) without", region.one("summary").text)]
        assert sum(counted) == int(region.one("span", "count").text) == len(region.all("tbody")[0].all("tr"))


def test_changes_are_told_apart_from_what_may_be_error(page: Element, document: dict[str, Any]) -> None:
    for table in _main_tables(page):
        kinds = {next(iter(row.classes)) for row in table.all("tbody")[0].all("tr")}
        assert kinds == {"larger_than_error"} or "larger_than_error" not in kinds
    clear = [r for r in document["rows"] if r["verdict"] == "larger_than_error" and r["family"] != "goal"]
    assert clear
    assert len(_main_tables(page)[0].all("tbody")[0].all("tr")) == len(clear)


def test_direction_words_come_from_goals_alone_and_nothing_is_praised(client: TestClient, page: Element) -> None:
    assert page.text.count("toward the goal") == 1
    assert not re.search(r"\b(improved|better|worse|normal|abnormal)\b", page.text)
    client.patch("/api/v1/episodes/S01/acl-left", json={"goals": []})
    without = read_page(client.get(f"/compare?{QUERY}").text)
    assert "the goal" not in without.text
    assert "No goal was declared" in without.text


def test_provenance_names_runs_versions_calibration_and_source_of_the_error(page: Element, client: TestClient) -> None:
    table = page.one("table", "provenance")
    runs = [r for r in client.get("/api/v1/runs?subject=S01").json()["items"] if "/run" in r["trial"]]
    for run in runs:
        row = next(r for r in table.all("tr") if run["trial"] in r.text)
        for word in (run["run"], run["pipeline_version"], run["calibration"], f"grade {run['calibration_grade']}"):
            assert word in row.text
    assert "Errors between visits: default values" in table.one("caption").text


def test_curves_are_those_of_http(page: Element, client: TestClient) -> None:
    section = page.one("section", "curves")
    data = json.loads(section.one("script").text)
    assert [a["id"] for a in data["angles"] if a["shown"]] == ["hip_flexion", "pelvis_rotation", "lumbar_extension"]
    assert [s["line"] for s in data["sources"]] == ["before", "after", "after"]
    for source in data["sources"]:
        assert client.get(source["href"]).json()["curves"]
    assert client.get(f"{data['changes']}&angle=hip_flexion").status_code == 200
    assert {m["line"] for m in data["toe_off"]["left"]} == {"before", "after"}
    options = [o.attributes["value"] for o in section.one("select").all("option")]
    assert len(options) == 1 + len(data["angles"]) - 3


def test_visits_that_cannot_be_compared_say_why(client: TestClient) -> None:
    for trial in ("run1", "run2"):
        address = f"/api/v1/trials/S01/2026-12-13/{trial}"
        conditions = client.get(address).json()["conditions"] | {"speed_mps": 4.0}
        assert client.patch(address, json={"conditions": conditions}).status_code == 200
    document = client.get(f"/api/v1/compare?{QUERY}").json()
    page = read_page(client.get(f"/compare?{QUERY}").text)
    assert document["pairs"] == []
    assert document["reason"] in page.text
    for unpaired in document["unpaired"]:
        assert f"{unpaired['trial']} ({unpaired['visit']}): {unpaired['reason']}" in page.text
    assert page.all("section", "pair") == []


def test_warnings_stand_above_every_number(client: TestClient) -> None:
    address = "/api/v1/trials/S01/2026-12-13/run1"
    conditions = client.get(address).json()["conditions"] | {"footwear": "another <shoe>"}
    client.patch(address, json={"conditions": conditions})
    document = client.get(f"/api/v1/compare?{QUERY}").json()
    assert document["warnings"]
    page = read_page(client.get(f"/compare?{QUERY}").text)
    box = page.one("section", "warning")
    assert [li.text for li in box.all("li")] == document["warnings"]
    assert page.one("main").all("section")[0] is box


def test_bars_of_the_trailing_thigh_add_up(document: dict[str, Any], page: Element) -> None:
    bars = decomposition_bars(document["rows"])
    assert [(b.side, b.visit) for b in bars] == [(s, v) for s in ("left", "right") for v in ("pre", "post")]
    by_key = {(r["id"], r["side"]): r for r in document["rows"]}
    for bar in bars:
        drawn = {b.part: b.width for b in bar.blocks}
        scale = drawn["hip"] / abs(dict(bar.values)["hip"])
        assert dict(bar.values)["hip"] == by_key["hip_ext_rise_late_stance", bar.side][bar.visit]
        for part, value in bar.values:
            assert drawn[part] == pytest.approx(abs(value) * scale, abs=0.2)
        assert all(b.x >= 0 and b.x + b.width <= WIDTH for b in bar.blocks)
    assert len(page.one("table", "bars").all("svg")) == 4


def test_mark_of_a_change_lies_where_its_numbers_are() -> None:
    row = {"change": 6.0, "ci95": [-2.0, 14.0], "threshold": 8.0}
    mark = change_mark(row)
    assert mark is not None
    assert mark.zero == WIDTH / 2
    assert mark.interval[0] < mark.zero < mark.change < mark.band[1] < mark.interval[1] <= WIDTH
    assert mark.band[1] - mark.zero == pytest.approx(mark.zero - mark.band[0], abs=0.11)
    assert (mark.change - mark.zero) / (mark.band[1] - mark.zero) == pytest.approx(6 / 8, abs=0.01)
    assert change_mark({**row, "change": None}) is None


def test_every_metric_has_its_region() -> None:
    for metric in (*METRICS, *DERIVED_METRICS):
        if not metric.id.endswith("_curve_sd"):
            assert find_region(metric.id) in Region
    assert find_region("foot_push_angle_at_to") is Region.PLACEMENT
    assert find_region("foot_angle_at_fs") is Region.LEG
    with pytest.raises(LookupError, match="no_such"):
        find_region("no_such")


def test_rows_are_parted_without_loss(document: dict[str, Any]) -> None:
    parts = arrange_rows(document["rows"])
    assert len(parts.goals) + len(parts.clear) + len(parts.possible) + parts.n_quiet == len(document["rows"])


def test_rows_of_too_few_strides_are_not_called_possible_changes(document: dict[str, Any]) -> None:
    rows = [r if r["family"] == "goal" else r | {"verdict": "indicative_only"} for r in document["rows"]]
    parts = arrange_rows(rows)
    assert (parts.clear, parts.possible) == ((), ())
    assert parts.n_indicative == parts.n_quiet == len(rows) - len(parts.goals)
    assert all("of too few strides" in region.summary for region in parts.quiet)


def test_files_of_others_are_what_their_source_list_says() -> None:
    vendor = STATIC / "vendor"
    packages = tomllib.loads((vendor / "SOURCES.toml").read_text(encoding="utf-8"))["package"]
    listed = {name: digest for p in packages for name, digest in p["sha256"].items()}
    there = {str(p.relative_to(vendor)) for p in vendor.rglob("*") if p.is_file()} - {"SOURCES.toml"}
    assert set(listed) == there
    for name, digest in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name
    for package in packages:
        assert package["version"]
        assert package["licence"]
        assert f"{package['name']}/LICENSE" in listed
