"""Versions store the facts about them; adopted versions have no deployment."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with op.batch_alter_table("versions") as versions:
        versions.add_column(sa.Column("facts", sa.JSON, nullable=False, server_default="{}"))
        versions.alter_column("deployment_id", existing_type=sa.Text, nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM versions WHERE deployment_id IS NULL")
    with op.batch_alter_table("versions") as versions:
        versions.alter_column("deployment_id", existing_type=sa.Text, nullable=False)
        versions.drop_column("facts")
