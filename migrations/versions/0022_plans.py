"""What each deployment was expected to take, to be compared with what it took."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
oldest_program = "0013"


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("deployment_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("estimate", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("deployment_id"),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"]),
    )


def downgrade() -> None:
    op.drop_table("plans")
