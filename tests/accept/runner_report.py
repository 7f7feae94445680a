"""What many synthetic runners say together: bias and error per metric, events per strike, error between visits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labsys.core.catalogue import METRICS, MetricDefinition
from labsys.core.motion import EventKind
from pipelines.synthetic.parameters import Strike
from tests.accept.document import measured_at, write_section
from tests.accept.runner_study import DLC, NOTHING, WHITE, Answer

_DIGITS = {"mm": 1, "s": 4, "none": 3, "m/s": 3}


def write_report(answers: Sequence[Answer]) -> None:
    """The section of docs/accuracy.md."""
    seeds = {a.seed for a in answers}
    refused = [a for a in answers if a.refused]
    lines = [
        "## Every metric on runners of other seeds",
        "",
        measured_at(),
        "",
        f"{len(seeds)} of the study's 200 runners (speed 2.2-5 m/s, all strikes, bodies that deviate, stickers 3-8 mm "
        "off), none of whom any default was looked at with; 4 cameras, 100 Hz, 12 s. Measured minus true mean over the "
        "same strides. Between visits: standard deviation of one visit, from two visits of every runner with stickers "
        "placed again and other errors of detection, the motion being the same. "
        f"Runners: {_counts(answers)}. Trials refused: {len(refused)} of {len(answers)}. Figures of twenty runners "
        "that were measured before definitions changed (docs/adr/0015) are of version 1.",
        "",
        "| metric | unit | no noise: bias | RMSE | white 1 px: bias | RMSE | dlc_like: bias | SD between runners "
        "| RMSE | between visits |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_metric_row(answers, m) for m in METRICS),
        "",
        "| event | strike | noise | events | not found | mean ms | RMSE ms | largest ms |",
        "|---|---|---|---|---|---|---|---|",
        *(_event_row(answers, k, s, n) for k in EventKind for s in Strike for n in (NOTHING, WHITE, DLC)),
    ]
    write_section("runner study", lines)


def _counts(answers: Sequence[Answer]) -> str:
    """How many runners each kind of noise has: pieces of the study may be of different lengths."""
    seeds = {noise: {a.seed for a in answers if a.noise == noise and a.visit == 0} for noise in (NOTHING, WHITE, DLC)}
    twice = seeds[DLC] & {a.seed for a in answers if a.noise == DLC and a.visit == 1}
    return ", ".join(f"{noise} {len(found)}" for noise, found in seeds.items()) + f", {len(twice)} of them twice"


def errors_of(answers: Sequence[Answer], metric_id: str, noise: str) -> np.ndarray:
    """Errors of all runners and sides in first visits, outside units."""
    own = [a.errors.get(metric_id, []) for a in answers if a.noise == noise and a.visit == 0]
    return np.concatenate([np.array(e) for e in own]) if own else np.empty(0)


def session_sem(answers: Sequence[Answer], metric_id: str) -> float:
    """Standard error of one visit from pairs of visits of the same motion, outside units."""
    visits: dict[str, dict[int, float]] = {}
    for a in answers:
        for key, mean in a.means.items():
            if a.noise == DLC and key.startswith(f"{metric_id}, "):
                visits.setdefault(f"{a.seed} {key}", {})[a.visit] = mean
    pairs = np.array([v[1] - v[0] for v in visits.values() if len(v) == 2])
    return float(np.sqrt(np.mean(pairs**2) / 2.0)) if pairs.size else float("nan")


def event_errors_ms(answers: Sequence[Answer], kind: EventKind, strike: Strike | None, noise: str) -> np.ndarray:
    """Errors of all events, NaN where none was found."""
    own = [a for a in answers if a.noise == noise and not a.refused and (strike is None or a.strike == strike.value)]
    return np.array([np.nan if e is None else e for a in own for e in a.events_ms.get(kind.value, [])], dtype=float)


def _metric_row(answers: Sequence[Answer], m: MetricDefinition) -> str:
    digits = _DIGITS.get(m.unit.value, 2)
    clean, white, noisy = (errors_of(answers, m.id, noise) for noise in (NOTHING, WHITE, DLC))
    by_runner = [np.mean(a.errors[m.id]) for a in answers if a.noise == DLC and a.visit == 0 and m.id in a.errors]
    between = float(np.std(by_runner, ddof=1)) if len(by_runner) > 1 else float("nan")
    cells = [
        *(_mean(clean, digits), _number(_rms(clean), digits)),
        *(_mean(white, digits), _number(_rms(white), digits)),
        *(_mean(noisy, digits), _number(between, digits), _number(_rms(noisy), digits)),
        _number(session_sem(answers, m.id), digits),
    ]
    return f"| `{m.id}` | {m.unit.value} | " + " | ".join(cells) + " |"


def _mean(errors: np.ndarray, digits: int) -> str:
    return f"{errors.mean():+.{digits}f}" if errors.size else "–"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


def _event_row(answers: Sequence[Answer], kind: EventKind, strike: Strike, noise: str) -> str:
    errors = event_errors_ms(answers, kind, strike, noise)
    found = errors[np.isfinite(errors)]
    start = f"| {kind.value} | {strike.value} | {noise} | {errors.size} | {errors.size - found.size} "
    if not found.size:
        return start + "| – | – | – |"
    return start + f"| {found.mean():+.1f} | {_rms(found):.1f} | {np.abs(found).max():.1f} |"


def _rms(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2))) if errors.size else float("nan")
