"""Results of a trial made by hand, and kept in a lab as a finished run."""

from __future__ import annotations

import math

import numpy as np

from labsys import __version__
from labsys.core.catalogue import CATALOGUE_VERSION, METRICS, MetricDefinition
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import Z_95, default_error
from labsys.core.motion import (
    AngleSeries,
    AngleSummary,
    EventKind,
    GaitEvent,
    GaitEvents,
    JointAngles,
    Metric,
    MotionResult,
    Quality,
    Stride,
    StrideCurves,
    StrideValues,
)
from labsys.core.provenance import Provenance
from labsys.core.session import (
    TrialName,
)
from labsys.core.skeleton import Side, Tier
from labsys.core.units import Unit, to_inside
from labsys.storage.finished_runs import RunRecord, run_identity
from labsys.storage.lab import Lab
from labsys.storage.results import LANDMARKS3D_FILE, write_landmarks3d, write_motion
from labsys.storage.staged_runs import open_run
from pipelines.trial_inputs import gather_inputs

N_STRIDES = 28
INTERPOLATED_SHARE = 0.0125
# Means in outside units, near what treadmill runners show; every other metric gets the middle of nowhere, 10.
_TYPICAL = {"hip_ext_excursion_stance": 38.0, "cadence": 168.0, "vertical_oscillation": 88.0, "contact_time": 0.24}
_TYPICAL |= {"pelvis_rot_rom": 11.0, "duty_factor": 34.0, "step_time": 0.36, "stride_time": 0.72, "speed": 3.0}
_TYPICAL |= {"hip_ext_pelvis_peak": 12.0, "flight_time": 0.12}
_RELATIVE_SD = 0.04


def make_motion(*, tier: Tier = Tier.T3, shift_deg: float = 0.0, seed: int = 0) -> MotionResult:
    """A running trial of `N_STRIDES` strides per side; `shift_deg` is added to every hip extension metric."""
    rng = np.random.default_rng(seed)
    strides = tuple(_stride(i, side) for side in (Side.LEFT, Side.RIGHT) for i in range(N_STRIDES))
    values = tuple(_stride_values(m, side, shift_deg, rng) for m in METRICS if m.tier <= tier for side in m.sided.sides)
    by_key = {(v.id, v.side): v for v in values}
    metrics = tuple(_metric(m, side, by_key.get((m.id, side)), tier) for m in METRICS for side in m.sided.sides)
    times = np.arange(200) / 100.0
    hip = np.radians(10.0 + 20.0 * np.sin(2 * np.pi * times / 0.72))
    series = tuple(AngleSeries("hip_flexion", side, hip, hip) for side in (Side.LEFT, Side.RIGHT))
    events = GaitEvents(tuple(GaitEvent(EventKind.FOOT_STRIKE, s.side, s.foot_strike_s) for s in strides), 3.0, 0.72)
    return MotionResult(
        tier=tier,
        angles=JointAngles(times, series),
        summaries=tuple(_summary(s) for s in series),
        events=events,
        strides=strides,
        stride_values=values,
        curves=tuple(_curves(side, rng) for side in (Side.LEFT, Side.RIGHT)),
        metrics=metrics,
        findings=(),
        notes={},
    )


def make_static() -> MotionResult:
    """A standing trial: angles, and nothing that needs strides."""
    times = np.arange(100) / 100.0
    series = (AngleSeries("hip_flexion", Side.LEFT, np.full(100, 0.1), np.full(100, np.nan)),)
    return MotionResult(
        Tier.T3, JointAngles(times, series), tuple(_summary(s) for s in series), None, (), (), (), (), (), {}
    )


def _stride(index: int, side: Side) -> Stride:
    start = 0.72 * index + (0.36 if side is Side.RIGHT else 0.0)
    return Stride(index, side, start, start + 0.24, start + 0.72, start + 0.36)


def _stride_values(metric: MetricDefinition, side: Side, shift_deg: float, rng: np.random.Generator) -> StrideValues:
    mean = to_inside(_TYPICAL.get(metric.id, 10.0), metric.unit)
    if metric.id.startswith("hip_ext") and metric.unit is Unit.DEG:
        mean += math.radians(shift_deg)
    values = mean * (1.0 + _RELATIVE_SD * rng.standard_normal(N_STRIDES))
    return StrideValues(metric.id, side, tuple(range(N_STRIDES)), values)


def _metric(definition: MetricDefinition, side: Side, values: StrideValues | None, tier: Tier) -> Metric:
    nan = math.nan
    if values is None:
        reason = f"needs landmarks of tier {definition.tier.name}, these are {tier.name}"
        return Metric(
            definition.id, side, nan, nan, 0, nan, (nan, nan), nan, nan, "", (nan, nan), Quality.OK, False, reason
        )
    mean, sd = float(values.values.mean()), float(values.values.std(ddof=1))
    error = default_error(definition.id, tier)
    se = sd / math.sqrt(N_STRIDES)
    half = Z_95 * math.hypot(se, error.sem) if error else nan
    return Metric(
        id=definition.id,
        side=side,
        mean=mean,
        sd=sd,
        n=N_STRIDES,
        lag1=0.2,
        ci95_strides=(mean - Z_95 * se, mean + Z_95 * se),
        se_reconstruction=nan,
        sem_measurement=error.sem if error else nan,
        sem_source=error.source if error else "",
        ci95=(mean - half, mean + half),
        quality=Quality.OK,
        provisional=error is not None,
        interpolated_share=INTERPOLATED_SHARE,
    )


def _summary(series: AngleSeries) -> AngleSummary:
    raw = series.raw_rad
    return AngleSummary(
        series.id, series.side, float(raw.mean()), float(raw.std()), float(raw.min()), float(raw.max()), raw.size, False
    )


def _curves(side: Side, rng: np.random.Generator) -> StrideCurves:
    shape = np.radians(10.0 + 20.0 * np.cos(np.linspace(0.0, 2.0 * np.pi, 101)))
    noise = np.radians(1.0) * rng.standard_normal((N_STRIDES, 1))
    return StrideCurves("hip_flexion", side, tuple(range(N_STRIDES)), shape + noise)


def save_run(
    lab: Lab,
    name: TrialName,
    motion: MotionResult,
    *,
    started_at: str,
    not_for_comparison: str | None = None,
    **made: str,
) -> str:
    """Store a finished run of a trial, as the pipeline would; returns its name."""
    inputs = gather_inputs(lab, name)
    parameters = {**inputs.facts, "reconstruct.rule": made.get("rule", "robust")}
    run = run_identity(inputs.hashes, {**parameters, "name": str(name)}, __version__)
    provenance = Provenance(
        version=__version__,
        definition_version=CATALOGUE_VERSION,
        inputs=inputs.hashes,
        parameters=parameters,
        model=made.get("model", "trc"),
        calibration=inputs.take.calibration,
        static=inputs.static.trial if inputs.static else "",
        started_at=started_at,
        seconds={"analyse": 1.5},
    )
    times = motion.angles.times_s
    landmarks = Landmarks3D.from_positions(("RHJC", "LHJC"), times, np.zeros((times.size, 2, 3)))
    with open_run(lab, name, run) as staged:
        write_landmarks3d(staged.folder / LANDMARKS3D_FILE, landmarks)
        staged.complete("reconstruct", [LANDMARKS3D_FILE])
        staged.complete("analyse", write_motion(staged.folder, motion))
        staged.finish(RunRecord(run, provenance, not_for_comparison))
    return run
