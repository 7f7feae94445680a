"""200 jobs, three workers, killed at random moments, on each kind of database; with Dask its scheduler, too."""

from __future__ import annotations

from pathlib import Path

from labsys.storage.lab import Lab
from tests.accept.cluster_kills import kill_cluster
from tests.test_api.conftest import (  # noqa: F401 - fixtures
    _lab_template,
    any_lab,
    lab,
)
from tests.test_api.postgresql import postgresql_server, postgresql_url  # noqa: F401 - fixtures
from tests.test_api.test_jobs import kill_workers


def test_no_job_is_lost_or_done_twice(any_lab: Lab) -> None:  # noqa: F811
    found = kill_workers(any_lab, jobs=200, workers=3, kills=20, lease_s=6.0)
    assert found["states"] == ["done"]
    assert found["made"]
    assert found["overlaps"] == 0
    assert found["went_back"] == 0
    assert found["killed"] == 20


def test_no_job_is_lost_or_done_twice_in_a_cluster(any_lab: Lab, tmp_path: Path) -> None:  # noqa: F811
    kills = {"worker": 12, "dispatcher": 4, "scheduler": 4}
    found = kill_cluster(any_lab, tmp_path / "cluster.log", jobs=200, kills=kills, lease_s=12.0)
    assert found["states"] == ["done"]
    assert found["made"]
    assert found["overlaps"] == 0
    assert found["went_back"] == 0
    assert found["killed"] == 20
