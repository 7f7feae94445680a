"""Ten thousand requests in sequences: whatever one answer leads to, the service keeps to its OpenAPI document."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.test_api.conftest import (  # noqa: F401 - fixtures
    _lab_template,
    cheap_hashes,
    client,
    lab,
    open_client,
)
from tests.test_api.sequences import check_sequences, open_throttles, sign_in_anew

CASES = 10_000


@pytest.mark.usefixtures("cheap_hashes")
def test_ten_thousand_requests_in_sequences_find_no_breach(
    client: TestClient,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "keys"))
    open_throttles(client)
    report = check_sequences(client, sign_in_anew(client), cases=CASES, steps=10)
    assert report.cases >= CASES
    assert report.breaches == {}, "\n\n".join(f"{k}: {v}" for k, v in report.breaches.items())
    answered = {operation for operation, status in report.answers if status < 300}
    assert len(answered) > 60, sorted(answered)
