"""Sequences of requests against the service's OpenAPI document: what one answer names, the next requests ask for.

schemathesis finds out which answers lead to which requests (by Location, ids and names in the schemas).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.core.transport import Response
from starlette.testclient import TestClient

from api.access.audit import TERMINAL
from api.access.keys import KeyRequest, make_key
from api.access.roles import Role
from api.access.throttle import Throttle
from tests.test_api.contract import ENDLESS, Report, fill_known, judge, open_document, send_case

_SEQUENCES = 20


def check_sequences(
    client: TestClient, sign_in: Callable[[], dict[str, str]], *, cases: int, steps: int, start: int = 1
) -> Report:
    """Ask sequences of at most `steps` requests until there were `cases`; every second request names what is there.

    sign_in: gives headers with a new key. Sequences revoke keys, their own among them.
    """
    report, machine = Report(), open_document(client).exclude(path_regex=f"{ENDLESS}$").as_state_machine()

    class Asking(machine):  # type: ignore[valid-type, misc]
        """Sends through the client; what breaks the document is noted, and the sequence goes on."""

        def setup(self) -> None:
            self.headers = sign_in()

        def call(self, case: Any, **_: Any) -> Response:
            self.changed = bool(report.cases % 2)
            if self.changed:
                fill_known(case)
            answer = send_case(client, case, self.headers)
            if answer.status_code == HTTPStatus.UNAUTHORIZED:
                self.headers = sign_in()
            report.answers[case.operation.label, answer.status_code] += 1
            return Response.from_any(answer)

        def validate_response(self, response: Response, case: Any, *_: Any, **__: Any) -> None:
            judge(case, response, self.headers, report, changed=self.changed, recorder=self.recorder)

    asked = settings(
        max_examples=_SEQUENCES,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    for number in itertools.count(start):
        seed(number)(Asking)
        # The lab remembers what earlier sequences did, so that none can be asked twice. Nothing of it is lost.
        with suppress(Flaky):
            run_state_machine_as_test(Asking, settings=asked)
        if report.cases >= cases:
            return report
    raise AssertionError("numbers do not end")


def open_throttles(client: TestClient) -> None:
    """Let a service answer as often as it is asked."""
    for name in ("login_throttle", "address_throttle", "export_throttle"):
        setattr(client.app.state, name, Throttle(burst=1_000_000, every_s=0.001))  # type: ignore[attr-defined]


def sign_in_anew(client: TestClient) -> Callable[[], dict[str, str]]:
    """Headers with an admin's key that was not there before."""

    def sign_in() -> dict[str, str]:
        with client.app.state.database.write() as session:  # type: ignore[attr-defined]
            _, token = make_key(session, TERMINAL, KeyRequest(Role.ADMIN))
        return {"Authorization": f"Bearer {token.show()}"}

    return sign_in
