"""The service against its own OpenAPI document: requests that schemathesis makes from it, right and wrong ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.modes import GenerationMode
from starlette.testclient import TestClient

from tests.test_api.conftest import BASE

API = "/api/v1"
load_all_checks()  # every check that the installed schemathesis has
# What cannot hold of an operation in principle. A run that meets none of these breaches says so (`Report.excused`).
EXCUSED = {
    # GET of this path is `GET /releases/{release}`: the document says so under that name.
    ("allow_header_conformance", "POST /api/v1/releases/candidate"),
    # DELETE cancels: the row of a job stays, for good, and says that it was.
    ("use_after_free", "GET /api/v1/jobs/{job}"),
}
# Why a request that keeps to its schema is refused all the same, by the problem's type: no schema knows the names that
# are there, what a cursor was made for, which of two fields excludes the other, that a text holds no NUL, which keys
# came before, or what a file's SHA-256 is.
_OF_THE_LAB = {
    f"urn:labsys:problem:{kind}"
    for kind in (
        "unknown-name",
        "bad-cursor",
        "invalid-input",
        "invalid-parameter",
        "key-used",
        "not-uploaded",
        "other-content",
    )
}
# What our own rules for one field say (control characters, a day before the first): pydantic puts no such rule into the
# document. Its own refusals are of rules that do stand there.
_OWN_RULE = "Value error, "
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
    """What the requests came to: answers by operation and status, each breach of the document once, those of `EXCUSED`
    that were met, and the operations that were found to let in nobody without credentials."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    breaches: dict[tuple[str, str, int], str] = field(default_factory=dict)
    excused: set[tuple[str, str]] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)

    @property
    def cases(self) -> int:
        """How many requests were made."""
        return self.answers.total()


def open_document(client: TestClient) -> Any:
    """The service's own document, with the service that it is about."""
    schema = schemathesis.openapi.from_dict(client.get(f"{API}/openapi.json").json())
    schema.app = client.app  # `ignored_auth` asks it again, without credentials
    return schema


def check_contract(client: TestClient, headers: dict[str, str], *, examples: int, only: str = "") -> Report:
    """Ask every operation (whose path ends with `only`) with `examples` requests that keep to the document and as many
    that do not."""
    report = Report()
    for operation in _operations(open_document(client), only):
        for mode in GenerationMode:
            _try_operation(client, headers, report, operation.as_strategy(generation_mode=mode), examples)
    return report


def check_edges(
    client: TestClient, sign_in: Callable[[], dict[str, str]], *, scenarios: Collection[str] = (), only: str = ""
) -> Report:
    """Ask every operation at the edges of its document: each boundary, each field left out or of a wrong type, each
    method that it does not have.

    scenarios: names of those of schemathesis to ask; all, if there are none.
    sign_in: gives headers with a new key. Requests revoke keys, their own among them.
    """
    report, schema, headers = Report(), open_document(client), sign_in()
    for operation in _operations(schema, only):
        for case in schema.iter_coverage_cases(
            operation, generation_modes=[*GenerationMode], generation_config=schema.config.generation
        ):
            if not scenarios or case.meta.phase.data.scenario.name in scenarios:
                response = send_case(client, case, headers)
                if response.status_code == HTTPStatus.UNAUTHORIZED:
                    headers = sign_in()
                report.answers[case.operation.label, response.status_code] += 1
                judge(case, response, headers, report)
    return report


def _operations(schema: Any, only: str) -> Iterator[Any]:
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith(only) and not operation.path.endswith(ENDLESS):
            yield operation


def judge(
    case: Any, response: Any, headers: dict[str, str], report: Report, *, changed: bool = False, recorder: Any = None
) -> None:
    """Put every check to an answer, and note breaches. `changed`: values of the request are not those it was made with,
    so that whether it keeps to the document is not known."""
    label, status = case.operation.label, response.status_code
    for check in CHECKS.get_all():
        name = check.__name__
        if _is_beside_the_point(name, response, changed=changed) or (name == "ignored_auth" and label in report.closed):
            continue
        try:
            case.validate_response(
                response, checks=[check], headers=headers, transport_kwargs={"base_url": BASE}, recorder=recorder
            )
        except FailureGroup as group:
            if (name, label) in EXCUSED:
                report.excused.add((name, label))
            else:
                report.breaches.setdefault((label, name, status), f"{group.exceptions[0]}\n{case.as_curl_command()}")
        else:
            if name == "ignored_auth" and status < HTTPStatus.MULTIPLE_CHOICES:
                report.closed.add(label)


def _is_beside_the_point(check: str, response: Any, *, changed: bool) -> bool:
    if check == "negative_data_rejection":
        return changed
    return check == "positive_data_acceptance" and (changed or _is_refused_beyond_schemas(response))


def _is_refused_beyond_schemas(response: Any) -> bool:
    if "problem+json" not in str(response.headers.get("content-type", "")):
        return False
    problem = response.json()
    errors = problem.get("errors") or []
    return problem["type"] in _OF_THE_LAB or (bool(errors) and all(e["msg"].startswith(_OWN_RULE) for e in errors))


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
        judge(case, response, headers, report, changed=known)

    with suppress(Unsatisfiable):  # an operation without parameters cannot be asked wrongly
        ask()


def fill_known(case: Any) -> None:
    """Put names that are there in the place of names."""
    for place in ("path_parameters", "query", "body"):
        part = getattr(case, place)
        if isinstance(part, dict):  # never in place: an example of the document may be the very same object
            setattr(case, place, part | {name: KNOWN[name] for name in part if name in KNOWN})


def send_case(client: TestClient, case: Any, headers: dict[str, str]) -> Any:
    """The answer to one request."""
    asked = case.as_transport_kwargs(base_url=BASE, headers=headers)
    names = ("method", "url", "headers", "files", "data", "json", "params", "cookies")
    request = requests.Request(**{name: asked[name] for name in names if name in asked}).prepare()
    return client.request(str(request.method), str(request.url), headers=dict(request.headers), content=request.body)
