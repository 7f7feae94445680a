"""The truth of a trial as JSON in the shape of `labsys show --json`: outside units, null where there is nothing."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from labsys.core.catalogue import find_angle, find_metric
from labsys.core.motion import AngleSeries, Metric
from labsys.core.session import TrialKind
from labsys.core.skeleton import Side, Tier
from labsys.core.units import Unit, millimetres, to_outside
from pipelines.synthetic.noise import NoiseModel
from pipelines.synthetic.trial import SyntheticTrial


def truth_document(trial: SyntheticTrial, *, what: str, noise: NoiseModel | None) -> dict[str, Any]:
    """Everything that is true of a trial. `what`: the kind of files beside it; `noise`: what spoils them."""
    gait = trial.kind in (TrialKind.RUN, TrialKind.WALK)
    return {
        "trial": None,
        "run": "truth",
        "tier": Tier.T3.name,
        "kind": trial.kind.value,
        "surface": "treadmill" if gait else None,
        "speed_mps": trial.parameters.speed_mps if gait else None,
        "incline_pct": 0.0,
        "rate_hz": round(trial.landmarks.rate_hz, 6),
        "n_frames": int(trial.landmarks.times_s.size),
        "n_strides": {s.value: sum(x.side is s for x in trial.strides) for s in (Side.LEFT, Side.RIGHT)},
        "angles": [_angle(a) for a in trial.angles.series],
        "metrics": [_metric(m) for m in trial.metrics],
        "findings": [],
        "not_for_comparison": None,
        "provenance": {"version": "synthetic", "model": "synthetic truth", "calibration": None},
        "synthetic": _making(trial, what, noise),
    }


def _making(trial: SyntheticTrial, what: str, noise: NoiseModel | None) -> dict[str, Any]:
    events = () if trial.events is None else trial.events.events
    return {
        "what": what,
        "noise": None if noise is None else asdict(noise),
        "seed": trial.seed,
        "visit_seed": trial.visit_seed,
        "parameters": asdict(trial.parameters),
        "leg_length_mm": millimetres(trial.leg_length_m),
        "events": [{"kind": e.kind.value, "side": e.side.value, "time_s": e.time_s} for e in events],
    }


def _angle(series: AngleSeries) -> dict[str, Any]:
    unit = find_angle(series.id).unit
    referenced = bool(np.isfinite(series.ref_rad).all())
    values = series.ref_rad if referenced else series.raw_rad
    return {
        "id": series.id,
        "side": series.side.value,
        "unit": unit.value,
        "mean": _outside(float(values.mean()), unit),
        "sd": _outside(float(values.std(ddof=1)) if values.size > 1 else math.nan, unit),
        "min": _outside(float(values.min()), unit),
        "max": _outside(float(values.max()), unit),
        "n": int(values.size),
        "referenced": referenced,
        "reason": None,
    }


def _metric(metric: Metric) -> dict[str, Any]:
    unit = find_metric(metric.id).unit
    return {
        "id": metric.id,
        "side": metric.side.value,
        "unit": unit.value,
        "mean": _outside(metric.mean, unit),
        "sd": _outside(metric.sd, unit),
        "n": metric.n,
        "ci95": None,
        "ci95_strides": None,
        "se_reconstruction": 0.0,
        "sem_measurement": None,
        "sem_source": None,
        "lag1": metric.lag1,
        "quality": metric.quality.value,
        "provisional": metric.provisional,
        "interpolated_share": metric.interpolated_share if metric.n else None,
        "reason": metric.reason,
    }


def _outside(value: float, unit: Unit) -> float | None:
    return to_outside(value, unit) if math.isfinite(value) else None
