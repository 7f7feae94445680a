"""Strides, curves and visits as flat tables: equal to the files and to what pages say, for those who may see them."""

from __future__ import annotations

import csv
import io
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
from starlette.testclient import TestClient

from api.access.audit import TERMINAL
from api.access.keys import KeyRequest, make_key
from api.access.roles import Role
from api.access.throttle import Throttle
from api.flat.session_metrics import VisitMetricTable
from api.flat.sessions import VisitTable
from api.flat.strides import CurveTable, StrideTable
from labsys.core.session import TrialName
from labsys.core.skeleton import Side
from labsys.storage.lab import Lab
from labsys.storage.results import load_trial_result
from labsys.storage.runs import current_run, run_folder

API = "/api/v1"
TABLES = f"{API}/tables"
RUN1 = TrialName("S01", "2026-11-01", "run1")
# Each with a filter that keeps it small.
SMALL = {
    "sessions": "",
    "session_metrics": "metric=cadence&metric=hip_ext_excursion_stance",
    "strides": "metric=cadence&metric=hip_ext_excursion_stance&side=left",
    "curves": "angle=hip_flexion&side=left",
}


def _rows(client: TestClient, table: str, query: str = "", **asked: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{TABLES}/{table}?limit=1000&{query}", **asked)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows


@pytest.fixture
def unhurried(client: TestClient) -> TestClient:
    """The service, which lets any number of exports leave."""
    client.app.state.export_throttle = Throttle(burst=1_000_000, every_s=0.001)  # type: ignore[attr-defined]
    return client


def _viewer(client: TestClient, *subjects: str) -> dict[str, str]:
    with client.app.state.database.write() as session:  # type: ignore[attr-defined]
        _, token = make_key(session, TERMINAL, replace(KeyRequest(Role.VIEWER), subjects=subjects))
    return {"Authorization": f"Bearer {token.show()}"}


@pytest.mark.slow
def test_a_stride_is_as_its_file_says(client: TestClient, lab: Lab) -> None:
    motion = load_trial_result(lab, RUN1).motion
    rows = _rows(client, "strides", "subject=S01&phase=pre&metric=hip_ext_excursion_stance&side=left")
    values = next(v for v in motion.stride_values if (v.id, v.side) == ("hip_ext_excursion_stance", "left"))
    assert [r["stride"] for r in rows] == list(values.stride_index)
    assert [r["value"] for r in rows] == pytest.approx([math.degrees(v) for v in values.values], rel=1e-12)
    strides = {(s.side, s.index): s for s in motion.strides}
    for row in rows:
        stride = strides[Side.LEFT, row["stride"]]
        assert (row["foot_strike_s"], row["toe_off_s"]) == (stride.foot_strike_s, stride.toe_off_s)
        assert (row["unit"], row["tier"], row["quality"], row["is_current"]) == ("deg", "T3", "ok", True)
        assert (row["session"], row["footwear"], row["weeks_from_index"]) == ("2026-11-01", "=cmd|shoe", 4.0)
    # What both legs share is read over right strides.
    both = _rows(client, "strides", "subject=S01&phase=pre&metric=cadence")
    assert [r["foot_strike_s"] for r in both] == [strides[Side.RIGHT, r["stride"]].foot_strike_s for r in both]


@pytest.mark.slow
def test_means_over_strides_are_those_of_the_flat_table(client: TestClient) -> None:
    query = "subject=S01&phase=post&side=right"
    means = {(r["trial"], r["metric"]): r["mean"] for r in _rows(client, "trial_metrics", query) if r["n"]}
    found: dict[tuple[str, str], list[float]] = {}
    cursor = ""
    while cursor is not None:
        page = client.get(f"{TABLES}/strides?limit=1000&{query}{cursor and '&cursor='}{cursor}").json()
        cursor = page["next_cursor"]
        for row in page["rows"]:
            found.setdefault((row["trial"], row["metric"]), []).append(row["value"])
    assert {key: sum(values) / len(values) for key, values in found.items()} == pytest.approx(means)
    assert len(means) > 40


def test_curves_are_those_of_the_run(client: TestClient) -> None:
    rows = _rows(client, "curves", "subject=S01&phase=pre&side=left")
    curve = client.get(f"{API}/trials/{RUN1}/curves?angle=hip_flexion&side=left").json()["curves"][0]
    assert [r["percent"] for r in rows] == list(range(101))
    assert [r["mean"] for r in rows] == pytest.approx(curve["mean"])
    assert [r["sd"] for r in rows] == pytest.approx(curve["sd"])
    assert {(r["n"], r["unit"], r["angle"]) for r in rows} == {(28, "deg", "hip_flexion")}


def test_a_visit_is_measured_as_the_trend_measures_it(client: TestClient) -> None:
    points = [
        point
        for series in client.get(f"{API}/trend?subject=S01&metric=hip_ext_excursion_stance&side=left").json()["series"]
        for point in series["points"]
    ]
    rows = _rows(client, "session_metrics", "subject=S01&metric=hip_ext_excursion_stance&side=left")
    assert len(points) == len(rows) == 2
    for point, row in zip(points, rows, strict=True):
        assert (row["session"], row["n"], row["n_captures"]) == (
            point["session"], point["n_strides"], point["n_captures"],
        )  # fmt: skip
        assert row["mean"] == pytest.approx(point["value"])
        assert [row["ci95_low"], row["ci95_high"]] == pytest.approx(point["ci95"])
    assert rows[1]["trials"] == "run1 run2"


def test_what_a_visit_could_not_measure_is_a_row_with_a_reason(client: TestClient) -> None:
    row = _rows(client, "session_metrics", "subject=S02&metric=lumbar_ext_peak")[0]
    assert (row["mean"], row["ci95_low"], row["quality"], row["n"]) == (None, None, None, 0)
    assert "T3" in row["reason"]


@pytest.mark.slow
def test_excluded_trials(client: TestClient) -> None:
    change = {"excluded": True, "exclusion_reason": "Tripped"}
    assert client.patch(f"{API}/trials/S01/2026-12-13/run2", json=change).status_code == 200
    query = "phase=post&metric=cadence"
    assert [r["trials"] for r in _rows(client, "session_metrics", query)] == ["run1"]
    qualities = {(r["trial"], r["quality"]) for r in _rows(client, "strides", query)}
    assert qualities == {("run1", "ok"), ("run2", "excluded")}
    qualities = {(r["trial"], r["quality"]) for r in _rows(client, "curves", "phase=post")}
    assert qualities == {("run1", None), ("run2", "excluded")}


def test_visits_with_body_and_scores(client: TestClient) -> None:
    rows = _rows(client, "sessions", "subject=S01")
    assert [(r["session"], r["phase"], r["mass_kg"], r["scores"]) for r in rows] == [
        ("2026-11-01", "pre", 61.0, '{"visa_a": 71.0}'),
        ("2026-12-13", "post", 61.0, '{"visa_a": 71.0}'),
    ]
    assert not {"notes", "operator"} & set(VisitTable.columns)


@pytest.mark.slow
@pytest.mark.parametrize("table", [VisitTable, VisitMetricTable, StrideTable, CurveTable], ids=lambda t: t.name)
def test_every_format_and_every_page_has_the_same_rows(table: Any, unhurried: TestClient) -> None:
    client, url = unhurried, f"{TABLES}/{table.name}?{SMALL[table.name]}"
    rows = _rows(client, table.name, SMALL[table.name])
    assert list(rows[0]) == list(table.columns) == client.get(f"{url}&limit=1").json()["columns"]
    parquet = pyarrow.parquet.read_table(io.BytesIO(client.get(f"{url}&format=parquet").content))
    arrow = pa.ipc.open_stream(client.get(f"{url}&format=arrow").content).read_all()
    lines = list(csv.DictReader(io.StringIO(client.get(f"{url}&format=csv").text)))
    assert parquet.equals(arrow)
    times = ("captured_at", "updated_at")
    plain = [{k: v for k, v in row.items() if k not in times} for row in rows]
    assert [{k: v for k, v in row.items() if k not in times} for row in parquet.to_pylist()] == plain
    assert [line["captured_at"] for line in lines] == [row["captured_at"] for row in rows]
    if "footwear" in table.columns:
        assert {line["footwear"] for line in lines} == {"'=cmd|shoe"}
    few = client.get(f"{url}&columns=deleted,subject&format=csv").text.splitlines()
    assert few[0] == '"deleted","subject"'
    limit = max(1, len(rows) // 5)
    walked, cursor = [], ""
    while cursor is not None:
        page = client.get(f"{url}&limit={limit}{cursor and '&cursor='}{cursor}").json()
        assert len(page["rows"]) <= limit
        walked += page["rows"]
        cursor = page["next_cursor"]
    assert walked == rows
    assert len({tuple(row.items()) for row in rows}) == len(rows)


@pytest.mark.slow
def test_both_databases_answer_alike(any_lab: Lab, open_client: Callable[[Lab], TestClient]) -> None:
    client = open_client(any_lab)
    counts = {table: len(_rows(client, table, query)) for table, query in SMALL.items()}
    # Two visits of S01 with one and two runs of 28 strides, and a walk of S02 without any hip.
    assert counts == {"sessions": 3, "session_metrics": 9, "strides": 3 * 28, "curves": 4 * 101}
    assert [r["session"] for r in _rows(client, "strides", "from=2026-11-02&to=2026-11-30&metric=step_time")]


@pytest.mark.slow
def test_a_file_that_is_gone_or_altered_is_named(client: TestClient, lab: Lab, tmp_path: Any) -> None:
    folder = run_folder(lab, RUN1, current_run(lab, RUN1) or "")
    path = folder / "stride_values.parquet"
    held = path.read_bytes()
    named = path.relative_to(lab.root).as_posix()

    def refusal(query: str = "subject=S01&metric=cadence") -> str:
        answer = client.get(f"{TABLES}/strides?{query}")
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
        assert str(lab.root) not in answer.text
        return str(answer.json()["detail"])

    path.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    assert f"{named} differs" in refusal()
    path.unlink()
    assert f"{named} is gone" in refusal()
    outside = tmp_path / "outside.parquet"
    outside.write_bytes(held)
    path.symlink_to(outside)
    assert f"{named} lies outside the lab" in refusal()
    # Who may not see S01 is neither refused nor told.
    assert _rows(client, "strides", "metric=step_time", headers=_viewer(client, "S02"))
    # Other files of the same run are as they were.
    granted = _viewer(client, "S01")
    assert _rows(client, "curves", "subject=S01", headers=granted)
    path.unlink()
    path.write_bytes(held)
    assert _rows(client, "strides", "subject=S01&metric=cadence", headers=granted)


def test_no_file_is_named_from_outside(client: TestClient) -> None:
    for query in ("path=/etc/passwd", "file=x", "subject=../S01", "subject=S01' OR '1'='1", "metric=../x", "angle=*"):
        for table in SMALL:
            assert client.get(f"{TABLES}/{table}?{query}").status_code == 422, (table, query)
    for cursor in ("gone.", "gone.x", "x", "~1", "x~-1", "%7E"):
        assert client.get(f"{TABLES}/strides?cursor={cursor}").status_code == 400, cursor
    assert client.get(f"{TABLES}/strides?as_of=x").status_code == 422
    assert client.get(f"{TABLES}/session_metrics?as_of=x&updated_since=2020-01-01").status_code == 422


@pytest.mark.slow
def test_viewer_without_a_grant_learns_nothing(client: TestClient) -> None:
    nobody, other = _viewer(client), _viewer(client, "S02")
    for table, query in SMALL.items():
        assert _rows(client, table, query, headers=nobody) == []
        assert {r["subject"] for r in _rows(client, table, headers=other)} == {"S02"}
        hidden, never = (
            client.get(f"{TABLES}/{table}?subject={code}&updated_since=2020-01-01", headers=other)
            for code in ("S01", "S03")
        )
        assert (hidden.status_code, hidden.content) == (never.status_code, never.content)


def test_questions_read_no_file_that_nobody_named(lab: Lab, tmp_path: Any) -> None:
    import duckdb

    from api.flat.named_files import ask_files, file_list

    folder = run_folder(lab, RUN1, current_run(lab, RUN1) or "")
    named, other = folder / "strides.parquet", tmp_path / "it's another.parquet"
    shutil.copy(named, other)
    assert ask_files(f"SELECT * FROM read_parquet({file_list([other])})", [other], {}).num_rows == 56
    for sql in (
        f"SELECT * FROM read_parquet({file_list([other])})",
        f"SELECT * FROM read_parquet('{folder}/*.parquet')",
        "SELECT * FROM read_text('/etc/hostname')",
        "SET enable_external_access = true",
        f"COPY (SELECT 1) TO '{tmp_path}/written.csv'",
    ):
        with pytest.raises(duckdb.Error):
            ask_files(sql, [named], {})
    assert sorted(p.name for p in tmp_path.glob("*.csv")) == []
