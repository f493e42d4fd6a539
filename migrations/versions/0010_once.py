"""Requests that start something, each with a key that its caller chose."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "once",
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("claim", sa.Integer, nullable=False),
        sa.Column("lease_until", _WHEN, nullable=False),
        sa.Column("started", sa.Text),
        sa.Column("answer", sa.JSON),
        sa.Column("created_at", _WHEN, nullable=False),
        sa.PrimaryKeyConstraint("caller", "key"),
    )
    op.create_index("ix_once_created_at", "once", ["created_at"])


def downgrade() -> None:
    op.drop_table("once")
