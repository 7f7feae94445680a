"""What biomechanics makes of 3D landmarks. SI and radians throughout; `None` in `reason` means nothing is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from labsys.core.arrays import FloatArray, as_floats
from labsys.core.camera_audit import ReconstructionAudit
from labsys.core.errors import UnknownNameError
from labsys.core.landmarks import Landmarks3D
from labsys.core.provenance import Provenance
from labsys.core.screening import Confidence, FindingStatus
from labsys.core.session import Trial
from labsys.core.skeleton import Side, Tier


class EventKind(StrEnum):
    """The two gait events."""

    FOOT_STRIKE = "foot_strike"
    TOE_OFF = "toe_off"


class Quality(StrEnum):
    """How far a value can be trusted; EXCLUDED never counts."""

    OK = "ok"
    LOW = "low"
    INDICATIVE = "indicative"
    EXCLUDED = "excluded"


@dataclass(frozen=True, eq=False)
class AngleSeries:
    """One angle over time.

    Attributes:
        raw_rad: (T,) rad, as the segment poses give it.
        ref_rad: (T,) rad, as change from the subject's static trial; all NaN where there is no static or the
            catalogue gives this angle another zero.
        reason: why the series is all NaN, or None.
        se_rad: (T,) rad, standard error from pixels, calibration and static of the series as reported; None where the
            landmarks' errors are unknown.
    """

    id: str
    side: Side
    raw_rad: FloatArray
    ref_rad: FloatArray
    reason: str | None = None
    se_rad: FloatArray | None = None

    def __post_init__(self) -> None:
        raw = as_floats(self.id, self.raw_rad, (None,))
        object.__setattr__(self, "raw_rad", raw)
        object.__setattr__(self, "ref_rad", as_floats(self.id, self.ref_rad, (raw.size,)))
        if self.se_rad is not None:
            object.__setattr__(self, "se_rad", as_floats(self.id, self.se_rad, (raw.size,)))


@dataclass(frozen=True, eq=False)
class JointAngles:
    """All angles of one trial on one time axis. times_s: (T,) s."""

    times_s: FloatArray
    series: tuple[AngleSeries, ...]

    def find(self, angle_id: str, side: Side) -> AngleSeries:
        """The series of this id and side (UnknownNameError otherwise)."""
        for s in self.series:
            if s.id == angle_id and s.side is side:
                return s
        raise UnknownNameError("angle", f"{angle_id} {side}", valid=[f"{s.id} {s.side}" for s in self.series])


@dataclass(frozen=True)
class AngleSummary:
    """An angle over a whole trial (over time): rad. `referenced` tells whether zero is the static trial."""

    id: str
    side: Side
    mean_rad: float
    sd_rad: float
    min_rad: float
    max_rad: float
    n: int
    referenced: bool
    reason: str | None = None


@dataclass(frozen=True)
class GaitEvent:
    """A foot strike or toe-off, in seconds of the trial's clock."""

    kind: EventKind
    side: Side
    time_s: float
    quality: Quality = Quality.OK


@dataclass(frozen=True)
class GaitEvents:
    """All events in time order, and the belt (or overground) speed they were found with."""

    events: tuple[GaitEvent, ...]
    belt_speed_mps: float
    stride_period_s: float

    def times_s(self, kind: EventKind, side: Side) -> tuple[float, ...]:
        """Times of one kind of event on one side."""
        return tuple(e.time_s for e in self.events if e.kind is kind and e.side is side)


@dataclass(frozen=True)
class Stride:
    """One stride of one side, foot strike to next foot strike; `reason` says why it does not count, or None."""

    index: int
    side: Side
    foot_strike_s: float
    toe_off_s: float
    next_foot_strike_s: float
    contra_foot_strike_s: float
    reason: str | None = None

    @property
    def valid(self) -> bool:
        """Whether the stride counts."""
        return self.reason is None


@dataclass(frozen=True, eq=False)
class StrideValues:
    """Values of one metric, one per valid stride, inside units. stride_index, values: (S,)."""

    id: str
    side: Side
    stride_index: tuple[int, ...]
    values: FloatArray


@dataclass(frozen=True, eq=False)
class StrideCurves:
    """One angle over the stride, foot strike = 0 %, next foot strike = 100 %. values_rad: (S, 101) rad."""

    id: str
    side: Side
    stride_index: tuple[int, ...]
    values_rad: FloatArray


