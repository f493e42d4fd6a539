"""A deployment whose plan moves no alias ends `completed`: its alias is free again."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
oldest_program = "0013"

_OPEN = "status NOT IN ('completed', 'live', 'rolled_back')"
_OPEN_BEFORE = "status NOT IN ('live', 'rolled_back')"


def upgrade() -> None:
    _index_open(_OPEN)


def downgrade() -> None:
    """Raises where an alias has several such deployments: the release before takes them for open
    ones."""
    _index_open(_OPEN_BEFORE)


def _index_open(condition: str) -> None:
    where = sa.text(condition)
    op.drop_index("one_open_deployment_of_a_kind", "deployments")
    op.drop_index("open_deployments_by_wake", "deployments")
    kind = ["alias", "kind"]
    op.create_index(
        "one_open_deployment_of_a_kind",
        "deployments",
        kind,
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )
    op.create_index(
        "open_deployments_by_wake",
        "deployments",
        ["wake_at"],
        sqlite_where=where,
        postgresql_where=where,
    )
