"""The pages of the lab, of a subject and of a trial."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.pages.trend_chart import HEIGHT, WIDTH, trend_chart
from api.routes import pages, trial_page
from labsys.core.catalogue import METRICS
from labsys.core.motion import Finding, FindingStatus
from labsys.core.skeleton import Side, Tier
from tests.test_api.page_text import Element, read_page

pytestmark = pytest.mark.slow

TRIAL = "S01/2026-11-01/run1"


def _page(client: TestClient, path: str) -> Element:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return read_page(answer.text)


def _links(element: Element) -> list[str]:
    return [a.attributes["href"] for a in element.all("a")]


# ---- every page


@pytest.mark.parametrize("path", ["/", "/subjects/S01", f"/trials/{TRIAL}", "/sign-in"])
def test_pages_name_their_language_tables_and_headings(path: str, client: TestClient) -> None:
    page = _page(client, path)
    assert page.one("html").attributes["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert page.one("a", "skip").attributes["href"] == f"#{page.one('main').attributes['id']}"
    for table in page.all("table"):
        assert table.one("caption").text
        assert all(th.attributes.get("scope") in ("col", "row") for th in table.all("th"))
    for control in page.all("input") + page.all("select"):
        labelled = [c for label in page.all("label") for c in label.all(control.tag)]
        assert control in labelled or control.attributes.get("type") == "hidden"
    ids = [e.attributes["id"] for e in page.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids))


def test_policy_lets_in_this_service_alone(client: TestClient) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy


# ---- the lab


def test_lab_lists_the_latest_first(client: TestClient) -> None:
    page = _page(client, "/")
    subjects, visits = page.all("table")
    assert [r.one("th").text for r in subjects.all("tbody")[0].all("tr")] == ["S01", "S02"]
    days = [r.one("th").text for r in visits.all("tbody")[0].all("tr")]
    assert days == ["2026-12-13", "2026-11-03", "2026-11-01"]


@pytest.mark.parametrize(
    ("asked", "subjects", "visits"),
    [
        ("s02", ["S02"], ["2026-11-03"]),
        ("ACL", [], ["2026-12-13", "2026-11-01"]),
        ("post", [], ["2026-12-13"]),
        ("2026-11", [], ["2026-11-03", "2026-11-01"]),
        ("mk", [], ["2026-12-13", "2026-11-01"]),
        ("%", [], []),
    ],
)
def test_search_finds_subjects_and_visits(
    asked: str, subjects: list[str], visits: list[str], client: TestClient
) -> None:
    page = read_page(client.get("/", params={"q": asked}).text)
    found = [r.one("th").text for t in page.all("table") for r in t.all("tbody")[0].all("tr")]
    assert found == subjects + visits
    assert page.all("input")[0].attributes["value"] == asked


# ---- a subject


def test_subject_shows_goals_and_their_trend_with_phases(client: TestClient) -> None:
    page = _page(client, "/subjects/S01")
    assert "goal of 2026-11-01: toward higher values" in page.one("li", "episode").text
    card = page.one("section", "trend-card")
    assert "hip_ext_excursion_stance" in card.text
    assert [t.text for t in card.all("text", "phase")] == ["pre", "post"]
    assert len(card.all("circle", "point")) == 2
    trend = client.get("/api/v1/trend?subject=S01&metric=hip_ext_excursion_stance&side=left").json()
    rows = card.all("tbody")[0].all("tr")
    for row, point in zip(rows, trend["series"][0]["points"], strict=True):
        assert f"{point['value']:.1f}°" in row.text
        assert f"{point['ci95'][0]:.1f} to {point['ci95'][1]:.1f}°" in row.text
    since = trend["series"][0]["points"][1]["since_first_ci95"]
    assert f"{since[0]:+.1f} to {since[1]:+.1f}°" in rows[1].text
    assert "provisional" in card.text, "the lab has not learnt its own error"


@pytest.mark.parametrize(
    ("verdict", "family", "said"),
    [
        ("larger_than_error", "goal", "+6.0° (95 % +1.0 to +11.0°): larger than measurement error."),
        ("possible_change", "exploratory", ": not distinguishable from measurement error (exploratory)."),
        ("no_detectable_change", "goal", ": no change larger than 8.0° could be seen."),
    ],
)
def test_line_of_a_trend_comes_with_its_verdict_in_words(
    verdict: str, family: str, said: str, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {"n_visits": 3, "per_week": 0.5, "per_week_ci95": [0.1, 0.9], "change": 6.0, "ci95": [1.0, 11.0]}
    slope = {**numbers, "threshold": 5.0, "detectable_change": 8.0, "verdict": verdict, "family": family}
    tell = pages.trend_document

    def with_line(*of: Any, **asked: Any) -> dict[str, Any]:
        document = tell(*of, **asked)
        return document | {"series": [s | {"slope": slope} for s in document["series"]]}

    monkeypatch.setattr(pages, "trend_document", with_line)
    text = _page(client, "/subjects/S01").one("section", "trend-card").text
    assert said in text
    assert "From 5.0° on it would count as larger than error." in text


def test_subject_shows_the_trend_of_any_metric(client: TestClient) -> None:
    page = _page(client, "/subjects/S01?metric=cadence")
    assert "cadence" in page.one("section", "trend-card").text
    assert len([o for o in page.all("option") if o.attributes["value"] == "cadence"]) == 1
    assert client.get("/subjects/S01?metric=no_such").status_code == 422
    assert len(_page(client, "/subjects/S02").all("section", "trend-card")) == 1  # a walk of T1 has no hip extension


def test_comparison_is_three_clicks_away(client: TestClient) -> None:
    assert "/subjects/S01" in _links(_page(client, "/"))
    form = next(f for f in _page(client, "/subjects/S01").all("form") if f.attributes["action"] == "/compare")
    chosen = {
        s.attributes["name"]: next(o for o in s.all("option") if "selected" in o.attributes).attributes["value"]
        for s in form.all("select")
    }
    assert chosen == {"pre": "2026-11-01", "post": "2026-12-13"}


def _series(*values: tuple[str, float | None]) -> dict[str, Any]:
    points = [{"date": d, "phase": "pre", "value": v, "ci95": v and [v - 1, v + 2]} for d, v in values]
    return {"points": points}


def test_trend_stands_along_the_calendar_inside_its_frame() -> None:
    days = [("2026-01-01T00:00:00Z", 4.0), ("2026-01-03T00:00:00Z", None), ("2026-01-05T00:00:00Z", 5.0)]
    chart = trend_chart(_series(*days, ("2026-12-31T00:00:00Z", -3.0)), "deg")
    assert chart is not None
    first, second, last = chart.points
    assert (second.x - first.x) / (last.x - first.x) == pytest.approx(4 / 364, abs=0.005)
    assert [p.label for p in chart.points] == ["2026-01-01", "", "2026-12-31"]
    assert second.y < first.y < last.y
    for point in chart.points:
        assert 0 < point.x < WIDTH
        assert 0 < point.high < point.y < point.low < HEIGHT
    assert all(a > b for (a, _), (b, _) in pairwise(chart.ticks))
    assert trend_chart(_series(("2026-01-01T00:00:00Z", None)), "deg") is None
    alone = trend_chart(_series(("2026-01-01T00:00:00Z", 4.0)), "deg")
    assert alone is not None
    assert alone.points[0].label == "2026-01-01"


# ---- a trial


def test_trial_shows_every_metric_of_the_catalogue_once(client: TestClient) -> None:
    page = _page(client, f"/trials/{TRIAL}")
    tables = [t for t in page.all("table") if t.all("th")[0].text == "Metric" and "foot strikes" not in t.text]
    shown = [(r.all("code")[0].text, "left" in r.one("th").text) for t in tables for r in t.all("tbody")[0].all("tr")]
    assert len(shown) == sum(len(m.sided.sides) for m in METRICS)
    folded = [d for d in page.all("details", "region") if d.all("th") and d.all("th")[0].text == "Metric"]
    assert folded
    for region in folded:
        assert "open" not in region.attributes
        assert int(region.one("span", "count").text) == len(region.all("tbody")[0].all("tr"))


def test_trial_shows_findings_as_they_are_worded(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tuple(
        Finding(f"F{i}", Side.LEFT, status, f"Text of {status} & more.", f"Rule {status}", source="chosen", rules="r 1")
        for i, status in enumerate(FindingStatus)
    )
    monkeypatch.setattr(trial_page, "read_findings", lambda path: (Tier.T3, found, {"surface": "treadmill"}))
    page = _page(client, f"/trials/{TRIAL}")
    cards = page.all("li", "finding")
    assert [c.one("span", "flag").text for c in cards] == ["flagged", "borderline"]
    assert "Text of flagged & more." in cards[0].text
    others = next(d for d in page.all("details") if "not met" in d.one("summary").text)
    assert int(others.one("span", "count").text) == len(found) - 2
    assert "Text of not_assessable & more." in others.text


def test_trial_links_to_its_files_curves_and_provenance(client: TestClient) -> None:
    page = _page(client, f"/trials/{TRIAL}")
    files = [link for link in _links(page) if link.startswith("/api/v1/files/")]
    assert len([f for f in files if f.endswith(".parquet")]) >= 6
    assert client.get(files[0]).status_code == 200
    data = json.loads(page.one("section", "curves").one("script").text)
    assert client.get(data["sources"][0]["href"]).status_code == 200
    assert set(data["toe_off"]) == {"left", "right"}
    run = client.get(f"/api/v1/runs/{TRIAL}/current").json()
    for word in (run["run"], run["pipeline_version"], run["calibration"], "grade A"):
        assert word in page.text


def test_standing_trial_says_that_it_has_no_metrics(client: TestClient) -> None:
    text = _page(client, "/trials/S01/2026-11-01/static1").text
    assert "has no strides" in text
    assert "curves.js" not in client.get("/trials/S01/2026-11-01/static1").text
