"""Rows of trials that were deleted or moved away, so that a dashboard learns that they went."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_CODES = ("subject", "session", "trial", "run", "metric")


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "tombstone",
        *(sa.Column(name, sa.String(64), nullable=False) for name in _CODES),
        sa.Column("side", sa.String(32), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(*_CODES, "side", name=op.f("pk_tombstone")),
    )
    op.create_index(op.f("ix_tombstone_deleted_at"), "tombstone", ["deleted_at"])


def downgrade() -> None:
    """From this revision."""
    op.drop_table("tombstone")
