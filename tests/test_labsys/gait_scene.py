"""Synthetic runners and walkers whose angles, contacts and metrics are known, and their analysis."""

from __future__ import annotations

from functools import lru_cache

from labsys.biomechanics.analyse import analyse_motion
from labsys.biomechanics.cardan import rotation_about
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.catalogue import METRICS, find_metric
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import default_error_table
from labsys.core.motion import Metric, MotionResult, Stride, StrideValues
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side
from pipelines.synthetic.parameters import Anatomy, RunnerParameters, Strike
from pipelines.synthetic.trial import SyntheticTrial, make_trial

ERRORS = default_error_table(tuple(m.id for m in METRICS))


BOOK = Anatomy.REGRESSION


@lru_cache(maxsize=32)
def synthetic(
    kind: TrialKind = TrialKind.RUN,
    rate_hz: float = 100.0,
    seconds: float = 12.0,
    strike: Strike = Strike.REAR,
    speed_mps: float = 3.0,
) -> SyntheticTrial:
    speed = 1.3 if kind is TrialKind.WALK else speed_mps
    parameters = RunnerParameters(speed_mps=speed, strike=strike, anatomy=BOOK)
    return make_trial(parameters, kind=kind, seconds=seconds, rate_hz=rate_hz, seed=4, visit_seed=4)


def analyse(
    trial: Landmarks3D,
    *,
    still: Landmarks3D | None = None,
    kind: TrialKind = TrialKind.RUN,
    surface: Surface | None = None,
    speed_mps: float | None = 3.0,
    heading_known: bool = True,
    settings: AnalysisSettings | None = None,
    height_m: float | None = None,
) -> MotionResult:
    return analyse_motion(
        trial,
        static=still,
        kind=kind,
        surface=surface,
        declared_speed_mps=speed_mps,
        heading_known=heading_known,
        settings=settings or AnalysisSettings(),
        errors=ERRORS,
        leg_length_m=None,
        height_m=height_m,
    )


def still() -> Landmarks3D:
    return synthetic(TrialKind.STATIC, seconds=5.0).anatomy


def per_stride(result: MotionResult) -> list[Metric]:
    return [m for m in result.metrics if not find_metric(m.id).derived_from]


def assert_alike(one: MotionResult, other: MotionResult, within: float) -> None:
    """Every metric of both, differences and spreads too: the same number, or missing for the same reason."""
    for a, b in zip(one.metrics, other.metrics, strict=True):
        assert a.reason == b.reason, (a.id, a.reason, b.reason)
        assert a.reason is not None or abs(a.mean - b.mean) < within, (a.id, a.side, a.mean, b.mean)
    assert all(m.reason is None for m in per_stride(one)), "every metric of a stride is given"


def metric(result: MotionResult, metric_id: str, side: Side) -> Metric:
    return next(m for m in result.metrics if m.id == metric_id and m.side is side)


def turn(landmarks: Landmarks3D, yaw_rad: float) -> Landmarks3D:
    return landmarks.with_positions(landmarks.xyz_m @ rotation_about("y", yaw_rad).T)


def only(landmarks: Landmarks3D, names: tuple[str, ...]) -> Landmarks3D:
    index = [landmarks.index(n) for n in names]
    return Landmarks3D.from_positions(names, landmarks.times_s, landmarks.xyz_m[:, index])


def at_strikes(strides: tuple[Stride, ...], values: StrideValues) -> dict[float, float]:
    """When each stride of a metric begins, s, and its value; metrics of the midline are read over right strides."""
    side = Side.RIGHT if values.side is Side.BOTH else values.side
    begins = {s.index: s.foot_strike_s for s in strides if s.side is side}
    return {begins[i]: float(v) for i, v in zip(values.stride_index, values.values, strict=True)}


LONG = AnalysisSettings(discard_first_strides=0, discard_last_strides=0)
