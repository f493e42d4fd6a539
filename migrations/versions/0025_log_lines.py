"""The log lines of deployments, for their pages."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
oldest_program = "0013"


def upgrade() -> None:
    op.create_table(
        "log_lines",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("deployment_id", sa.Text, sa.ForeignKey("deployments.id"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("logger", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("log_lines_of_deployment", "log_lines", ["deployment_id", "id"])
    op.create_index("log_lines_by_time", "log_lines", ["at"])


def downgrade() -> None:
    op.drop_table("log_lines")
