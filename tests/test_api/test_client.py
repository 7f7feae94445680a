"""The client says what the service says: documents typed, tables as pandas, a refresh equal to a full one."""

from __future__ import annotations

import math
from datetime import timedelta

import pandas as pd
import pytest
from starlette.testclient import TestClient

from api.client import _OVERLAP, ROW_KEY, LabClient, ServiceError
from api.indexing.index import index_subject
from api.jobs.queue import LEASE, MAX_ATTEMPTS
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from labsys.storage.trial_bin import delete_trial

pytestmark = pytest.mark.slow


def test_documents_and_tables(client: TestClient) -> None:
    """One service for all of it."""
    lab = LabClient(client)
    assert [s.code for s in lab.subjects()] == ["S01", "S02"]
    assert [s.session for s in lab.sessions(subject="S01", phase="post")] == ["2026-12-13"]
    assert {t.trial for t in lab.trials(kind="run")} == {"run1", "run2"}
    units = {m.id: m.unit for m in lab.metrics()}
    frame = lab.trial_metrics(subject="S01", metric=["cadence", "hip_ext_pelvis_peak"])
    assert set(frame["metric"]) == {"cadence", "hip_ext_pelvis_peak"}
    assert {units[m] for m in frame["metric"]} == set(frame["unit"])
    assert str(frame["captured_at"].dtype).startswith("datetime64")
    row = frame[(frame.session == "2026-11-01") & (frame.metric == "cadence")].iloc[0]
    (told,) = [m for m in lab.trial_result("S01/2026-11-01/run1").metrics if m.id == "cadence"]
    assert math.isclose(row["mean"], told.mean or math.nan)
    found = lab.compare("S01", "2026-11-01", "2026-12-13")
    assert found == client.get("/api/v1/compare?subject=S01&pre=2026-11-01&post=2026-12-13").json()
    assert lab.trend("S01", "cadence", "both")["metric"] == "cadence"
    with pytest.raises(ServiceError, match=r"Unknown subject 'S1'.*Did you mean 'S01'") as refused:
        lab.compare("S1", "2026-11-01", "2026-12-13")
    assert refused.value.status == 404
    with pytest.raises(ServiceError, match="speling"):
        lab.trial_metrics(speling="x")


def test_refresh_equals_a_full_one(client: TestClient, lab: Lab) -> None:
    service = LabClient(client)
    held, since = service.refresh_trial_metrics(None, None, phase="post")
    assert set(held["trial"]) == {"run1", "run2"}
    for body in ({"excluded": True, "exclusion_reason": "Tripped"}, {"notes": "nothing of it is in a row"}):
        assert client.patch("/api/v1/trials/S01/2026-12-13/run1", json=body).status_code == 200
        held, since = service.refresh_trial_metrics(held, since, phase="post")
    delete_trial(lab, TrialName("S01", "2026-12-13", "run2"), reason="wrong runner")
    index_subject(lab, "S01", database=client.app.state.database)  # type: ignore[attr-defined]
    held, since = service.refresh_trial_metrics(held, since, phase="post")
    whole = service.trial_metrics(phase="post").sort_values(ROW_KEY, ignore_index=True)
    assert set(whole["trial"]) == {"run1"}
    assert set(whole["quality"]) == {"excluded"}
    pd.testing.assert_frame_equal(held, whole)
    assert client.patch("/api/v1/sessions/S01/2026-12-13", json={"phase": "followup"}).status_code == 200
    held, _ = service.refresh_trial_metrics(held, since, phase="post")
    assert held.empty


def test_refresh_gets_what_was_indexed_long_after_it_was_written(client: TestClient) -> None:
    service = LabClient(client)
    held, since = service.refresh_trial_metrics(None, None, subject="S01", phase="pre")
    assert set(held["quality"]) != {"excluded"}
    body = {"excluded": True, "exclusion_reason": "Tripped"}
    assert client.patch("/api/v1/trials/S01/2026-11-01/run1", json=body).status_code == 200
    # As if this was written 40 minutes before the last question, and came into the index after it.
    held, _ = service.refresh_trial_metrics(held, since + timedelta(minutes=40), subject="S01", phase="pre")
    assert set(held[held["session"] == "2026-11-01"]["quality"]) == {"excluded"}
    assert _OVERLAP > 2 * MAX_ATTEMPTS * LEASE
