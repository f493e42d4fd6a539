"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_WHEN = sa.DateTime(timezone=True)
_OPEN = sa.text("status NOT IN ('live', 'rolled_back')")
_DUE = sa.text("status IN ('scheduled', 'deleting')")


def upgrade() -> None:
    _alias_states()
    _deployments()
    _service_clock()
    _deletions()
    _events()
    _steps()
    _versions()


def downgrade() -> None:
    for table in (
        "versions",
        "steps",
        "events",
        "deletions",
        "service_clock",
        "deployments",
        "alias_states",
    ):
        op.drop_table(table)


def _alias_states() -> None:
    op.create_table(
        "alias_states",
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("desired", sa.Text),
        sa.Column("previous", sa.Text),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("settled", sa.Boolean, nullable=False),
        sa.Column("changed_at", _WHEN, nullable=False),
        sa.PrimaryKeyConstraint("alias"),
    )


def _deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("blue", sa.Text),
        sa.Column("green", sa.Text, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("paused_for", sa.Text),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("created_at", _WHEN, nullable=False),
        sa.Column("finished_at", _WHEN),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("wake_at", _WHEN, nullable=False),
        sa.Column("claimed_at", _WHEN),
        sa.Column("lease_until", _WHEN),
        sa.Column("lease_owner", sa.Text),
        sa.Column("knocked_at", _WHEN),
        sa.Column("knocks", sa.Integer, nullable=False),
        sa.Column("requested", sa.Text),
        sa.Column("requested_by", sa.Text),
        sa.Column("requested_reason", sa.Text),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("deployments_by_alias", "deployments", ["alias", "created_at"])
    op.create_index(
        "one_open_deployment_per_alias",
        "deployments",
        ["alias"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_index(
        "open_deployments_by_wake",
        "deployments",
        ["wake_at"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )


def _service_clock() -> None:
    op.create_table(
        "service_clock",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("elapsed", sa.Double, nullable=False),
        sa.Column("last", _WHEN, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _deletions() -> None:
    op.create_table(
        "deletions",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("alias", sa.Text),
        sa.Column("deployment_id", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("due_at", _WHEN, nullable=False),
        sa.Column("due_elapsed", sa.Double, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", _WHEN, nullable=False),
        sa.Column("finished_at", _WHEN),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "one_open_deletion_per_collection",
        "deletions",
        ["collection"],
        unique=True,
        sqlite_where=_DUE,
        postgresql_where=_DUE,
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("deployment_id", sa.Text),
        sa.Column("alias", sa.Text),
        sa.Column("at", _WHEN, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_events_alias", "events", ["alias"])
    op.create_index("ix_events_deployment_id", "events", ["deployment_id"])


def _steps() -> None:
    op.create_table(
        "steps",
        sa.Column("deployment_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("waited", sa.Double, nullable=False),
        sa.Column("started_at", _WHEN),
        sa.Column("finished_at", _WHEN),
        sa.Column("undone_at", _WHEN),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("state", sa.JSON, nullable=False),
        sa.Column("output", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"]),
        sa.PrimaryKeyConstraint("deployment_id", "position"),
    )


def _versions() -> None:
    op.create_table(
        "versions",
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("parent", sa.Text),
        sa.Column("deployment_id", sa.Text, nullable=False),
        sa.Column("created_at", _WHEN, nullable=False),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"]),
        sa.PrimaryKeyConstraint("collection"),
        sa.UniqueConstraint("alias", "number"),
    )
