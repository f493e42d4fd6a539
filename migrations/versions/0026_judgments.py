"""Judgments that people propose for the judged file of an index."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
oldest_program = "0013"


def upgrade() -> None:
    op.create_table(
        "judgments",
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("relevant", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("alias", "digest"),
    )


def downgrade() -> None:
    op.drop_table("judgments")
