"""Tables of visits, strides and curves: after anything that may happen to a lab, a refresh of the changes is whole."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from api.access.throttle import Throttle
from labsys.storage.lab import Lab
from tests.test_api.conftest import (  # noqa: F401 - fixtures
    _lab_template,
    any_lab,
    lab,
    open_client,
    postgresql_server,
    postgresql_url,
    save_another_run,
)
from tests.test_api.test_http_refresh import ALL, check_units


@pytest.mark.parametrize("seed", [1, 2])
def test_refreshing_whole_visits_and_runs_equals_refreshing_everything(
    seed: int,
    any_lab: Lab,  # noqa: F811
    open_client: Callable[[Lab], TestClient],  # noqa: F811
    save_another_run: Callable[..., str],  # noqa: F811
) -> None:
    client = open_client(any_lab)
    client.app.state.export_throttle = Throttle(burst=1_000_000, every_s=0.001)  # type: ignore[attr-defined]
    order = [what for _ in range(2) for what in random.Random(seed).sample(ALL, len(ALL))]
    check_units(any_lab, client, save_another_run, order, seed=seed)
