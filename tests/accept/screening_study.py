"""Runners with and without a deficit of hip extension, one by one: what the rules say of them, seen and in truth.

The whole study is `make accept`. It also runs in pieces, and pieces are put together afterwards:

    python -m tests.accept.screening_study 200 247 pieces/a.jsonl
    python -m tests.accept.screening_study --write pieces/*.jsonl
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labsys.core.catalogue import find_metric
from labsys.core.measurement_error import default_error
from labsys.core.motion import EventKind, Metric, MotionResult, Quality
from labsys.core.skeleton import Side, Tier
from labsys.core.units import to_inside, to_outside
from pipelines.screening_file import shipped_rules
from pipelines.synthetic.trial import SyntheticTrial
from tests.accept.accuracy import Measured, event_errors_s
from tests.accept.pieces import read_pieces, run_piece
from tests.accept.screening import (
    SIDES,
    Answers,
    analyse_noisy,
    answers_of,
    answers_to,
    runner_for,
    runner_with,
    true_answers,
)

DEFICIT_RAD = math.radians(8.0)
NOISE_M = 0.005
_UNKNOWN = (math.nan, math.nan)
RULES = shipped_rules()
# "again" is a second look at the plain runner: what changes between the two is noise alone.
PLAIN, AGAIN, SHORT = "plain", "again", "short"
# What the rules look at, per side, without what is right against left.
MEASURES = tuple(
    dict.fromkeys(m for r in RULES.rules for measure in r.measures for m in measure.metrics if not m.endswith("_asym"))
)


@dataclass(frozen=True)
class Screened:
    """One runner.

    Attributes:
        seen, truth: condition -> "rule, side" -> status; truth is of true values known without any error.
        values, true_values: condition -> "metric, side" -> mean, outside units.
        strides: condition -> strides that count on the side with fewer.
        strikes_ms: condition -> mean of found minus true foot strikes.
    """

    seed: int
    speed_mps: float
    strike: str
    seen: dict[str, dict[str, str]]
    truth: dict[str, dict[str, str]]
    values: dict[str, dict[str, float]]
    true_values: dict[str, dict[str, float]]
    strides: dict[str, int]
    strikes_ms: dict[str, float]


def screen_runner(seed: int) -> Screened:
    """All conditions of one runner under white noise of 5 mm on every axis of every landmark, static alike."""
    runner = runner_with(seed, DEFICIT_RAD)
    trials = {PLAIN: runner.plain, AGAIN: runner.plain, SHORT: runner.short}
    speed = runner.plain.parameters.speed_mps
    motions = {c: analyse_noisy(t, runner.still, NOISE_M, 10 * seed + i) for i, (c, t) in enumerate(trials.items())}
    return Screened(
        seed=seed,
        speed_mps=speed,
        strike=runner_for(seed).strike.value,
        seen={c: _statuses(answers_of(m, speed, RULES)) for c, m in motions.items()},
        truth={c: _statuses(true_answers(t, RULES)) for c, t in trials.items()},
        values={c: _means(m) for c, m in motions.items()},
        true_values={c: _means(t) for c, t in trials.items()},
        strides={c: min(m.n_strides(s) for s in SIDES) for c, m in motions.items()},
        strikes_ms={c: _strikes_ms(trials[c], m) for c, m in motions.items()},
    )


def _statuses(answers: Answers) -> dict[str, str]:
    return {f"{rule}, {side}": finding.status.value for (rule, side), finding in answers.items()}


def _means(found: MotionResult | SyntheticTrial) -> dict[str, float]:
    return {
        f"{m.id}, {m.side}": to_outside(m.mean, find_metric(m.id).unit)
        for m in found.metrics
        if m.id in MEASURES and math.isfinite(m.mean)
    }


def _strikes_ms(trial: SyntheticTrial, motion: MotionResult) -> float:
    return 1e3 * float(np.nanmean(event_errors_s(Measured(trial, motion), EventKind.FOOT_STRIKE)))


def statuses_of_means(means: Mapping[str, float], speed_mps: float) -> dict[str, str]:
    """What the rules say of "metric, side" -> mean, outside units, of unknown error: nothing is flagged."""
    keys = {key: tuple(key.split(", ")) for key in means}
    metrics = tuple(
        Metric(
            id=metric_id,
            side=Side(side),
            mean=to_inside(means[key], find_metric(metric_id).unit),
            sd=math.nan,
            n=25,
            lag1=0.0,
            ci95_strides=_UNKNOWN,
            se_reconstruction=math.nan,
            sem_measurement=default.sem if (default := default_error(metric_id, Tier.T3)) else math.nan,
            sem_source="",
            ci95=_UNKNOWN,
            quality=Quality.OK,
            provisional=True,
        )
        for key, (metric_id, side) in keys.items()
    )
    return _statuses(answers_to(metrics, (), speed_mps, RULES))


def study(seeds: Sequence[int]) -> Iterator[Screened]:
    """Every runner in turn."""
    yield from (screen_runner(seed) for seed in seeds)


def sides_of(runner: Screened, rule: str) -> tuple[Side, ...]:
    """The sides that a rule answers for."""
    return SIDES if f"{rule}, {Side.LEFT}" in runner.seen[PLAIN] else (Side.BOTH,)


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    if arguments[0] == "--write":
        from tests.accept.screening_report import write_report

        write_report(read_pieces([Path(a) for a in arguments[1:]], Screened, lambda s: s.seed))
        return
    run_piece(arguments, study)


if __name__ == "__main__":
    main(sys.argv[1:])
