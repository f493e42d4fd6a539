"""Routes, the processes that serve them, and what they observed; steps with arguments."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("steps", sa.Column("arguments", sa.JSON, nullable=False, server_default="{}"))
    _routes()
    _searchers()
    _traffic()


def downgrade() -> None:
    for table in ("traffic", "searchers", "routes"):
        op.drop_table(table)
    op.drop_column("steps", "arguments")


def _routes() -> None:
    op.create_table(
        "routes",
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("deployment_id", sa.Text),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("salt", sa.Text, nullable=False),
        sa.Column("blue", sa.Text),
        sa.Column("green", sa.Text),
        sa.Column("share", sa.Integer, nullable=False),
        sa.Column("shadow", sa.Integer, nullable=False),
        sa.Column("changed_at", _WHEN, nullable=False),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"]),
        sa.PrimaryKeyConstraint("alias"),
    )


def _searchers() -> None:
    op.create_table(
        "searchers",
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("seen_at", _WHEN, nullable=False),
        sa.PrimaryKeyConstraint("process", "alias"),
    )


def _traffic() -> None:
    op.create_table(
        "traffic",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("at", _WHEN, nullable=False),
        sa.Column("tally", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("process", "sequence", "stage", "variant", "kind", "collection"),
    )
    op.create_index("traffic_by_stage", "traffic", ["alias", "stage"])
    op.create_index("traffic_by_time", "traffic", ["at"])
