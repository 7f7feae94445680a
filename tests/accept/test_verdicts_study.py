"""Twenty thousand pairs without true change, and power with one, into docs/accuracy.md.

Long: run by `make accept`; about a minute of processor time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from labsys.core.catalogue import METRICS, ErrorGroup
from labsys.core.measurement_error import SessionError
from labsys.longitudinal import plan_captures
from tests.accept.document import measured_at, write_section
from tests.accept.verdicts import SEM, Floats, PageRates, goal_rates, page_rates, power

PEOPLE = (10, 20, 40)
N_PAIRS = 20_000
# Labs and pairs of each; where rows correlate every lab's level is simulated, so that there are fewer labs.
LABS = {True: (200, 100), False: (50, 400)}
# Every row of a page at T3: a lab that learnt its errors from repeats knows that of every metric.
ROWS = [(m.id, m.error_group, s) for m in METRICS for s in m.sided.sides]
# Two sides of a metric, metrics of one error group, and all others. Chosen: no lab's repeats are on file yet.
SAME_METRIC, SAME_GROUP, OTHERS = 0.6, 0.4, 0.1


def correlation(independent: bool) -> Floats:
    """True correlation of the session errors of all rows."""

    def of(a: tuple[str, ErrorGroup, object], b: tuple[str, ErrorGroup, object]) -> float:
        if a is b:
            return 1.0
        if independent:
            return 0.0
        return SAME_METRIC if a[0] == b[0] else SAME_GROUP if a[1] is b[1] else OTHERS

    return np.array([[of(a, b) for b in ROWS] for a in ROWS])


@pytest.fixture(scope="module")
def report() -> Iterator[list[str]]:
    lines: list[str] = []
    yield lines
    if len(lines) == 3:
        write_section("verdicts", [*_head(), *lines])


def test_goals_without_true_change(report: list[str]) -> None:
    rates = {n: goal_rates(n, n_pairs=N_PAIRS, seed=n) for n in PEOPLE}
    report.append(_goal_table(rates))
    for people, found in rates.items():
        assert 0.04 <= found["t"] <= 0.065, f"{people} people: {found['t']:.3f}"
        assert found["strides"] > 0.8, "why strides are not independent samples"


def test_whole_pages_without_true_change(report: list[str]) -> None:
    rates = {
        (people, goals, independent): page_rates(
            [row[0] for row in ROWS],
            correlation(independent),
            people=people,
            n_goals=goals,
            learn_correlation=not independent,
            n_labs=LABS[independent][0],
            pairs_per_lab=LABS[independent][1],
            seed=100 * people + goals,
        )
        for people in PEOPLE
        for goals in (0, 1, 3)
        for independent in (True, False)
    }
    report.append(_page_table(rates))
    for case, found in rates.items():
        assert found.any_row <= 0.10, f"{case}: {found.any_row:.4f} of the pages"
        assert found.any_goal <= 0.065, f"{case}: {found.any_goal:.4f} of the pages"


def test_power_of_one_and_two_captures(report: list[str]) -> None:
    cases = [(1, 0.3), (2, 0.5), (2, 0.3), (2, 0.0)]
    rates = {
        (k, d, c): power(c, n_captures=k, day_share=d, n_pairs=N_PAIRS, seed=1) for k, d in cases for c in (5.0, 8.0)
    }
    report.append(_power_table(rates))
    for (k, day_share, change), found in rates.items():
        assert found == pytest.approx(_planned(k, day_share, change), abs=0.015), f"{k} captures, {change} deg"


def _planned(k: int, day_share: float, change: float) -> float:
    """What `labsys reliability --plan` says of the same case."""
    rest = SEM**2 * (1.0 - day_share)
    error = SessionError(0.2 * rest, 0.8 * rest, SEM**2 * day_share, "lab")
    plan = plan_captures(error, change, strides_variance=0.104)
    return next(o.power for o in plan.options if o.n_captures == k and o.replaced is (k > 1))


def _detectable(k: int, day_share: float) -> float:
    rest = SEM**2 * (1.0 - day_share)
    plan = plan_captures(SessionError(0.2 * rest, 0.8 * rest, SEM**2 * day_share, "lab"), 5.0, strides_variance=0.104)
    return next(o.detectable for o in plan.options if o.n_captures == k and o.replaced is (k > 1))


def _head() -> list[str]:
    return [
        "## Verdicts on change",
        "",
        measured_at(),
        "",
        f"{N_PAIRS:,} simulated pairs of visits per figure: session SEM 2.5°, stride SD 1.5°, 40 strides with "
        "lag-1 r 0.3, one "
        "capture per visit. The SEM is learnt anew for every pair (for whole pages: for every one of 200 labs, 50 "
        "where rows correlate) from so many people measured twice with nothing done between. The formulas are the "
        "product's, over arrays; a test holds both together.",
        "",
    ]


def _goal_table(rates: dict[int, dict[str, float]]) -> str:
    lines = [
        "One declared goal, nothing changed: called larger than error (asked for: at most 6.5 %). Beside it the normal "
        "quantile in place of Student's t, and a t-test over strides, which takes two recordings of one "
        "person for 80 people.",
        "",
        "| SEM learnt from | labsys | 1.96 in place of t | t-test over strides |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {n} people | {100 * r['t']:.1f} % | {100 * r['normal']:.1f} % | {100 * r['strides']:.0f} % |"
        for n, r in rates.items()
    ]
    return "\n".join([*lines, ""])


def _page_table(rates: dict[tuple[int, int, bool], PageRates]) -> str:
    lines = [
        f"Whole pages of {len(ROWS)} rows (all {len(METRICS)} metrics, both sides where they have sides), nothing "
        "changed: pages that show any row larger than error (asked for: at most "
        "10 %), and pages on which a goal does (6.5 %). Row errors are independent, or correlate by 0.6 "
        "between the sides of "
        "a metric, 0.4 within an error group and 0.1 otherwise; the correlation is then learnt from the same people.",
        "",
        "| SEM learnt from | goals | row errors | any row | any goal | level per row, median |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {people} people | {goals} | {'independent' if independent else 'correlated'} | {100 * r.any_row:.1f} % | "
        f"{f'{100 * r.any_goal:.1f} %' if goals else '–'} | {r.level:.5f} |"
        for (people, goals, independent), r in rates.items()
    ]
    return "\n".join([*lines, ""])


def _power_table(rates: dict[tuple[int, float, float], float]) -> str:
    lines = [
        "Power: pairs in which a true change is called, one declared goal, SEM 2.5° known, stickers "
        "re-placed before every "
        "capture; and the change that 80 % of pairs call. Asked for are 80 % at 5° with two captures, or the "
        "smallest detectable "
        "change: 80 % needs a single-capture SEM of 1.4° where half of SEM² is the day's and 1.75° where nothing is.",
        "",
        "| captures per visit | share of the day in SEM² | 5° | 8° | detectable |",
        "|---|---|---|---|---|",
    ]
    for k, d in dict.fromkeys((k, d) for k, d, _ in rates):
        five, eight = (100 * rates[k, d, c] for c in (5.0, 8.0))
        lines.append(f"| {k} | {100 * d:.0f} % | {five:.0f} % | {eight:.0f} % | {_detectable(k, d):.1f}° |")
    return "\n".join(lines)
