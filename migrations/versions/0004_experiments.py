"""Experiments: their questions, who was exposed, what users did, and the result of each look;
routes with arms."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_WHEN = sa.DateTime(timezone=True)
_RUNNING = sa.text("status = 'running'")
_TABLES = (
    "experiment_looks",
    "clicks",
    "impressions",
    "batches",
    "feedback_keys",
    "experiment_counts",
    "sketches",
    "unit_sums",
    "exposures",
)


def upgrade() -> None:
    _experiments()
    _exposures()
    _unit_sums()
    _sketches()
    _counts()
    _interleaving()
    _looks()
    op.add_column("routes", sa.Column("experiment_id", sa.Text))
    op.add_column("routes", sa.Column("arms", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("routes", "arms")
    op.drop_column("routes", "experiment_id")
    for table in (*_TABLES, "experiments"):
        op.drop_table(table)


def _experiments() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("alias", sa.Text),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("stages", sa.JSON, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("looks", sa.Integer, nullable=False),
        sa.Column("decision", sa.JSON, nullable=False),
        sa.Column("deployment_id", sa.Text),
        sa.Column("created_at", _WHEN, nullable=False),
        sa.Column("started_at", _WHEN),
        sa.Column("finished_at", _WHEN),
        sa.Column("next_look_at", _WHEN),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_experiments_name", "experiments", ["name"])
    for name, column, unique in (
        ("one_running_experiment_per_route", "route", True),
        ("running_experiments_by_look", "next_look_at", False),
    ):
        op.create_index(
            name,
            "experiments",
            [column],
            unique=unique,
            sqlite_where=_RUNNING,
            postgresql_where=_RUNNING,
        )


def _exposures() -> None:
    op.create_table(
        "exposures",
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.Column("bucket", sa.Integer, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("first_seen_at", _WHEN, nullable=False),
        sa.Column("closes_at", _WHEN, nullable=False),
        sa.Column("crossed", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"]),
        sa.PrimaryKeyConstraint("experiment_id", "unit"),
        sqlite_with_rowid=False,
    )


def _unit_sums() -> None:
    op.create_table(
        "unit_sums",
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("closes_at", _WHEN, nullable=False),
        sa.Column("count", sa.Float, nullable=False),
        sa.Column("total", sa.Float, nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"]),
        sa.PrimaryKeyConstraint("experiment_id", "metric", "variant", "stage", "unit"),
        sqlite_with_rowid=False,
    )


def _sketches() -> None:
    op.create_table(
        "sketches",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.Column("closes_at", _WHEN),
        sa.Column("tally", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    columns = ["experiment_id", "metric", "variant", "stage", "closes_at"]
    op.create_index("sketches_by_metric", "sketches", columns)


def _counts() -> None:
    op.create_table(
        "experiment_counts",
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("total", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "what", "variant", "metric"),
    )
    op.create_table(
        "feedback_keys",
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("at", _WHEN, nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"]),
        sa.PrimaryKeyConstraint("experiment_id", "key"),
    )
    op.create_index("feedback_keys_by_time", "feedback_keys", ["at"])
    op.create_table(
        "batches",
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("at", _WHEN, nullable=False),
        sa.PrimaryKeyConstraint("process"),
    )


def _interleaving() -> None:
    op.create_table(
        "impressions",
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("query_id", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("served", sa.JSON, nullable=False),
        sa.Column("closes_at", _WHEN, nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"]),
        sa.PrimaryKeyConstraint("experiment_id", "query_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "clicks",
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("query_id", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("credit", sa.Integer, nullable=False),
        sa.Column("closes_at", _WHEN, nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"]),
        sa.PrimaryKeyConstraint("experiment_id", "query_id", "document"),
        sqlite_with_rowid=False,
    )


def _looks() -> None:
    op.create_table(
        "experiment_looks",
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at", _WHEN, nullable=False),
        sa.Column("report", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"]),
        sa.PrimaryKeyConstraint("experiment_id", "number"),
    )
