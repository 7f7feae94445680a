"""HEAD says what GET says, on every route."""

from __future__ import annotations

from collections.abc import Callable

from starlette.testclient import TestClient

from labsys.storage.lab import Lab
from tests.test_api.conftest import _lab_template, lab, open_client  # noqa: F401 - fixtures
from tests.test_api.test_http_head import check_heads


def test_head_says_what_get_says_on_every_route(
    lab: Lab,  # noqa: F811
    open_client: Callable[[Lab], TestClient],  # noqa: F811
) -> None:
    check_heads(open_client(lab), every=1)
