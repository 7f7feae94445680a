"""The service against its own OpenAPI document: requests that schemathesis makes from it, right and wrong ones."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from tests.test_api.conftest import BASE

API = "/api/v1"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Names that are there: chance alone would meet none of them, and every answer would be 404.
KNOWN = {
    "subject": "S01",
    "session": "2026-11-01",
    "trial": "run1",
    "run": "current",
    "episode": "acl-left",
    "pre": "2026-11-01",
    "post": "2026-12-13",
    "metric": "cadence",
    "side": "both",
    "angle": "hip_flexion",
    "target": "S01/2026-11-01/run1",
}
# An endless answer: it is watched in test_jobs.
ENDLESS = "/events"


@dataclass
class Report:
    """What the requests came to: answers by operation and status, and each breach of the document once."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    breaches: dict[tuple[str, str, int], str] = field(default_factory=dict)

    @property
    def cases(self) -> int:
        """How many requests were made."""
        return self.answers.total()


def check_contract(client: TestClient, headers: dict[str, str], *, examples: int, only: str = "") -> Report:
    """Ask every operation (whose path ends with `only`) with `examples` requests that keep to the document and as many
    that do not."""
    schema = schemathesis.openapi.from_dict(client.get(f"{API}/openapi.json").json())
    report = Report()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith(only) and not operation.path.endswith(ENDLESS):
            for mode in GenerationMode:
                _try_operation(client, headers, report, operation.as_strategy(generation_mode=mode), examples)
    return report


def _try_operation(client: TestClient, headers: dict[str, str], report: Report, cases: Any, examples: int) -> None:
    @seed(20261130)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(cases, st.booleans())
    def ask(case: Any, known: bool) -> None:
        if known:
            fill_known(case)
        response = send_case(client, case, headers)
        report.answers[case.operation.label, response.status_code] += 1
        # What was filled in may have been what was wrong.
        for check in CHECKS if known else [*CHECKS, negative_data_rejection]:
            try:
                case.validate_response(response, checks=[check])
            except FailureGroup as group:
                breach = (case.operation.label, check.__name__, response.status_code)
                report.breaches.setdefault(breach, f"{group.exceptions[0]}\n{case.as_curl_command()}")

    with suppress(Unsatisfiable):  # an operation without parameters cannot be asked wrongly
        ask()


def fill_known(case: Any) -> None:
    """Put names that are there in the place of names."""
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict):
            part.update({name: KNOWN[name] for name in part if name in KNOWN})


def send_case(client: TestClient, case: Any, headers: dict[str, str]) -> Any:
    """The answer to one request."""
    asked = case.as_transport_kwargs(base_url=BASE, headers=headers)
    names = ("method", "url", "headers", "files", "data", "json", "params", "cookies")
    request = requests.Request(**{name: asked[name] for name in names if name in asked}).prepare()
    return client.request(str(request.method), str(request.url), headers=dict(request.headers), content=request.body)
