"""Comparison, trend, curves, results and the catalogue: equal to what the terminal prints, and to the folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from api.cli import main
from api.indexing.index import index_subject
from api.views.results import trial_document
from labsys.core.catalogue import ANGLES, METRICS
from labsys.core.measurement_error import Z_95
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from labsys.storage.results import load_trial_result

API = "/api/v1"
RUN1 = TrialName("S01", "2026-11-01", "run1")


@pytest.mark.parametrize(
    ("asked", "most"),
    [
        ("compare?subject=S01&pre=2026-11-01&post=2026-12-13", 12),
        ("trend?subject=S01&metric=hip_ext_excursion_stance&side=left", 11),
    ],
)
def test_the_database_is_asked_as_often_for_a_few_visits_as_for_many(asked: str, most: int, client: TestClient) -> None:
    statements: list[str] = []
    engine = client.app.state.database.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    answer = client.get(f"{API}/{asked}")
    assert answer.status_code == 200
    # Two open the transactions, two find out who asks.
    assert 7 <= len(statements) <= most, "\n".join(statements)


def _printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code in (0, None)
    return json.loads(capsys.readouterr().out)


def test_comparison_equals_the_terminals(client: TestClient, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    over_http = client.get(f"{API}/compare?subject=S01&pre=2026-11-01&post=2026-12-13").json()
    arguments = ["compare", "S01/2026-11-01", "S01/2026-12-13", "--lab", str(lab.root), "--json"]
    assert over_http == _printed(arguments, capsys)
    rows = {(r["id"], r["side"]): r for r in over_http["rows"]}
    hip = rows["hip_ext_excursion_stance", "left"]
    assert hip["verdict"] == "larger_than_error"
    assert hip["family"] == "goal"
    assert hip["change"] == pytest.approx(15.0, abs=1.5)
    assert rows["cadence", "both"]["verdict"] == "no_detectable_change"
    assert "better" not in json.dumps(over_http)


def test_result_equals_the_terminals(client: TestClient, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    over_http = client.get(f"{API}/trials/{RUN1}/result").json()
    assert over_http == _printed(["show", str(RUN1), "--lab", str(lab.root), "--json"], capsys)
    assert over_http == json.loads(json.dumps(trial_document(load_trial_result(lab, RUN1))))


@pytest.mark.slow
def test_trend(any_lab: Lab, open_client: Callable[[Lab], TestClient]) -> None:
    client = open_client(any_lab)
    trend = client.get(f"{API}/trend?subject=S01&metric=hip_ext_excursion_stance&side=left").json()
    points = trend["series"][0]["points"]
    assert [p["session"] for p in points] == ["2026-11-01", "2026-12-13"]
    assert points[1]["value"] - points[0]["value"] == pytest.approx(15.0, abs=1.5)
    assert trend["unit"] == "deg"


def test_curves_are_mean_and_sd_of_the_strides(client: TestClient, lab: Lab) -> None:
    answer = client.get(f"{API}/trials/{RUN1}/curves?angle=hip_flexion&side=left&strides=true").json()
    assert answer["stride_percent"] == [float(p) for p in range(101)]
    curve = answer["curves"][0]
    strides = np.array(curve["strides"])
    kept = next(c for c in load_trial_result(lab, RUN1).motion.curves if c.side == "left")
    np.testing.assert_allclose(strides, np.degrees(kept.values_rad), rtol=0, atol=1e-9)
    np.testing.assert_allclose(curve["mean"], strides.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(curve["sd"], strides.std(axis=0, ddof=1), atol=1e-9)
    assert curve["n"] == len(strides) == 28
    plain = client.get(f"{API}/trials/{RUN1}/curves").json()["curves"]
    assert {(c["id"], c["side"]) for c in plain} == {("hip_flexion", "left"), ("hip_flexion", "right")}
    assert plain[0]["strides"] is None


def test_catalogue_is_whole_and_has_no_good_direction(client: TestClient) -> None:
    metrics = {m["id"]: m for m in client.get(f"{API}/metrics").json()["items"]}
    assert list(metrics) == [m.id for m in METRICS]
    hip = metrics["hip_ext_excursion_stance"]
    assert (hip["unit"], hip["sides"], hip["minimum_tier"]) == ("deg", ["left", "right"], "T2")
    errors = {e["tier"]: e for e in hip["errors"]}
    assert errors["T3"]["sem"] == pytest.approx(2.5)
    assert errors["T2"]["sem"] == pytest.approx(3.5)
    assert errors["T3"]["mdc95"] == pytest.approx(Z_95 * 2**0.5 * 2.5)
    assert errors["T3"]["source"] == "default"
    assert [a["id"] for a in client.get(f"{API}/angles").json()["items"]] == [a.id for a in ANGLES]
    assert not {"better", "worse", "good"} & set(json.dumps(metrics).lower().split('"'))


def test_lab_names_what_could_not_be_read(lab: Lab, open_client: Callable[[Lab], TestClient]) -> None:
    (lab.root / "subjects/S02/subject.json").write_text("{", encoding="utf-8")
    index_subject(lab, "S02")
    client = open_client(lab)
    problems = client.get(f"{API}/lab").json()["problems"]
    assert [p["place"] for p in problems] == ["subjects/S02"]
    assert "subjects/S02" in client.get("/").text


@pytest.mark.slow
def test_openapi_is_stable_and_has_examples(client: TestClient) -> None:
    document = client.get(f"{API}/openapi.json").json()
    operations = [
        (method, path, operation) for path, item in document["paths"].items() for method, operation in item.items()
    ]
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(set(ids)) == len(ids)
    assert {"subjects-list_all", "trials-change", "analysis-compare", "tables-trial_metrics"} <= set(ids)
    orders = {f"capture-{order}" for order in ("check", "stop", "go_on", "repeat", "recover")}
    nothing_sent = {i for i in ids if i == "access-log_out" or i.startswith("playback-make_")} | orders
    for method, path, operation in operations:
        assert operation["description"], path
        assert "application/problem+json" in json.dumps(operation["responses"]["422"]), path
        assert operation["operationId"] not in nothing_sent or "requestBody" not in operation, path
        if method in ("post", "patch") and operation["operationId"] not in nothing_sent:
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
            assert document["components"]["schemas"][reference]["examples"], path
    references = {r.split('"')[0] for r in json.dumps(document).split("#/components/schemas/")[1:]}
    assert references <= set(document["components"]["schemas"])
