"""Ten thousand requests, one by one to every operation and in sequences, and those at the edges of the document: every
check of schemathesis, and the service keeps to its OpenAPI document."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.test_api.conftest import BASE
from tests.test_api.contract import EXCUSED, check_contract, check_edges
from tests.test_api.sequences import check_sequences, open_throttles, sign_in_anew

CASES = 10_000
# For every operation, and as many that are wrong on purpose.
EXAMPLES = 40


@pytest.mark.usefixtures("cheap_hashes")
def test_ten_thousand_requests_find_no_breach(
    client: TestClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "keys"))
    open_throttles(client)
    alone = check_contract(client, sign_in_anew(client)(), examples=EXAMPLES)
    led = check_sequences(client, sign_in_anew(client), cases=CASES - alone.cases, steps=10)
    edges = check_edges(client, sign_in_anew(client))
    assert alone.cases + led.cases >= CASES
    assert edges.excused == {excused for excused in EXCUSED if excused[0] == "allow_header_conformance"}
    found = alone.breaches | led.breaches | edges.breaches
    assert found == {}, "\n\n".join(f"{k}: {v}" for k, v in found.items())
    for report, least in ((alone, 30), (led, 20)):
        answered = {operation for operation, status in report.answers if status < 300}
        assert len(answered) > least, sorted(answered)


def test_breaches_in_sequences_are_noticed(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = httpx2.Response(418, text="{}", request=httpx2.Request("GET", BASE))
    answer.elapsed = timedelta()
    monkeypatch.setattr("tests.test_api.sequences.send_case", lambda *_: answer)
    report = check_sequences(client, sign_in_anew(client), cases=5, steps=3)
    assert {(check, status) for _, check, status in report.breaches} >= {("status_code_conformance", 418)}
