"""Named releases and the runs that count in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "release",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("pipeline_version", sa.String(), nullable=False),
        sa.Column("definition_version", sa.Integer(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("errors", sa.String(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_release")),
    )
    op.create_table(
        "release_member",
        sa.Column("release", sa.String(64), nullable=False),
        sa.Column("trial_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["release"], ["release.name"], name=op.f("fk_release_member_release_release"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["trial_id", "run"],
            ["run.trial_id", "run.run"],
            name=op.f("fk_release_member_trial_id_run_run"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("release", "trial_id", name=op.f("pk_release_member")),
    )
    op.create_index(op.f("ix_release_member_trial_id_run"), "release_member", ["trial_id", "run"])


def downgrade() -> None:
    """From this revision."""
    op.drop_table("release_member")
    op.drop_table("release")
