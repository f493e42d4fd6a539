"""Backups and their verifications are runs of the engine too, of their own kind."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_OPEN = sa.text("status NOT IN ('live', 'rolled_back')")


def upgrade() -> None:
    op.add_column(
        "deployments", sa.Column("kind", sa.Text, nullable=False, server_default="rollout")
    )
    op.drop_index("one_open_deployment_per_alias", "deployments")
    _unique("one_open_deployment_of_a_kind", ["alias", "kind"])


def downgrade() -> None:
    """Raises if an alias has several open runs: end them first."""
    op.drop_index("one_open_deployment_of_a_kind", "deployments")
    _unique("one_open_deployment_per_alias", ["alias"])
    op.drop_column("deployments", "kind")


def _unique(name: str, columns: list[str]) -> None:
    op.create_index(
        name, "deployments", columns, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN
    )
