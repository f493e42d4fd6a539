"""How the treatments of an experiment are kept like its control while it runs."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
oldest_program = "0013"

_TIME = sa.DateTime(timezone=True)
_COUNTS = ("rounds", "made", "deleted", "bad")


def upgrade() -> None:
    op.create_table(
        "treatments",
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("left_alone", sa.Text, nullable=False),
        sa.Column("round", sa.JSON, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in _COUNTS),
        sa.Column("round_ended_at", _TIME),
        sa.Column("failure", sa.Text, nullable=False),
        sa.Column("failing_since", _TIME),
        sa.Column("failure_told", sa.Boolean, nullable=False),
        sa.Column("next_at", _TIME, nullable=False),
        sa.Column("followed_by", sa.Text),
        sa.Column("followed_until", _TIME),
        sa.PrimaryKeyConstraint("experiment_id", "collection"),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"]),
    )


def downgrade() -> None:
    op.drop_table("treatments")
