"""The backup that a deletion waits for."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("deletions", sa.Column("backup_id", sa.Text))


def downgrade() -> None:
    op.drop_column("deletions", "backup_id")
