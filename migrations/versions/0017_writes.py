"""What is remembered while an index is rebuilt under writes: collections that refuse writes for a
moment, and which records a source had."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
oldest_program = "0013"


def upgrade() -> None:
    op.create_table(
        "freezes",
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("deployment_id", sa.Text, nullable=False),
        sa.Column("strict", sa.JSON),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("collection"),
    )
    op.create_table(
        "seen_ids",
        sa.Column("deployment_id", sa.Text, nullable=False),
        sa.Column("after", sa.BigInteger, nullable=False),
        sa.Column("ids", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", "after"),
    )


def downgrade() -> None:
    op.drop_table("seen_ids")
    op.drop_table("freezes")
