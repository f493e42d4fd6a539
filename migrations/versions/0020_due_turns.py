"""Due turns: an index for each list of turns that the sweep reads, so that it reads what is due and
nothing that waits."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
oldest_program = "0013"

_OPEN = "status NOT IN ('completed', 'live', 'rolled_back')"
_FREE_TO_MOVE = (
    f"{_OPEN} AND lease_until IS NULL "
    "AND (requested IS NOT NULL OR status IN ('pending', 'rolling_back', 'running') "
    "AND (place IS NULL OR place <> 'waiting'))"
)
_INDEXES: dict[str, tuple[str | sa.TextClause, str]] = {
    "turns_unasked": (
        sa.text("(CASE WHEN requested IS NULL THEN wake_at ELSE created_at END)"),
        f"{_FREE_TO_MOVE} AND (knocked_at IS NULL OR requested IS NULL AND knocked_at < wake_at)",
    ),
    "turns_asked": (
        "knocked_at",
        f"{_FREE_TO_MOVE} "
        "AND (requested IS NOT NULL AND knocked_at IS NOT NULL OR knocked_at >= wake_at)",
    ),
    "turns_held": ("lease_until", "lease_until IS NOT NULL"),
    "turns_paused": (
        "wake_at",
        "status = 'paused' AND requested IS NULL AND lease_until IS NULL",
    ),
    "turns_written": (sa.text("coalesce(knocked_at, created_at)"), _OPEN),
}


def upgrade() -> None:
    for name, (key, rows) in _INDEXES.items():
        _create_index(name, key, rows)
    op.drop_index("open_deployments_by_wake", "deployments")


def downgrade() -> None:
    _create_index("open_deployments_by_wake", "wake_at", _OPEN)
    for name in _INDEXES:
        op.drop_index(name, "deployments")


def _create_index(name: str, key: str | sa.TextClause, rows: str) -> None:
    where = sa.text(rows)
    op.create_index(name, "deployments", [key], sqlite_where=where, postgresql_where=where)
