"""The flat table: fixed columns, strict filters, every format with the same rows, nothing cut off unasked."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from api.commands.showing import metric_table
from api.commands.text_table import format_share
from api.database.connection import Database
from api.database.tables import TrialMetricRow
from api.flat.columns import OF_RUN
from api.flat.formats import guard_formula
from api.flat.trial_metrics import COLUMNS, parse_when
from api.indexing.index import index_subject
from api.moments import show_moment
from api.views.results import metric_document
from labsys.core.catalogue import find_metric
from labsys.core.session import TrialName
from labsys.core.skeleton import Tier
from labsys.core.units import to_outside
from labsys.storage.lab import Lab
from labsys.storage.results import load_trial_result

TABLE = "/api/v1/tables/trial_metrics"
# As the service's definition fixes them; columns may be added at any place, never renamed or removed.
FIXED = [
    *("lab", "subject", "episode", "phase", "weeks_from_index", "session", "captured_at", "trial", "kind", "surface"),
    *("speed_mps", "incline_pct", "footwear", "metric", "side", "unit", "n", "mean", "sd", "ci95_low", "ci95_high"),
    *("sem_measurement", "sem_source", "tier", "quality", "interpolated_share", "reason", "not_for_comparison"),
    *("calibration_grade", "run", "is_current", "pipeline_version", "model_hash", "updated_at", "deleted"),
]
SCALED = ("mean", "sd", "ci95_low", "ci95_high", "sem_measurement")


def _rows(client: TestClient, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"{TABLE}?limit=1000000{query}")
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows


def test_columns_are_the_fixed_ones_in_order(client: TestClient) -> None:
    assert list(COLUMNS) == FIXED
    assert client.get(TABLE).json()["columns"] == FIXED
    assert list(_rows(client)[0]) == FIXED


def test_a_row_says_what_was_measured(client: TestClient, lab: Lab) -> None:
    rows = _rows(client, "&subject=S01&metric=hip_ext_excursion_stance&side=left&phase=pre")
    assert len(rows) == 1
    row = rows[0]
    metric = next(
        m
        for m in load_trial_result(lab, TrialName("S01", "2026-11-01", "run1")).motion.metrics
        if (m.id, m.side) == ("hip_ext_excursion_stance", "left")
    )
    assert row["mean"] == pytest.approx(math.degrees(metric.mean), rel=1e-12)
    assert row["ci95_low"] == pytest.approx(math.degrees(metric.ci95[0]), rel=1e-12)
    assert row["unit"] == "deg"
    assert row["sem_measurement"] == pytest.approx(2.5)
    assert row["interpolated_share"] == metric.interpolated_share == 0.0125
    assert row["weeks_from_index"] == 4.0
    assert row["captured_at"] == "2026-11-01T09:30:00.000Z"
    assert (row["tier"], row["quality"], row["calibration_grade"]) == ("T3", "ok", "A")
    assert (row["is_current"], row["deleted"], row["not_for_comparison"]) == (True, False, None)


def test_what_could_not_be_measured_is_a_row_with_a_reason(client: TestClient) -> None:
    rows = _rows(client, "&subject=S02&metric=lumbar_ext_peak")
    assert [r["mean"] for r in rows] == [None]
    assert "T3" in rows[0]["reason"]
    assert rows[0]["interpolated_share"] is None


def test_the_same_interpolated_share_is_told_of_a_run_and_in_the_terminal(client: TestClient, lab: Lab) -> None:
    result = load_trial_result(lab, TrialName("S01", "2026-11-01", "run1"))
    told = client.get("/api/v1/trials/S01/2026-11-01/run1/metrics").json()["metrics"]
    shares = {(m["id"], m["side"]): m["interpolated_share"] for m in told}
    assert shares == {(m.id, m.side): metric_document(m)["interpolated_share"] for m in result.motion.metrics}
    assert {shares[m.id, m.side] for m in result.motion.metrics if m.n} == {0.0125}


def test_the_terminal_s_table_has_the_share_of_filled_in_samples(lab: Lab) -> None:
    metrics = [
        metric_document(m) for m in load_trial_result(lab, TrialName("S01", "2026-11-01", "run1")).motion.metrics
    ]
    header, _, *rows = metric_table(metrics).splitlines()
    at = slice(header.index("filled in"), header.index("quality"))
    assert {row[at].strip() for row in rows} == {"1.2 %"}
    assert len(rows) == sum(m["mean"] is not None for m in metrics) > 40
    unstated = metric_table([{**m, "interpolated_share": None} for m in metrics]).splitlines()[2:]
    assert {row[at].strip() for row in unstated} == {"-"}


def test_a_small_share_is_not_nothing() -> None:
    assert [format_share(s) for s in (None, 0.0, 0.0001, 0.004, 0.1)] == ["-", "0.0 %", "< 0.1 %", "0.4 %", "10.0 %"]


@pytest.mark.slow
def test_excluded_trials_keep_their_rows(client: TestClient) -> None:
    path = "/api/v1/trials/S01/2026-12-13/run2"
    assert client.patch(path, json={"excluded": True, "exclusion_reason": "Tripped"}).status_code == 200
    rows = [r for r in _rows(client, "&subject=S01") if (r["session"], r["trial"]) == ("2026-12-13", "run2")]
    assert len(rows) > 40
    assert {r["quality"] for r in rows} == {"excluded"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "field", "expected"),
    [
        ("&kind=walk", "subject", {"S02"}),
        ("&side=both", "side", {"both"}),
        ("&metric=cadence&metric=contact_time", "metric", {"cadence", "contact_time"}),
        ("&phase=post", "session", {"2026-12-13"}),
        ("&episode=acl-left", "subject", {"S01"}),
        ("&from=2026-11-02", "session", {"2026-11-03", "2026-12-13"}),
        ("&from=2026-11-02T00:00:00Z&to=2026-11-03", "session", {"2026-11-03"}),
        ("&to=2026-11-01T09:30:00Z", "session", {"2026-11-01"}),
        ("&to=2026-11-01T10:30:00%2B01:00", "session", {"2026-11-01"}),
        ("&to=2026-11-01T10:30:00+01:00", "session", {"2026-11-01"}),
        ("&to=2026-11-01T09:29:59Z", "session", set()),
        (f"&from={int(datetime(2026, 12, 1, tzinfo=UTC).timestamp() * 1000)}", "session", {"2026-12-13"}),
    ],
)
def test_filters(query: str, field: str, expected: set[str], client: TestClient) -> None:
    assert {r[field] for r in _rows(client, query)} == expected


def test_every_format_has_the_same_rows(client: TestClient) -> None:
    rows = _rows(client)
    parquet = pyarrow.parquet.read_table(io.BytesIO(client.get(f"{TABLE}?format=parquet").content)).to_pylist()
    arrow = pa.ipc.open_stream(client.get(f"{TABLE}?format=arrow").content).read_all().to_pylist()
    text = client.get(f"{TABLE}?format=csv").text
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len(parquet) == len(arrow) == len(lines) > 150
    assert parquet == arrow
    for row, kept, line in zip(rows, parquet, lines, strict=True):
        assert {k: v for k, v in row.items() if k not in ("captured_at", "updated_at")} == {
            k: v for k, v in kept.items() if k not in ("captured_at", "updated_at")
        }
        assert kept["captured_at"] == datetime.fromisoformat(row["captured_at"])
        assert line["captured_at"] == row["captured_at"]
        assert (float(line["mean"]) if line["mean"] else None) == row["mean"]
        assert line["metric"] == row["metric"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/csv", "text/csv"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("application/vnd.apache.arrow.stream;q=0.9, */*", "application/vnd.apache.arrow.stream"),
        ("*/*", "application/json"),
    ],
)
def test_accept_header_chooses_the_format(accept: str, expected: str, client: TestClient) -> None:
    answer = client.get(TABLE, headers={"Accept": accept})
    assert answer.headers["content-type"].split(";")[0] == expected
    assert client.get(f"{TABLE}?format=json", headers={"Accept": accept}).headers["content-type"] == "application/json"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "csv", "parquet"])
def test_pages_add_up_to_the_whole(form: str, any_lab: Lab, open_client: Callable[[Lab], TestClient]) -> None:
    client = open_client(any_lab)

    def means(answer: Any) -> list[tuple[Any, ...]]:
        if form == "json":
            rows = answer.json()["rows"]
        elif form == "csv":
            rows = list(csv.DictReader(io.StringIO(answer.text)))
        else:
            rows = pyarrow.parquet.read_table(io.BytesIO(answer.content)).to_pylist()
        return [(r["session"], r["trial"], r["metric"], r["side"], str(r["mean"] or "")) for r in rows]

    whole = means(client.get(f"{TABLE}?format={form}&limit=100000"))
    walked, url = [], f"{TABLE}?format={form}&limit=37"
    while url:
        answer = client.get(url)
        walked += means(answer)
        cursor = answer.headers.get("x-next-cursor")
        if form == "json":
            assert answer.json()["next_cursor"] == cursor
        link = answer.headers.get("link", "")
        assert ('rel="next"' in link) == (cursor is not None)
        url = link.partition(">")[0].removeprefix("<")
    assert walked == whole
    assert len(set(whole)) == len(whole) > 150


@pytest.mark.slow
def test_columns_say_what_every_row_of_the_database_says(
    any_lab: Lab, open_client: Callable[[Lab], TestClient], save_another_run: Any
) -> None:
    save_another_run(any_lab, TrialName("S02", "2026-11-03", "walk1"), started_at="2026-11-04T10:00:00Z", rule="ransac")
    client = open_client(any_lab)
    database: Database = client.app.state.database  # type: ignore[attr-defined]
    with database.read() as session:
        kept = [_as_told(any_lab, m) for m in session.scalars(select(TrialMetricRow))]
        said = [{name: getattr(m, name) for name in OF_RUN} for m in session.scalars(select(TrialMetricRow))]
    told = _rows(client, "&run=all")
    assert sorted(told, key=str) == sorted(kept, key=str)
    # What is read once per run is the same in all of its rows.
    assert len({str(row) for row in said}) == len({(r["subject"], r["session"], r["trial"], r["run"]) for r in told})


def _as_told(lab: Lab, m: TrialMetricRow) -> dict[str, Any]:
    unit = find_metric(m.metric).unit
    row = {name: getattr(m, name, None) for name in FIXED}
    row |= {name: None if row[name] is None else to_outside(row[name], unit) for name in SCALED}
    row |= {"lab": lab.uuid, "unit": unit.value, "tier": None if m.tier is None else Tier(m.tier).name}
    row |= {"captured_at": show_moment(m.captured_at), "updated_at": show_moment(m.updated_at), "deleted": False}
    return row | {"footwear": m.footwear or None, "sem_source": m.sem_source or None}


def test_columns_can_be_chosen(client: TestClient) -> None:
    assert client.get(f"{TABLE}?columns=mean,subject&limit=1").json()["columns"] == ["mean", "subject"]
    assert client.get(f"{TABLE}?format=csv&columns=unit&columns=n&limit=1").text.splitlines()[0] == '"unit","n"'


def test_csv_cannot_run_a_formula(client: TestClient) -> None:
    text = client.get(f"{TABLE}?format=csv&subject=S01").text
    shoes = {row["footwear"] for row in csv.DictReader(io.StringIO(text))}
    assert shoes == {"'=cmd|shoe"}
    assert _rows(client, "&subject=S01")[0]["footwear"] == "=cmd|shoe"
    for start in "=+-@\t\r":
        assert guard_formula(f"{start}x") == f"'{start}x"
    assert guard_formula("plain - x") == "plain - x"


@pytest.mark.slow
def test_superseded_runs_are_told_to_who_asks_for_changes(client: TestClient, lab: Lab, save_another_run: Any) -> None:
    name = TrialName("S02", "2026-11-03", "walk1")
    old = client.get(f"/api/v1/trials/{name}").json()["current_run"]
    new = save_another_run(lab, name, started_at="2026-11-20T10:00:00Z", rule="pose2sim")
    index_subject(lab, "S02")
    assert {r["run"] for r in _rows(client, "&subject=S02")} == {new}
    assert {r["run"] for r in _rows(client, "&subject=S02&run=all")} == {old, new}
    changed = _rows(client, "&subject=S02&updated_since=2026-11-20T09:00:00Z")
    assert {(r["run"], r["deleted"]) for r in changed} == {(old, True), (new, False)}
    assert _rows(client, "&updated_since=2126-01-01") == []


def test_json_is_not_cut_off_silently(client: TestClient) -> None:
    short = client.get(f"{TABLE}?limit=5").json()
    assert len(short["rows"]) == 5
    assert short["next_cursor"] is not None
    assert client.get(f"{TABLE}?limit=100000").json()["next_cursor"] is None


def test_end_given_as_a_date_includes_the_day() -> None:
    assert parse_when("2026-11-22", end=True) == datetime(2026, 11, 23, tzinfo=UTC)
    assert parse_when("1763800000000") == datetime(2025, 11, 22, 8, 26, 40, tzinfo=UTC)
