"""Schedules, and the result of each of their times."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_WHEN = sa.DateTime(timezone=True)
_OPEN = sa.text("status IN ('due', 'running')")


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("spec", sa.JSON),
        sa.Column("declared", sa.JSON),
        sa.Column("next_at", _WHEN),
        sa.Column("paused_by", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("waiting_since", _WHEN, nullable=False),
        sa.Column("told_at", _WHEN),
        sa.UniqueConstraint("alias", "action"),
    )
    op.create_index("schedules_by_next", "schedules", ["next_at"])
    _runs()


def _runs() -> None:
    op.create_table(
        "schedule_runs",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("schedule_id", sa.Integer, sa.ForeignKey("schedules.id"), nullable=False),
        sa.Column("nominal_at", _WHEN, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("deployment_id", sa.Text, sa.ForeignKey("deployments.id")),
        sa.Column("created_at", _WHEN, nullable=False),
        sa.Column("finished_at", _WHEN),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("lease_until", _WHEN),
        sa.Column("state", sa.JSON, nullable=False),
        sa.Column("result", sa.JSON, nullable=False),
        sa.UniqueConstraint("schedule_id", "nominal_at"),
    )
    op.create_index(
        "one_open_run_per_schedule",
        "schedule_runs",
        ["schedule_id"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )


def downgrade() -> None:
    op.drop_table("schedule_runs")
    op.drop_table("schedules")
