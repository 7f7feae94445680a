"""What a comparison takes and what it gives. Inside units throughout (rad, m, s, Hz, fractions); NaN is "not given"."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from labsys.core.motion import Quality
from labsys.core.session import Conditions, Goal, Phase, Surface, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier


class Verdict(StrEnum):
    """What may be said of one row. There is no word for "better": direction is printed, goals are the clinician's."""

    NO_DETECTABLE_CHANGE = "no_detectable_change"
    POSSIBLE_CHANGE = "possible_change"
    LARGER_THAN_ERROR = "larger_than_error"
    INDICATIVE_ONLY = "indicative_only"
    NOT_COMPARABLE = "not_comparable"
    NOT_MEASURED = "not_measured"


class Family(StrEnum):
    """Rows that share one error rate: GOAL rows were declared before the post visit, all others are EXPLORATORY."""

    GOAL = "goal"
    EXPLORATORY = "exploratory"


@dataclass(frozen=True)
class CaptureMetric:
    """One metric of one capture (one run of one trial).

    Attributes:
        mean, sd, n, lag1: over valid strides, as in `core.motion.Metric`; NaN, NaN, 0, 0 where not given.
        se_reconstruction: standard error from pixels, calibration and static trial; NaN where unknown.
        tier: tier of the landmarks that it was computed from. version: of the metric's definition.
        reason: why it is not given, or None.
    """

    id: str
    side: Side
    mean: float
    sd: float
    n: int
    lag1: float
    se_reconstruction: float
    tier: Tier
    version: int
    quality: Quality = Quality.OK
    reason: str | None = None

    @property
    def measured(self) -> bool:
        """Whether there is a value that counts."""
        return math.isfinite(self.mean) and self.quality is not Quality.EXCLUDED


@dataclass(frozen=True)
class Capture:
    """One trial of a visit with its metrics. Excluded trials are not captures.

    Attributes:
        not_for_comparison: why nothing of it may be compared, or None.
        placement: name of the sticker placement; captures with the same text share stickers, so that their re-palpation
            error is not averaged out. Leave it empty unless stickers were taken off and re-placed within the visit.
        up_sd_rad, heading_sd_rad: uncertainty of the calibration's gravity and heading; NaN where unknown.
        static_shares_calibration: the static trial was recorded under the same calibration as this one.
        calibration: its name. camera_turns: camera -> rotation vector (3) rad that takes LAB into the camera's frame.
        model: what found the landmarks. settings: how it was processed, key -> value.
        release: the named release that its run counts in, "" for none. pipeline_version: of what made the run.
        model_hash: digest of the model, "" where no model looked at videos. run: name of the run, "" where unknown.
        has_static: whether a static trial was there to measure from; None where unknown.
    """

    name: TrialName
    kind: TrialKind
    conditions: Conditions
    heading_known: bool
    not_for_comparison: str | None
    metrics: tuple[CaptureMetric, ...]
    placement: str = ""
    up_sd_rad: float = math.nan
    heading_sd_rad: float = math.nan
    static_shares_calibration: bool = False
    calibration: str = ""
    camera_turns: Mapping[str, tuple[float, float, float]] = field(default_factory=dict, hash=False)
    model: str = ""
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)
    release: str = ""
    pipeline_version: str = ""
    model_hash: str = ""
    run: str = ""
    has_static: bool | None = None

    def find(self, metric_id: str, side: Side) -> CaptureMetric | None:
        """The metric of this id and side, or None where the capture does not list it."""
        return self._by_row.get((metric_id, side))

    @cached_property
    def _by_row(self) -> Mapping[tuple[str, Side], CaptureMetric]:
        """The first metric of every row: a comparison looks up hundreds."""
        return {(m.id, m.side): m for m in reversed(self.metrics)}

    @cached_property
    def speed_mps(self) -> float:
        """Stated speed, else the measured one; NaN where neither is known. m/s."""
        return self.conditions.speed_mps if self.conditions.speed_mps is not None else self.measured_speed_mps

    @cached_property
    def measured_speed_mps(self) -> float:
        """Speed that the feet or the pelvis showed; NaN where not measured. m/s."""
        measured = self.find("speed", Side.BOTH)
        return measured.mean if measured is not None and measured.measured else math.nan


@dataclass(frozen=True)
class AbsentTrial:
    """A run or walk of a visit that gives no capture, and why: excluded, or not processed as it stands now."""

    trial: str
    kind: TrialKind
    conditions: Conditions
    reason: str


@dataclass(frozen=True)
class Visit:
    """One session with the captures that count.

    Attributes:
        date: ISO-8601 (a date, or a time in UTC).
        repeats: session that this one repeats, with nothing done between; empty: none.
        operator: who recorded and palpated; empty where not stated.
    """

    session: str
    date: str
    phase: Phase | None
    captures: tuple[Capture, ...]
    absent: tuple[AbsentTrial, ...] = ()
    repeats: str = ""
    operator: str = ""


@dataclass(frozen=True)
class ConditionPair:
    """Captures of two visits that were made under like conditions. speed_mps is the mean over all of them."""

    kind: TrialKind
    surface: Surface | None
    speed_mps: float
    incline_pct: float
    pre: tuple[Capture, ...]
    post: tuple[Capture, ...]


