"""How far measured angles, events and metrics are from the truth of synthetic runners.

Shared by the short and the long suite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labsys.biomechanics.analyse import analyse_motion
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.cameras import Calibration
from labsys.core.catalogue import METRICS
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import default_error_table
from labsys.core.motion import EventKind, GaitEvents, MotionResult
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side
from pipelines.config import PipelineConfig
from pipelines.reconstruct import reconstruct
from pipelines.synthetic.noise import NoiseModel, observe
from pipelines.synthetic.parameters import RunnerParameters, Strike
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial

# The question labsys was made for: angle, side(s), metric that clinicians read.
ANGLES_JUDGED = (
    ("hip_flexion", (Side.LEFT, Side.RIGHT)),
    ("pelvis_rotation", (Side.BOTH,)),
    ("lumbar_extension", (Side.BOTH,)),
)
METRICS_JUDGED = (
    "hip_ext_pelvis_peak",
    "hip_ext_excursion_stance",
    "pelvis_rot_rom",
    "lumbar_ext_at_peak_hip_ext",
)
N_CAMERAS, RATE_HZ, SECONDS = 4, 100.0, 12.0
_EDGE_S = 1.0  # filters need a run-up at both ends


@dataclass(frozen=True, eq=False)
class Measured:
    """A trial, and what labsys made of it."""

    trial: SyntheticTrial
    motion: MotionResult


def runner_for(seed: int) -> RunnerParameters:
    """Speed, strike and style of a runner that no default was tuned to."""
    rng = np.random.default_rng([seed, 90210])
    cap = math.radians(rng.uniform(4.0, 12.0)) if rng.uniform() < 0.5 else None
    return RunnerParameters(
        speed_mps=float(rng.uniform(2.4, 4.2)),
        strike=list(Strike)[seed % 3],
        hip_extension_cap_rad=cap,
        lumbar_gain=float(rng.uniform(0.0, 1.0)),
        trunk_lean_rad=math.radians(rng.uniform(3.0, 10.0)),
        height_m=float(rng.uniform(1.58, 1.92)),
    )


def measure(
    parameters: RunnerParameters,
    noise: NoiseModel | None,
    *,
    seed: int,
    settings: AnalysisSettings | None = None,
    rate_hz: float = RATE_HZ,
    seconds: float = SECONDS,
    kind: TrialKind = TrialKind.RUN,
    visit: int = 0,
) -> Measured:
    """Make, see, reconstruct and analyse one trial and its static. noise None: the landmarks themselves.

    visit: another one is the same runner with stickers placed again and other errors of detection.
    """
    placed = seed + 100_000 * visit
    trial, static = (
        make_trial(parameters, kind=k, seconds=s, rate_hz=rate_hz, seed=seed, visit_seed=placed)
        for k, s in ((kind, seconds), (TrialKind.STATIC, 5.0))
    )
    seen = [_seen(t, noise, placed + i) for i, t in enumerate((trial, static))]
    motion = analyse_motion(
        seen[0],
        static=seen[1],
        kind=kind,
        surface=Surface.TREADMILL,
        declared_speed_mps=parameters.speed_mps,
        heading_known=True,
        settings=settings or PipelineConfig().analyse,
        errors=default_error_table(tuple(m.id for m in METRICS)),
        leg_length_m=None,
        height_m=parameters.height_m,
    )
    return Measured(trial, motion)


def _seen(trial: SyntheticTrial, noise: NoiseModel | None, seed: int) -> Landmarks3D:
    if noise is None:
        return trial.landmarks
    rig, config = make_rig(N_CAMERAS), PipelineConfig().reconstruct
    return reconstruct(
        observe(trial, rig, noise, seed),
        Calibration(rig, source="synthetic"),
        rule=config.rule,
        min_likelihood=config.min_likelihood,
        max_error_px=config.max_error_px,
        min_cameras=config.min_cameras,
    )


def angle_errors_deg(measured: Measured, angle_id: str, sides: Sequence[Side], *, reported: bool = True) -> np.ndarray:
    """Measured minus true, inner samples of all sides, deg. reported: against standing where that is the zero."""
    times = measured.trial.landmarks.times_s
    out = []
    for side in sides:
        true, found = (a.find(angle_id, side) for a in (measured.trial.angles, measured.motion.angles))
        referenced = reported and np.isfinite(true.ref_rad).any()
        error = (found.ref_rad - true.ref_rad) if referenced else (found.raw_rad - true.raw_rad)
        inner = (times >= _EDGE_S) & (times <= times[-1] - _EDGE_S)
        out.append(np.degrees(error[inner]))
    return np.concatenate(out)


def metric_errors_deg(measured: Measured, metric_id: str) -> np.ndarray:
    """Measured minus true mean over the same strides, one value per side, deg."""
    return np.degrees(metric_errors(measured, metric_id))


def metric_errors(measured: Measured, metric_id: str) -> np.ndarray:
    """Measured minus true mean over the same strides, one value per side, inside units."""
    values = {(v.id, v.side): v for v in measured.motion.stride_values}
    truth = {(v.id, v.side): v for v in measured.trial.stride_values}
    true_at, found_at = (
        {(s.side, s.index): s.foot_strike_s for s in m.strides} for m in (measured.trial, measured.motion)
    )
    out = []
    for key, found in values.items():
        if key[0] != metric_id or not found.values.size or not truth[key].values.size:
            continue
        side = Side.RIGHT if key[1] is Side.BOTH else key[1]  # midline metrics are read over right strides
        strikes = np.array([true_at[side, i] for i in truth[key].stride_index])
        nearest = [int(np.argmin(np.abs(strikes - found_at[side, i]))) for i in found.stride_index]
        out.append(float(np.mean(found.values - truth[key].values[nearest])))
    return np.array(out)


def event_errors_s(measured: Measured, kind: EventKind) -> np.ndarray:
    """Found minus true time of every true event in the inner part of the trial, s; NaN where none was found nearby."""
    assert measured.trial.events is not None
    assert measured.motion.events is not None
    end = float(measured.trial.landmarks.times_s[-1])
    out = []
    for side in (Side.LEFT, Side.RIGHT):
        found = np.array(measured.motion.events.times_s(kind, side))
        for time in _inner(measured.trial.events, kind, side, end):
            near = found[np.abs(found - time) < 0.1]
            out.append(float(near[np.argmin(np.abs(near - time))] - time) if near.size else math.nan)
    return np.array(out)


def _inner(events: GaitEvents, kind: EventKind, side: Side, end_s: float) -> list[float]:
    return [t for t in events.times_s(kind, side) if _EDGE_S <= t <= end_s - _EDGE_S]


@dataclass(frozen=True)
class ErrorRow:
    """Errors over seeds, deg: mean bias, spread of the bias between runners, root mean square over all samples."""

    bias: float
    bias_sd: float
    rmse: float


def summarise(errors: Sequence[np.ndarray]) -> ErrorRow:
    """One row from the errors of every seed."""
    means = np.array([np.nanmean(e) for e in errors])
    pooled = np.concatenate([np.ravel(e) for e in errors])
    spread = float(means.std(ddof=1)) if means.size > 1 else math.nan
    return ErrorRow(float(means.mean()), spread, float(np.sqrt(np.nanmean(pooled**2))))


def accuracy_rows(trials: Sequence[Measured]) -> Mapping[str, ErrorRow]:
    """Rows of the accuracy table from trials under one kind of noise."""
    rows = {a: summarise([angle_errors_deg(m, a, sides) for m in trials]) for a, sides in ANGLES_JUDGED}
    return rows | {m: summarise([metric_errors_deg(t, m) for t in trials]) for m in METRICS_JUDGED}