@dataclass(frozen=True)
class Metric:
    """One metric of one trial and side, in inside units (rad, m, s, fraction).

    Attributes:
        mean, sd, n: over the valid strides; NaN, NaN, 0 where it cannot be given.
        reason: why it cannot be given, or that a landmark it rests on is carried from the static; None elsewhere.
        lag1: lag-1 autocorrelation over strides, 0..0.9.
        ci95_strides: interval of this capture's mean alone; NaN where its strides are too few to tell.
        se_reconstruction: standard error from pixels and calibration, NaN where unknown.
        sem_measurement, sem_source: between-session error and where it comes from; NaN and "" where unknown.
        ci95: total interval of what would be measured on another day; NaN where the error is unknown.
        provisional: the interval rests on a default error, not on this lab's own.
        interpolated_share: share of filled-in samples on the landmarks that it rests on, over the strides that give it,
            0..1; NaN where no stride does, and in runs of versions that did not state it.
    """

    id: str
    side: Side
    mean: float
    sd: float
    n: int
    lag1: float
    ci95_strides: tuple[float, float]
    se_reconstruction: float
    sem_measurement: float
    sem_source: str
    ci95: tuple[float, float]
    quality: Quality
    provisional: bool
    reason: str | None = None
    interpolated_share: float = math.nan


@dataclass(frozen=True)
class FindingValue:
    """One metric as a finding saw it, and what it was held against; inside units, None where not known.

    Attributes:
        status: what this value says by itself. borderline, flagged: its thresholds; None where there is none.
        strides_beyond: share of single strides beyond `flagged`, where the rule asks for it.
    """

    metric: str
    side: Side
    unit: str
    mean: float
    sd: float | None
    n: int
    ci95: tuple[float, float] | None
    ci95_strides: tuple[float, float] | None
    se_reconstruction: float | None
    quality: Quality
    provisional: bool
    status: FindingStatus
    borderline: float | None = None
    flagged: float | None = None
    strides_beyond: float | None = None


@dataclass(frozen=True)
class Finding:
    """One screening rule's answer; text is what a person reads.

    Attributes:
        reason: why it is not assessable, or None. left_out: metric -> why it was not looked at.
        quality: the worst of the values'. provisional: a threshold is chosen, or an interval rests on a default error.
        source: of the thresholds. reference: what the value stands beside, as text. rules: name and version of the set.
    """

    id: str
    side: Side
    status: FindingStatus
    text: str
    title: str = ""
    reason: str | None = None
    values: tuple[FindingValue, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    tier: Tier | None = None
    quality: Quality = Quality.OK
    confidence: Confidence = Confidence.USUAL
    provisional: bool = True
    source: str = ""
    reference: str = ""
    rules: str = ""


@dataclass(frozen=True, eq=False)
class MotionResult:
    """All that biomechanics says of one trial. `tier` is None where the landmarks reach no tier."""

    tier: Tier | None
    angles: JointAngles
    summaries: tuple[AngleSummary, ...]
    events: GaitEvents | None
    strides: tuple[Stride, ...]
    stride_values: tuple[StrideValues, ...]
    curves: tuple[StrideCurves, ...]
    metrics: tuple[Metric, ...]
    findings: tuple[Finding, ...]
    notes: Mapping[str, str]

    def n_strides(self, side: Side) -> int:
        """Number of strides of that side that count."""
        return sum(s.valid for s in self.strides if s.side is side)


@dataclass(frozen=True, eq=False)
class TrialResult:
    """One run of one trial, whole: what was reconstructed, what was made of it, and where it came from.

    Attributes:
        run: name of the run (hash of inputs, parameters and version).
        not_for_comparison: why results must not be compared (overridden calibration, repaired pose, …), or None.
        heading_known: False when LAB's X is arbitrary, so that transverse angles have an arbitrary zero.
        audit: what was found out about the cameras; empty for 3D markers.
    """

    run: str
    trial: Trial
    landmarks: Landmarks3D
    motion: MotionResult
    provenance: Provenance
    not_for_comparison: str | None
    heading_known: bool
    audit: ReconstructionAudit = field(default_factory=ReconstructionAudit)
