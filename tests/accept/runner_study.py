"""Many synthetic runners on whom nothing was tuned, seed by seed: what a piece of the study measures and keeps.

The whole study is `make accept`. It also runs in pieces, side by side, and pieces are put together afterwards:

    python -m tests.accept.runner_study 1 50 pieces/a.jsonl &
    python -m tests.accept.runner_study 51 100 pieces/b.jsonl &
    python -m tests.accept.runner_study --write pieces/*.jsonl
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labsys.core.catalogue import METRICS, find_metric
from labsys.core.errors import InputError
from labsys.core.motion import EventKind
from labsys.core.units import to_outside_array
from pipelines.synthetic.noise import NoiseModel
from pipelines.synthetic.parameters import RunnerParameters, Strike
from tests.accept.accuracy import Measured, event_errors_s, measure, metric_errors
from tests.accept.pieces import read_pieces, run_piece

NOTHING, WHITE, DLC = "none (landmarks as placed)", "white 1 px", "dlc_like"
# Of dlc_like two visits are measured, with stickers placed again: their difference is the session's error.
CASES: tuple[tuple[str, NoiseModel | None, int], ...] = (
    (NOTHING, None, 0),
    (WHITE, NoiseModel.white(1.0), 0),
    (DLC, NoiseModel.dlc_like(), 0),
    (DLC, NoiseModel.dlc_like(), 1),
)


@dataclass(frozen=True)
class Answer:
    """One runner under one kind of noise.

    Attributes:
        errors: metric id -> measured minus true mean of every side, outside units.
        means: "metric id, side" -> measured mean, outside units, of metrics in degrees.
        events_ms: event -> found minus true times; None where none was found.
        refused: why the trial was not analysed, or "".
    """

    seed: int
    noise: str
    visit: int
    strike: str
    speed_mps: float
    errors: dict[str, list[float]]
    means: dict[str, float]
    events_ms: dict[str, list[float | None]]
    refused: str = ""


def runner_for(seed: int) -> RunnerParameters:
    """Speed 2.2 to 5 m/s, strike and style; other draws than those that any default was looked at with."""
    rng = np.random.default_rng([seed, 7_411])
    return RunnerParameters(
        speed_mps=float(rng.uniform(2.2, 5.0)),
        strike=list(Strike)[int(rng.integers(3))],
        hip_extension_cap_rad=math.radians(rng.uniform(4.0, 12.0)) if rng.uniform() < 0.5 else None,
        lumbar_gain=float(rng.uniform(0.0, 1.0)),
        trunk_lean_rad=math.radians(rng.uniform(3.0, 10.0)),
        height_m=float(rng.uniform(1.58, 1.92)),
    )


def study(seeds: Sequence[int]) -> Iterator[Answer]:
    """All cases of every runner."""
    for seed in seeds:
        for name, noise, visit in CASES:
            yield answer(seed, name, noise, visit)


def answer(seed: int, name: str, noise: NoiseModel | None, visit: int) -> Answer:
    """One case of one runner."""
    runner = runner_for(seed)
    known = (seed, name, visit, runner.strike.value, runner.speed_mps)
    try:
        measured = measure(runner, noise, seed=seed, visit=visit)
    except InputError as error:
        return Answer(*known, {}, {}, {}, str(error))
    return Answer(*known, _errors(measured), _means(measured), _events(measured))


def _errors(measured: Measured) -> dict[str, list[float]]:
    found = {m.id: to_outside_array(metric_errors(measured, m.id), m.unit).tolist() for m in METRICS}
    return {metric_id: errors for metric_id, errors in found.items() if errors}


def _means(measured: Measured) -> dict[str, float]:
    return {
        f"{m.id}, {m.side}": m.mean * find_metric(m.id).unit.factor
        for m in measured.motion.metrics
        if math.isfinite(m.mean) and not find_metric(m.id).derived_from
    }


def _events(measured: Measured) -> dict[str, list[float | None]]:
    errors = {kind: 1e3 * event_errors_s(measured, kind) for kind in EventKind}
    return {kind.value: [None if math.isnan(e) else float(e) for e in found] for kind, found in errors.items()}


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    if arguments[0] == "--write":
        from tests.accept.runner_report import write_report

        write_report(read_pieces([Path(a) for a in arguments[1:]], Answer, lambda a: (a.seed, a.noise, a.visit)))
        return
    run_piece(arguments, study)


if __name__ == "__main__":
    main(sys.argv[1:])
