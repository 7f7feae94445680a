"""What the lab's own error is learnt from: visits that repeat others, placements of stickers, where cameras looked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision. Rows made before are rebuilt from the folder, as INDEX_VERSION was raised with it."""
    with op.batch_alter_table("session") as table:
        table.add_column(sa.Column("repeats", sa.String(length=64), nullable=False, server_default=""))
        table.alter_column("repeats", server_default=None)
    with op.batch_alter_table("trial") as table:
        table.add_column(sa.Column("placement", sa.String(), nullable=False, server_default=""))
        table.alter_column("placement", server_default=None)
    with op.batch_alter_table("run") as table:
        table.add_column(sa.Column("camera_turns", sa.JSON(), nullable=False, server_default="{}"))
        table.alter_column("camera_turns", server_default=None)


def downgrade() -> None:
    """From this revision."""
    for name, column in (("run", "camera_turns"), ("trial", "placement"), ("session", "repeats")):
        with op.batch_alter_table(name) as table:
            table.drop_column(column)
