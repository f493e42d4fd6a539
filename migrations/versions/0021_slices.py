"""Slices: the parts of a source that several workers fill at the same time."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
oldest_program = "0013"

_TIME = sa.DateTime(timezone=True)
_FILLING = sa.text("status = 'filling'")


def upgrade() -> None:
    op.create_table(
        "slices",
        sa.Column("deployment_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("start", sa.JSON),
        sa.Column("stop", sa.JSON),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("state", sa.JSON, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("wake_at", _TIME, nullable=False),
        sa.Column("lease_until", _TIME),
        sa.Column("lease_owner", sa.Text),
        sa.Column("knocked_at", _TIME),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("waited", sa.Float, nullable=False),
        sa.Column("unsure", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", "number"),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"]),
    )
    op.create_index(
        "slices_filling", "slices", ["wake_at"], sqlite_where=_FILLING, postgresql_where=_FILLING
    )


def downgrade() -> None:
    op.drop_table("slices")
