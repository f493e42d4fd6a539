"""Places: how many rebuilds run at once, and which deployments wait for a place."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
oldest_program = "0013"

_PLACED = sa.text("place IS NOT NULL")


def upgrade() -> None:
    op.add_column("deployments", sa.Column("place", sa.Text))
    op.add_column("deployments", sa.Column("placed_at", sa.DateTime(timezone=True)))
    op.add_column("deployments", sa.Column("models", sa.JSON, nullable=False, server_default="[]"))
    op.add_column(
        "deployments", sa.Column("records", sa.BigInteger, nullable=False, server_default="0")
    )
    op.create_index(
        "deployments_by_place",
        "deployments",
        ["place"],
        sqlite_where=_PLACED,
        postgresql_where=_PLACED,
    )
    op.create_table(
        "places",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("rebuilds", sa.Integer, nullable=False),
        sa.Column("per_model", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("places")
    op.drop_index("deployments_by_place", "deployments")
    for column in ("records", "models", "placed_at", "place"):
        op.drop_column("deployments", column)
