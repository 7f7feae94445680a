"""The examples of docs/dashboards run against a server, or name nothing that the service does not have."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from api.app import create_app
from api.client import LabClient
from api.flat.session_metrics import VisitMetricTable
from labsys.storage.lab import Lab

FOLDER = Path(__file__).parents[2] / "docs" / "dashboards"


@pytest.fixture
def served(lab: Lab) -> Iterator[str]:
    """Address of a server of the fabricated lab, on this machine."""
    server = uvicorn.Server(uvicorn.Config(create_app(lab), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=30)


def _example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pandas_trend", FOLDER / "pandas_trend.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pandas_reads_the_trend_from_a_server(served: str) -> None:
    frame = _example().read_trend(served, "hip_ext_excursion_stance")
    mine = frame[(frame["subject"] == "S01") & (frame["side"] == "left")]
    assert list(mine["phase"]) == ["pre", "post"], "a row per visit, whose two captures count together"
    assert set(mine["unit"]) == {"deg"}
    # The scene shifts it by 15 degrees between the visits, and states an error of 2.5.
    assert mine["mean"].iloc[1] - mine["mean"].iloc[0] == pytest.approx(15.0, abs=1.5)
    assert mine["captured_at"].is_monotonic_increasing


def test_pandas_reads_every_capture_from_a_server(served: str) -> None:
    with LabClient.connect(served) as lab:
        frame = lab.trial_metrics(subject="S01", metric=["hip_ext_excursion_stance"], side="left")
    assert list(frame["phase"]) == ["pre", "post", "post"]
    assert ((frame["ci95_high"] - frame["ci95_low"]) / 2 > 1.96 * 2.5).all(), "each is known no better than the error"


def test_pandas_shows_what_the_page_shows(client: TestClient, served: str) -> None:
    asked = {"subject": "S01", "metric": "hip_ext_excursion_stance", "side": "left"}
    (series,) = client.get("/api/v1/trend", params=asked).json()["series"]
    frame = _example().read_trend(served, "hip_ext_excursion_stance")
    mine = frame[(frame["subject"] == "S01") & (frame["side"] == "left")]
    assert list(mine["mean"]) == pytest.approx([p["value"] for p in series["points"]])
    widths = [(p["ci95"][1] - p["ci95"][0]) / 2 for p in series["points"]]
    assert list(mine["half_width"]) == pytest.approx(widths)


def test_r_reads_the_trend_from_a_server(served: str) -> None:
    rscript = shutil.which("Rscript")
    if rscript is None:
        pytest.skip("This machine has no Rscript")
    command = [rscript, FOLDER / "trend.R", served, "hip_ext_excursion_stance"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert len([line for line in said.splitlines() if re.search(r"\bS01\b.*\bleft\b.*\bdeg\b", line)]) == 2


def _infinity_queries(found: Any) -> Iterator[dict[str, Any]]:
    """Every query of the dashboard, of panels and of variables."""
    if isinstance(found, dict):
        if "root_selector" in found:
            yield found
        for inner in found.values():
            yield from _infinity_queries(inner)
    if isinstance(found, list):
        for inner in found:
            yield from _infinity_queries(inner)


def test_grafana_asks_for_what_the_service_has(client: TestClient) -> None:
    board = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
    filled = {
        "${subject}": "S01",
        "${metric}": "cadence",
        "${kind}": "run",
        "${__from:date:iso}": "2026-01-01T00:00:00.000Z",
        "${__to:date:iso}": "2027-01-01T00:00:00.000Z",
    }
    queries = list(_infinity_queries(board))
    assert len(queries) == 4
    for query in queries:
        params = {p["key"]: filled.get(p["value"], p["value"]) for p in query["url_options"]["params"]}
        answer = client.get(query["url"], params=params)
        assert answer.status_code == 200, answer.text  # an unknown parameter would be refused
        rows = answer.json()[query["root_selector"]]
        assert rows
        assert {c["selector"] for c in query["columns"]} <= set(rows[0])
        for column in query["columns"]:
            values = [row[column["selector"]] for row in rows if row[column["selector"]] is not None]
            kind = (int, float) if column["type"] == "number" else str
            assert all(isinstance(value, kind) for value in values), column
    names = set(re.findall(r"\$\{(\w+)[:}]", json.dumps(board)))
    assert names - {"__from", "__to"} == {v["name"] for v in board["templating"]["list"]}


def test_examples_name_columns_that_exist() -> None:
    text = (FOLDER / "trend.R").read_text(encoding="utf-8")
    used = set(re.findall(r"rows\$(\w+)", text)) | set(re.findall(r'"(\w+)"', text.split("print(")[1]))
    assert len(used) > 8
    assert used - {"half_width"} <= set(VisitMetricTable.columns)
