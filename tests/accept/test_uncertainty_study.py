"""How often 95 % intervals hold the truth, into docs/accuracy.md.

Long: run by `make accept`.
"""

from __future__ import annotations

import pytest

from tests.accept.uncertainty import Held, NotReached, judge_share
from tests.accept.uncertainty_report import by_case, pooled, write_report
from tests.accept.uncertainty_study import CALIBRATED, EXACT, study

# Where 93-97 % is asked for and not reached yet, with the share that was measured instead; see `judge_share`.
_NOT_REACHED = {
    ("3D points", "white 1 px"): NotReached(
        (0.97, 0.99),
        "limbs of rigid segments leave less error than the posterior says; a calibration that fits worse than its "
        "covariance expects is charged to the pixels as well",
    ),
}


@pytest.fixture(scope="module")
def held() -> list[Held]:
    return list(study(range(len(CALIBRATED) + len(EXACT))))


def test_intervals_hold_the_truth(held: list[Held]) -> None:
    write_report(held)
    wrong, known = [], []
    for (name, calibrated), rows in by_case(held).items():
        for what, (mean, se) in pooled(rows).items():
            expected = _NOT_REACHED.get((what, name))
            said = judge_share(mean, se, expected) if calibrated else ""
            if said:
                wrong.append(f"{what} under {name}: {said}")
            elif calibrated and expected is not None:
                known.append(f"{what} under {name} ({expected.why})")
    assert not wrong, wrong
    if known:
        pytest.xfail("; ".join(known))