@dataclass(frozen=True)
class Unpaired:
    """A capture that nothing of the other visit is like, and why. `visit` is "pre" or "post"."""

    visit: str
    trial: str
    kind: TrialKind
    speed_mps: float
    incline_pct: float
    reason: str


@dataclass(frozen=True)
class ComparisonRow:
    """One metric and side of one pair.

    Attributes:
        pair: index into `Comparison.pairs`.
        pre, post, change: visit values and post minus pre; NaN where not measured.
        pre_sd, post_sd: pooled between-stride SD. pre_ci95, post_ci95: of what another day would show.
        tier: of the landmarks of both visits; None where they differ. quality: the worst of all captures'.
        ci95: total 95 % interval of the change, per row (not widened for the number of rows).
        threshold: T, the change at which the verdict turns; detectable_change: the true change that would be called in
            80 % of pairs; mdc95: between two single-capture visits, for orientation.
        se_total, df: standard error of the change and its degrees of freedom (Welch-Satterthwaite).
        change_stride_sds: change over the pooled between-stride SD; not an effect size between people.
        direction: "higher" or "lower" where the verdict is larger_than_error, else None.
        goal: the clinician's goal on this row, or None. goal_late: dated after the post visit, therefore exploratory.
        goal_direction: "toward" or "away" where a goal in time meets larger_than_error, else None.
        provisional: the error is a default, not this lab's own.
        reason: why there is no verdict on the error, or None.
    """

    pair: int
    id: str
    side: Side
    pre: float
    post: float
    change: float
    ci95: tuple[float, float]
    pre_sd: float
    post_sd: float
    pre_ci95: tuple[float, float]
    post_ci95: tuple[float, float]
    tier: Tier | None
    quality: Quality
    threshold: float
    detectable_change: float
    mdc95: float
    se_total: float
    df: float
    change_stride_sds: float
    n_pre: int
    n_post: int
    family: Family
    verdict: Verdict
    direction: str | None
    goal: Goal | None
    goal_late: bool
    goal_direction: str | None
    sem_source: str
    provisional: bool
    reason: str | None


@dataclass(frozen=True)
class SideDifference:
    """Right minus left of one metric in both visits; descriptive.

    Attributes:
        pre, post, change: inside unit; NaN where not given, with a `reason`. ci95: total interval of the change.
        pre_index, post_index: difference over the mean of both sides; NaN for angles.
        mdc95: of the difference, between two single-capture visits. n: strides of the side that has fewest.
    """

    pair: int
    id: str
    pre: float
    post: float
    change: float
    pre_ci95: tuple[float, float]
    post_ci95: tuple[float, float]
    ci95: tuple[float, float]
    pre_index: float
    post_index: float
    mdc95: float
    n: int
    sem_source: str
    reason: str | None


@dataclass(frozen=True)
class Comparison:
    """Two visits of one subject, row by row.

    Attributes:
        comparable: False when not one pair of like conditions exists; `reason` then says what to record next time.
        n_exploratory: rows over which the exploratory error rate is shared; fixed before values are known.
    """

    subject: str
    pre: str
    post: str
    comparable: bool
    reason: str | None
    warnings: tuple[str, ...]
    unpaired: tuple[Unpaired, ...]
    pairs: tuple[ConditionPair, ...]
    rows: tuple[ComparisonRow, ...]
    n_exploratory: int
    symmetry: tuple[SideDifference, ...] = ()


@dataclass(frozen=True)
class TrendPoint:
    """One visit's value under one condition.

    Attributes:
        sd: pooled between-stride SD. ci95: of what would be measured on another day; NaN where unknown.
        since_first, since_first_ci95: value minus that of the series' first visit, with its total 95 % interval.
        quality: the worst of its captures'.
    """

    session: str
    date: str
    phase: Phase | None
    value: float
    sd: float
    ci95: tuple[float, float]
    se_visit: float
    since_first: float
    since_first_ci95: tuple[float, float]
    n_strides: int
    n_captures: int
    sem_source: str
    provisional: bool
    quality: Quality


@dataclass(frozen=True)
class TrendSlope:
    """The line through three and more visits.

    Attributes:
        per_week, per_week_ci95: slope. change, ci95: the line's change from first to last visit, over span_weeks.
        threshold, detectable_change: of that change, as in a comparison of two visits. se, df: of that change.
        family: which rows share the error rate of `verdict`.
    """

    n_visits: int
    span_weeks: float
    per_week: float
    per_week_ci95: tuple[float, float]
    change: float
    ci95: tuple[float, float]
    threshold: float
    detectable_change: float
    se: float
    df: float
    family: Family
    verdict: Verdict


@dataclass(frozen=True)
class TrendSeries:
    """Points that may be joined: one condition, one tier, one definition version, processed alike.

    speed_mps: their mean. made_by: what processed them, in words: a release, else version and model.

    slope: None for fewer than three visits, where the error is unknown, where strides are too few for a verdict, or
    where `notes` say why. notes: why these points stand apart from others or have no line, in words.
    """

    kind: TrialKind
    surface: Surface | None
    speed_mps: float
    incline_pct: float
    tier: Tier
    version: int
    points: tuple[TrendPoint, ...]
    slope: TrendSlope | None = None
    made_by: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trend:
    """One metric and side over all visits; never pooled over conditions. `left_out`: trial name -> reason."""

    metric: str
    side: Side
    series: tuple[TrendSeries, ...]
    left_out: dict[str, str] = field(default_factory=dict)
