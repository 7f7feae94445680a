"""The index of the lab folder: nouns, runs, files and trial metrics."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "index_problem",
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("remedy", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_index_problem")),
    )
    op.create_index(op.f("ix_index_problem_subject"), "index_problem", ["subject"], unique=False)
    op.create_table(
        "index_state",
        sa.Column("lab_uuid", sa.String(length=64), nullable=False),
        sa.Column("index_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("lab_uuid", name=op.f("pk_index_state")),
    )
    op.create_table(
        "subject",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("sex", sa.String(), nullable=False),
        sa.Column("birth_year", sa.Integer(), nullable=True),
        sa.Column("leg_dominance", sa.String(), nullable=False),
        sa.Column("consent", sa.JSON(), nullable=False),
        sa.Column("notes", sa.String(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject")),
        sa.UniqueConstraint("code", name=op.f("uq_subject_code")),
    )
    op.create_table(
        "episode",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("subject_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("index_date", sa.Date(), nullable=False),
        sa.Column("notes", sa.String(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.id"], name=op.f("fk_episode_subject_id_subject"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_episode")),
        sa.UniqueConstraint("subject_id", "label", name=op.f("uq_episode_subject_id_label")),
    )
    op.create_table(
        "goal",
        sa.Column("episode_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("metric", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=32), nullable=False),
        sa.Column("direction", sa.String(length=32), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["episode_id"], ["episode.id"], name=op.f("fk_goal_episode_id_episode"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("episode_id", "position", name=op.f("pk_goal")),
    )
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("subject_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("phase", sa.String(length=32), nullable=True),
        sa.Column("episode_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("operator", sa.String(), nullable=False),
        sa.Column("mass_kg", sa.Double(), nullable=True),
        sa.Column("height_m", sa.Double(), nullable=True),
        sa.Column("leg_length_m", sa.Double(), nullable=True),
        sa.Column("notes", sa.String(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["episode_id"], ["episode.id"], name=op.f("fk_session_episode_id_episode"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.id"], name=op.f("fk_session_subject_id_subject"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        sa.UniqueConstraint("subject_id", "code", name=op.f("uq_session_subject_id_code")),
    )
    op.create_index(op.f("ix_session_captured_at_id"), "session", ["captured_at", "id"], unique=False)
    op.create_index(op.f("ix_session_episode_id"), "session", ["episode_id"], unique=False)
    op.create_table(
        "session_score",
        sa.Column("session_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_session_score_session_id_session"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", "name", name=op.f("pk_session_score")),
    )
    op.create_table(
        "trial",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("session_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("surface", sa.String(length=32), nullable=True),
        sa.Column("speed_mps", sa.Double(), nullable=True),
        sa.Column("incline_pct", sa.Double(), nullable=False),
        sa.Column("footwear", sa.String(), nullable=False),
        sa.Column("pain_0_10", sa.Double(), nullable=True),
        sa.Column("static", sa.String(), nullable=False),
        sa.Column("excluded", sa.Boolean(), nullable=False),
        sa.Column("exclusion_reason", sa.String(), nullable=False),
        sa.Column("accepted_sizes", sa.JSON(), nullable=False),
        sa.Column("notes", sa.String(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("current_run", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_trial_session_id_session"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trial")),
        sa.UniqueConstraint("session_id", "code", name=op.f("uq_trial_session_id_code")),
    )
    op.create_index(op.f("ix_trial_recorded_at_id"), "trial", ["recorded_at", "id"], unique=False)
    op.create_table(
        "run",
        sa.Column("trial_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pipeline_version", sa.String(), nullable=False),
        sa.Column("definition_version", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("calibration", sa.String(), nullable=False),
        sa.Column("calibration_grade", sa.String(), nullable=True),
        sa.Column("up_sd_rad", sa.Double(), nullable=True),
        sa.Column("heading_sd_rad", sa.Double(), nullable=True),
        sa.Column("heading_known", sa.Boolean(), nullable=False),
        sa.Column("static", sa.String(), nullable=False),
        sa.Column("static_shares_calibration", sa.Boolean(), nullable=False),
        sa.Column("not_for_comparison", sa.String(), nullable=True),
        sa.Column("tier", sa.Integer(), nullable=True),
        sa.Column("n_strides_left", sa.Integer(), nullable=False),
        sa.Column("n_strides_right", sa.Integer(), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"], name=op.f("fk_run_trial_id_trial"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("trial_id", "run", name=op.f("pk_run")),
    )
    op.create_table(
        "file",
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("trial_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("run", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["trial_id", "run"], ["run.trial_id", "run.run"], name=op.f("fk_file_trial_id_run_run"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"], name=op.f("fk_file_trial_id_trial"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_file")),
    )
    op.create_index(op.f("ix_file_trial_id"), "file", ["trial_id"], unique=False)
    op.create_table(
        "trial_metric",
        sa.Column("trial_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("metric", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("episode", sa.String(length=64), nullable=True),
        sa.Column("phase", sa.String(length=32), nullable=True),
        sa.Column("weeks_from_index", sa.Double(), nullable=True),
        sa.Column("session", sa.String(length=64), nullable=False),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trial", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("surface", sa.String(length=32), nullable=True),
        sa.Column("speed_mps", sa.Double(), nullable=True),
        sa.Column("incline_pct", sa.Double(), nullable=False),
        sa.Column("footwear", sa.String(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=True),
        sa.Column("sd", sa.Double(), nullable=True),
        sa.Column("median", sa.Double(), nullable=True),
        sa.Column("p05", sa.Double(), nullable=True),
        sa.Column("p95", sa.Double(), nullable=True),
        sa.Column("lag1", sa.Double(), nullable=True),
        sa.Column("ci95_low", sa.Double(), nullable=True),
        sa.Column("ci95_high", sa.Double(), nullable=True),
        sa.Column("ci95_strides_low", sa.Double(), nullable=True),
        sa.Column("ci95_strides_high", sa.Double(), nullable=True),
        sa.Column("se_reconstruction", sa.Double(), nullable=True),
        sa.Column("sem_measurement", sa.Double(), nullable=True),
        sa.Column("sem_source", sa.String(), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("quality", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("tier", sa.Integer(), nullable=True),
        sa.Column("definition_version", sa.Integer(), nullable=False),
        sa.Column("not_for_comparison", sa.String(), nullable=True),
        sa.Column("calibration_grade", sa.String(), nullable=True),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("pipeline_version", sa.String(), nullable=False),
        sa.Column("model_hash", sa.String(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["trial_id", "run"],
            ["run.trial_id", "run.run"],
            name=op.f("fk_trial_metric_trial_id_run_run"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("trial_id", "run", "metric", "side", name=op.f("pk_trial_metric")),
    )
    op.create_index(
        op.f("ix_trial_metric_captured_at_trial_id_run_metric_side"),
        "trial_metric",
        ["captured_at", "trial_id", "run", "metric", "side"],
        unique=False,
    )
    op.create_index(
        op.f("ix_trial_metric_subject_metric_side_captured_at"),
        "trial_metric",
        ["subject", "metric", "side", "captured_at"],
        unique=False,
    )
    op.create_index(op.f("ix_trial_metric_updated_at"), "trial_metric", ["updated_at"], unique=False)


def downgrade() -> None:
    """Back to no tables."""
    op.drop_index(op.f("ix_trial_metric_updated_at"), table_name="trial_metric")
    op.drop_index(op.f("ix_trial_metric_subject_metric_side_captured_at"), table_name="trial_metric")
    op.drop_index(op.f("ix_trial_metric_captured_at_trial_id_run_metric_side"), table_name="trial_metric")
    op.drop_table("trial_metric")
    op.drop_index(op.f("ix_file_trial_id"), table_name="file")
    op.drop_table("file")
    op.drop_table("run")
    op.drop_index(op.f("ix_trial_recorded_at_id"), table_name="trial")
    op.drop_table("trial")
    op.drop_table("session_score")
    op.drop_index(op.f("ix_session_episode_id"), table_name="session")
    op.drop_index(op.f("ix_session_captured_at_id"), table_name="session")
    op.drop_table("session")
    op.drop_table("goal")
    op.drop_table("episode")
    op.drop_table("subject")
    op.drop_table("index_state")
    op.drop_index(op.f("ix_index_problem_subject"), table_name="index_problem")
    op.drop_table("index_problem")
