"""200 jobs, three workers, twenty of them killed at random moments, on each kind of database."""

from __future__ import annotations

from labsys.storage.lab import Lab
from tests.test_api.conftest import (  # noqa: F401 - fixtures
    _lab_template,
    any_lab,
    lab,
    postgresql_server,
    postgresql_url,
)
from tests.test_api.test_jobs import kill_workers


def test_no_job_is_lost_or_done_twice(any_lab: Lab) -> None:  # noqa: F811
    found = kill_workers(any_lab, jobs=200, workers=3, kills=20, lease_s=6.0)
    assert found["states"] == ["done"]
    assert found["made"]
    assert found["overlaps"] == 0
    assert found["went_back"] == 0
    assert found["killed"] == 20
