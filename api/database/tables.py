"""The index as tables. Every row is learnt from the lab folder; numbers are SI and radians as in the core, NaN is NULL.

subject ─┬─ episode ── goal
         └─ session ─┬─ session_score
                     └─ trial ─┬─ run ─┬─ trial_metric       tombstone (of rows that went)
                               │       └─ release_member ── release
                               └─ file (of the take and of its runs)

`trial_metric` repeats the conditions of its trial and visit, because dashboards, trends and comparisons read it: one
row per trial, run, metric and side, and no join. Curves and strides stay in Parquet.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.database.columns import CODE_LENGTH, UUID_TEXT, Base
from labsys.core.motion import Quality
from labsys.core.session import GoalDirection, Phase, Surface, TrialKind
from labsys.core.skeleton import Side


class IndexState(Base):
    """One row: which lab these rows describe and which version of the indexing made them."""

    __tablename__ = "index_state"

    lab_uuid: Mapped[str] = mapped_column(String(CODE_LENGTH), primary_key=True)
    index_version: Mapped[int]


class IndexProblemRow(Base):
    """A part of the folder that could not be read. `subject` is empty where it belongs to none."""

    __tablename__ = "index_problem"

    place: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(CODE_LENGTH), index=True)
    what: Mapped[str]
    remedy: Mapped[str]


class SubjectRow(Base):
    """A person by code; no name is ever here."""

    __tablename__ = "subject"

    id: Mapped[str] = mapped_column(UUID_TEXT, primary_key=True)
    code: Mapped[str] = mapped_column(String(CODE_LENGTH), unique=True)
    sex: Mapped[str]
    birth_year: Mapped[int | None]
    leg_dominance: Mapped[str]
    consent: Mapped[list[str]]
    notes: Mapped[str]
    updated_at: Mapped[datetime]


class EpisodeRow(Base):
    """An injury or programme with its index date."""

    __tablename__ = "episode"
    __table_args__ = (UniqueConstraint("subject_id", "label"),)

    id: Mapped[str] = mapped_column(UUID_TEXT, primary_key=True)
    subject_id: Mapped[str] = mapped_column(ForeignKey("subject.id", ondelete="CASCADE"))
    label: Mapped[str] = mapped_column(String(CODE_LENGTH))
    index_date: Mapped[date]
    notes: Mapped[str]
    updated_at: Mapped[datetime]

    subject: Mapped[SubjectRow] = relationship(lazy="joined", innerjoin=True)
    goals: Mapped[list[GoalRow]] = relationship(lazy="selectin", order_by="GoalRow.position")


class GoalRow(Base):
    """What the clinician declared before the post visit."""

    __tablename__ = "goal"

    episode_id: Mapped[str] = mapped_column(ForeignKey("episode.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(String(CODE_LENGTH))
    side: Mapped[Side]
    direction: Mapped[GoalDirection]
    date: Mapped[date]


class SessionRow(Base):
    """One visit."""

    __tablename__ = "session"
    __table_args__ = (UniqueConstraint("subject_id", "code"), Index(None, "captured_at", "id"))

    id: Mapped[str] = mapped_column(UUID_TEXT, primary_key=True)
    subject_id: Mapped[str] = mapped_column(ForeignKey("subject.id", ondelete="CASCADE"))
    code: Mapped[str] = mapped_column(String(CODE_LENGTH))
    captured_at: Mapped[datetime]
    phase: Mapped[Phase | None]
    episode_id: Mapped[str | None] = mapped_column(ForeignKey("episode.id", ondelete="SET NULL"), index=True)
    operator: Mapped[str]
    mass_kg: Mapped[float | None]
    height_m: Mapped[float | None]
    leg_length_m: Mapped[float | None]
    repeats: Mapped[str] = mapped_column(String(CODE_LENGTH))
    notes: Mapped[str]
    updated_at: Mapped[datetime]

    subject: Mapped[SubjectRow] = relationship(lazy="joined", innerjoin=True)
    episode: Mapped[EpisodeRow | None] = relationship(lazy="joined")
    scores: Mapped[list[ScoreRow]] = relationship(lazy="selectin", order_by="ScoreRow.name")


class ScoreRow(Base):
    """One score of a visit (a questionnaire's total, say)."""

    __tablename__ = "session_score"

    session_id: Mapped[str] = mapped_column(ForeignKey("session.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float]


class TrialRow(Base):
    """A take with its meaning. `current_run` names the run that counts, or is NULL."""

    __tablename__ = "trial"
    __table_args__ = (UniqueConstraint("session_id", "code"), Index(None, "recorded_at", "id"))

    id: Mapped[str] = mapped_column(UUID_TEXT, primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("session.id", ondelete="CASCADE"))
    code: Mapped[str] = mapped_column(String(CODE_LENGTH))
    kind: Mapped[TrialKind]
    recorded_at: Mapped[datetime]
    surface: Mapped[Surface | None]
    speed_mps: Mapped[float | None]
    incline_pct: Mapped[float]
    footwear: Mapped[str]
    pain_0_10: Mapped[float | None]
    static: Mapped[str]
    placement: Mapped[str]
    excluded: Mapped[bool]
    exclusion_reason: Mapped[str]
    accepted_sizes: Mapped[dict[str, Any]]
    notes: Mapped[str]
    updated_at: Mapped[datetime]
    current_run: Mapped[str | None] = mapped_column(String(CODE_LENGTH))

    session: Mapped[SessionRow] = relationship(lazy="joined", innerjoin=True)


class RunRow(Base):
    """One processing of a trial: what made it, and how far its calibration can be trusted."""

    __tablename__ = "run"

    trial_id: Mapped[str] = mapped_column(ForeignKey("trial.id", ondelete="CASCADE"), primary_key=True)
    run: Mapped[str] = mapped_column(String(CODE_LENGTH), primary_key=True)
    is_current: Mapped[bool]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
    pipeline_version: Mapped[str]
    definition_version: Mapped[int]
    model: Mapped[str]
    calibration: Mapped[str]
    calibration_grade: Mapped[str | None]
    up_sd_rad: Mapped[float | None]
    heading_sd_rad: Mapped[float | None]
    heading_known: Mapped[bool]
    camera_turns: Mapped[dict[str, Any]]
    static: Mapped[str]
    static_shares_calibration: Mapped[bool]
    not_for_comparison: Mapped[str | None]
    tier: Mapped[int | None]
    n_strides_left: Mapped[int]
    n_strides_right: Mapped[int]
    inputs: Mapped[dict[str, Any]]
    parameters: Mapped[dict[str, Any]]
    seconds: Mapped[dict[str, Any]]

    trial: Mapped[TrialRow] = relationship(lazy="joined", innerjoin=True)


class FileRow(Base):
    """A file of a trial, by its path inside the lab folder. `run` is NULL for files of the take."""

    __tablename__ = "file"
    __table_args__ = (ForeignKeyConstraint(["trial_id", "run"], ["run.trial_id", "run.run"], ondelete="CASCADE"),)

    path: Mapped[str] = mapped_column(primary_key=True)
    trial_id: Mapped[str] = mapped_column(ForeignKey("trial.id", ondelete="CASCADE"), index=True)
    run: Mapped[str | None] = mapped_column(String(CODE_LENGTH))
    kind: Mapped[str] = mapped_column(String(32))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))


class TrialMetricRow(Base):
    """One metric of one run and side, with the conditions it was measured under."""

    __tablename__ = "trial_metric"
    __table_args__ = (
        ForeignKeyConstraint(["trial_id", "run"], ["run.trial_id", "run.run"], ondelete="CASCADE"),
        Index(None, "captured_at", "trial_id", "run", "metric", "side"),
        Index(None, "subject", "metric", "side", "captured_at"),
        Index(None, "updated_at"),
    )

    trial_id: Mapped[str] = mapped_column(UUID_TEXT, primary_key=True)
    run: Mapped[str] = mapped_column(String(CODE_LENGTH), primary_key=True)
    metric: Mapped[str] = mapped_column(String(CODE_LENGTH), primary_key=True)
    side: Mapped[Side] = mapped_column(primary_key=True)

    subject: Mapped[str] = mapped_column(String(CODE_LENGTH))
    episode: Mapped[str | None] = mapped_column(String(CODE_LENGTH))
    phase: Mapped[Phase | None]
    weeks_from_index: Mapped[float | None]
    session: Mapped[str] = mapped_column(String(CODE_LENGTH))
    captured_at: Mapped[datetime]
    trial: Mapped[str] = mapped_column(String(CODE_LENGTH))
    kind: Mapped[TrialKind]
    surface: Mapped[Surface | None]
    speed_mps: Mapped[float | None]
    incline_pct: Mapped[float]
    footwear: Mapped[str]

    n: Mapped[int]
    mean: Mapped[float | None]
    sd: Mapped[float | None]
    median: Mapped[float | None]
    p05: Mapped[float | None]
    p95: Mapped[float | None]
    lag1: Mapped[float | None]
    ci95_low: Mapped[float | None]
    ci95_high: Mapped[float | None]
    ci95_strides_low: Mapped[float | None]
    ci95_strides_high: Mapped[float | None]
    se_reconstruction: Mapped[float | None]
    sem_measurement: Mapped[float | None]
    sem_source: Mapped[str]
    provisional: Mapped[bool]
    quality: Mapped[Quality]
    interpolated_share: Mapped[float | None]
    reason: Mapped[str | None]

    tier: Mapped[int | None]
    definition_version: Mapped[int]
    not_for_comparison: Mapped[str | None]
    calibration_grade: Mapped[str | None]
    is_current: Mapped[bool]
    pipeline_version: Mapped[str]
    model_hash: Mapped[str | None]
    updated_at: Mapped[datetime]


class ReleaseRow(Base):
    """A named release; or the candidate of the next one, under that name. The one that is not closed is open."""

    __tablename__ = "release"

    name: Mapped[str] = mapped_column(String(CODE_LENGTH), primary_key=True)
    made_at: Mapped[datetime]
    made_by: Mapped[str]
    note: Mapped[str]
    pipeline_version: Mapped[str]
    definition_version: Mapped[int]
    models: Mapped[list[str]]
    errors: Mapped[str]
    closed_at: Mapped[datetime | None]


class ReleaseMemberRow(Base):
    """The run of a trial that counts in a release, and since when."""

    __tablename__ = "release_member"
    __table_args__ = (
        ForeignKeyConstraint(["trial_id", "run"], ["run.trial_id", "run.run"], ondelete="CASCADE"),
        Index(None, "trial_id", "run"),
    )

    release: Mapped[str] = mapped_column(ForeignKey("release.name", ondelete="CASCADE"), primary_key=True)
    trial_id: Mapped[str] = mapped_column(UUID_TEXT, primary_key=True)
    run: Mapped[str] = mapped_column(String(CODE_LENGTH))
    joined_at: Mapped[datetime]


class TombstoneRow(Base):
    """The key of a row that went with its trial: deleted, or moved to another name."""

    __tablename__ = "tombstone"
    __table_args__ = (Index(None, "deleted_at"),)

    subject: Mapped[str] = mapped_column(String(CODE_LENGTH), primary_key=True)
    session: Mapped[str] = mapped_column(String(CODE_LENGTH), primary_key=True)
    trial: Mapped[str] = mapped_column(String(CODE_LENGTH), primary_key=True)
    run: Mapped[str] = mapped_column(String(CODE_LENGTH), primary_key=True)
    metric: Mapped[str] = mapped_column(String(CODE_LENGTH), primary_key=True)
    side: Mapped[Side] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime]


# What `labsys index` makes again from the folder. Tables of `tables_owned` join the same metadata and are not here.
# They may have joined before: which module comes first is the reader's choice.
INDEX_TABLES = frozenset(row.__tablename__ for row in Base.__subclasses__() if row.__module__ == __name__)
