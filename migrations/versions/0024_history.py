"""What the charts show: searches over time, how fast versions were filled, and when an alias
moved."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
oldest_program = "0013"

_TIME = sa.DateTime(timezone=True)
_SWITCHED = sa.text("event = 'alias.switched'")


def upgrade() -> None:
    op.create_table(
        "search_history",
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("errors", sa.BigInteger, nullable=False),
        sa.Column("latencies", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("alias", "level", "at", "collection"),
    )
    op.create_index("search_history_by_time", "search_history", ["level", "at"])
    op.create_table(
        "fill_history",
        sa.Column("deployment_id", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("rate", sa.Float),
        sa.PrimaryKeyConstraint("deployment_id", "at"),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"]),
    )
    op.create_index("fill_history_by_alias", "fill_history", ["alias", "at"])
    op.create_index("fill_history_by_time", "fill_history", ["at"])
    op.create_index(
        "events_of_moves",
        "events",
        ["alias", "at"],
        sqlite_where=_SWITCHED,
        postgresql_where=_SWITCHED,
    )


def downgrade() -> None:
    op.drop_index("events_of_moves", "events")
    op.drop_table("fill_history")
    op.drop_table("search_history")
