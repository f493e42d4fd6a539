"""Alerts: what lasts, what must be sent, what each channel was sent; the source and reason of an
event."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_WHEN = sa.DateTime(timezone=True)
_UNSPREAD = sa.text("NOT spread")
_WAITING = sa.text("status = 'waiting'")


def upgrade() -> None:
    op.add_column("events", sa.Column("reason", sa.Text, nullable=False, server_default=""))
    op.add_column("events", sa.Column("source", sa.Text, nullable=False, server_default=""))
    _conditions()
    _notices()
    _deliveries()


def downgrade() -> None:
    for table in ("alert_deliveries", "alert_notices", "alert_conditions"):
        op.drop_table(table)
    op.drop_column("events", "source")
    op.drop_column("events", "reason")


def _conditions() -> None:
    op.create_table(
        "alert_conditions",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("since", _WHEN, nullable=False),
        sa.Column("repeat_at", _WHEN, nullable=False),
        sa.Column("message", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("alias", "what"),
    )


def _notices() -> None:
    op.create_table(
        "alert_notices",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("at", _WHEN, nullable=False),
        sa.Column("message", sa.JSON, nullable=False),
        sa.Column("spread", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ix_alert_notices_alias", "alert_notices", ["alias"])
    op.create_index(
        "unspread_notices",
        "alert_notices",
        ["number"],
        sqlite_where=_UNSPREAD,
        postgresql_where=_UNSPREAD,
    )


def _deliveries() -> None:
    op.create_table(
        "alert_deliveries",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("due_at", _WHEN, nullable=False),
        sa.Column("lease_until", _WHEN),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("sent_at", _WHEN),
        sa.ForeignKeyConstraint(["number"], ["alert_notices.number"]),
        sa.PrimaryKeyConstraint("number", "channel"),
    )
    op.create_index(
        "waiting_deliveries",
        "alert_deliveries",
        ["channel", "number"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )
