"""Runs, their files, metrics and curves, the catalogue, and pages of things, as JSON in outside units."""

from __future__ import annotations

from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel

from api.database.tables import FileRow, RunRow, TrialMetricRow
from api.moments import show_moment
from labsys.core.catalogue import find_metric
from labsys.core.motion import Quality
from labsys.core.skeleton import Side, Tier

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """Some of the things asked for, in order; `next_cursor` continues, null at the end."""

    items: list[Item]
    next_cursor: str | None


class RunDocument(BaseModel):
    """One processing of a trial and everything that it came from."""

    trial: str
    run: str
    is_current: bool
    started_at: str
    finished_at: str
    tier: str | None
    n_strides: dict[str, int]
    pipeline_version: str
    definition_version: int
    model: str
    calibration: str | None
    calibration_grade: str | None
    heading_known: bool
    static: str | None
    not_for_comparison: str | None
    inputs: dict[str, str]
    parameters: dict[str, str]
    seconds: dict[str, float]

    @classmethod
    def of(cls, row: RunRow) -> Self:
        """From the index."""
        session = row.trial.session
        return cls(
            trial=f"{session.subject.code}/{session.code}/{row.trial.code}",
            run=row.run,
            is_current=row.is_current,
            started_at=show_moment(row.started_at),
            finished_at=show_moment(row.finished_at),
            tier=None if row.tier is None else Tier(row.tier).name,
            n_strides={"left": row.n_strides_left, "right": row.n_strides_right},
            pipeline_version=row.pipeline_version,
            definition_version=row.definition_version,
            model=row.model,
            calibration=row.calibration or None,
            calibration_grade=row.calibration_grade,
            heading_known=row.heading_known,
            static=row.static or None,
            not_for_comparison=row.not_for_comparison,
            inputs=row.inputs,
            parameters=row.parameters,
            seconds=row.seconds,
        )


class FileDocument(BaseModel):
    """A file of a trial; `path` is inside the lab folder, `run` is null for files of the take."""

    path: str
    kind: str
    run: str | None
    bytes: int
    sha256: str | None

    @classmethod
    def of(cls, row: FileRow) -> Self:
        """From the index."""
        return cls(path=row.path, kind=row.kind, run=row.run, bytes=row.size_bytes, sha256=row.sha256)


class MetricDocument(BaseModel):
    """One metric of one run and side; a value that cannot be given is null, with a reason.

    `interpolated_share` is null where no stride gives the metric, and in runs of versions that did not state it.
    """

    id: str
    side: Side
    unit: str
    n: int
    mean: float | None
    sd: float | None
    median: float | None
    p05: float | None
    p95: float | None
    lag1: float | None
    ci95: list[float] | None
    ci95_strides: list[float] | None
    se_reconstruction: float | None
    sem_measurement: float | None
    sem_source: str | None
    provisional: bool
    quality: Quality
    interpolated_share: float | None
    reason: str | None
    tier: str | None
    definition_version: int

    @classmethod
    def of(cls, row: TrialMetricRow) -> Self:
        """From the index."""
        unit = find_metric(row.metric).unit
        lag1 = row.lag1
        return cls(
            id=row.metric,
            side=row.side,
            unit=unit.value,
            n=row.n,
            lag1=lag1,
            ci95=_interval(row.ci95_low, row.ci95_high, unit.factor),
            ci95_strides=_interval(row.ci95_strides_low, row.ci95_strides_high, unit.factor),
            sem_source=row.sem_source or None,
            provisional=row.provisional,
            quality=row.quality,
            interpolated_share=row.interpolated_share,
            reason=row.reason,
            tier=None if row.tier is None else Tier(row.tier).name,
            definition_version=row.definition_version,
            **{name: scaled(getattr(row, name), unit.factor) for name in _SCALED},
        )


_SCALED = ("mean", "sd", "median", "p05", "p95", "se_reconstruction", "sem_measurement")


def scaled(value: float | None, factor: float) -> float | None:
    """An inside value in the unit that people see; null stays null."""
    return None if value is None else value * factor


def _interval(low: float | None, high: float | None, factor: float) -> list[float] | None:
    return None if low is None or high is None else [low * factor, high * factor]


class RunMetrics(BaseModel):
    """The metrics of one run of a trial."""

    trial: str
    run: str
    is_current: bool
    excluded: bool
    not_for_comparison: str | None
    metrics: list[MetricDocument]


class CurveDocument(BaseModel):
    """One angle over the stride: 101 points from foot strike (0 %) to the same foot's next strike (100 %)."""

    id: str
    side: Side
    unit: str
    n: int
    mean: list[float | None]
    sd: list[float | None]
    stride_index: list[int] | None = None
    strides: list[list[float | None]] | None = None


class RunCurves(BaseModel):
    """The stride curves of one run."""

    trial: str
    run: str
    stride_percent: list[float]
    curves: list[CurveDocument]


class MeasurementError(BaseModel):
    """Between-session error of a metric at one tier, in the metric's unit; null where it is unknown."""

    tier: str
    sem: float | None
    mdc95: float | None
    source: str | None


class MetricEntry(BaseModel):
    """What a metric is. No metric has a good direction."""

    id: str
    kind: str
    unit: str
    sides: list[str]
    description: str
    positive: str
    zero: str
    reference: str
    minimum_tier: str
    source: str
    definition_version: int
    errors: list[MeasurementError]


class ProblemEntry(BaseModel):
    """A part of the lab folder that could not be read, so that the index is without it."""

    place: str
    what: str
    remedy: str


class LabDocument(BaseModel):
    """The lab and the state of its index."""

    name: str
    uuid: str
    version: str
    catalogue_version: int
    problems: list[ProblemEntry]


class TablePage(BaseModel):
    """Rows of a flat table as JSON."""

    columns: list[str]
    rows: list[dict[str, Any]]
    next_cursor: str | None
