"""Which share of a metric's landmark samples was filled in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision. Rows made before are rebuilt from the folder, as INDEX_VERSION was raised with it."""
    with op.batch_alter_table("trial_metric") as table:
        table.add_column(sa.Column("interpolated_share", sa.Double(), nullable=True))


def downgrade() -> None:
    """From this revision."""
    with op.batch_alter_table("trial_metric") as table:
        table.drop_column("interpolated_share")
