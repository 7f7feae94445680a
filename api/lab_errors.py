"""The measurement error that counts in a lab: its own where it was learnt, else the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from labsys.core.catalogue import METRICS, find_metric
from labsys.core.errors import InputError
from labsys.core.learnt_error import LearntErrors
from labsys.core.measurement_error import ErrorTable, default_error_table
from labsys.core.skeleton import Tier
from labsys.core.units import to_inside
from labsys.longitudinal import Plan, plan_captures
from labsys.storage.lab import Lab
from labsys.storage.reliability import current_reliability, load_reliability


@cache
def default_errors() -> ErrorTable:
    """The defaults of all metrics."""
    return default_error_table(tuple(metric.id for metric in METRICS))


def lab_errors(lab: Lab) -> ErrorTable:
    """What this lab learnt, over the defaults (InputError where its file cannot be read)."""
    name = current_reliability(lab)
    return _learnt_table(lab.root, name, lab) if name is not None else default_errors()


def learnt_errors(lab: Lab) -> tuple[str, LearntErrors] | None:
    """Name and content of what this lab learnt and what counts now, or None before the first."""
    name = current_reliability(lab)
    return None if name is None else (name, load_reliability(lab, name))


@dataclass(frozen=True)
class MetricPlan:
    """A plan for one metric, and what its error rests on."""

    metric: str
    tier: Tier
    plan: Plan


def plan_for(lab: Lab, metric: str, change: float, tier: Tier) -> MetricPlan:
    """How many captures per visit see a change, in the unit that people see.

    Raises:
        UnknownNameError: no such metric. InputError: its error is unknown, or the tier cannot give it.
    """
    definition = find_metric(metric)
    if tier < definition.tier:
        raise InputError(f"{metric} needs landmarks of tier {definition.tier.name}, not {tier.name}")
    error = lab_errors(lab).find(metric, tier)
    if error is None:
        raise InputError(
            f"the error of {metric} is unknown",
            remedy="Record repeats (10 people twice, nothing done between), then 'labsys reliability --save'",
        )
    learnt = learnt_errors(lab)
    rows = learnt[1].current_rows if learnt is not None else ()
    noise = next((r.strides_variance for r in rows if (r.metric, r.tier, r.band) == (metric, tier, None)), 0.0)
    found = plan_captures(error, to_inside(change, definition.unit), strides_variance=noise)
    return MetricPlan(metric, tier, found)


@lru_cache(maxsize=8)
def _learnt_table(_root: Path, name: str, lab: Lab) -> ErrorTable:
    # Files of this folder are written once, so a name stands for its content.
    return load_reliability(lab, name).table(default_errors(), name=name)
