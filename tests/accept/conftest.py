"""The service's fixtures, for long tests that ask it."""

from __future__ import annotations

from tests.test_api.conftest import _lab_template, cheap_hashes, client, lab, open_client

__all__ = ["_lab_template", "cheap_hashes", "client", "lab", "open_client"]
