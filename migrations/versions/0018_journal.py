"""The journal: which collection takes an alias's writes, who writes, and what was written while a
rebuild captures."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
oldest_program = "0013"

_UNRETIRED = sa.text("retired_at IS NULL")
_TIME = sa.DateTime(timezone=True)
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "write_states",
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("gate", sa.Text, nullable=False),
        sa.Column("closed_until", _TIME),
        sa.Column("leader", sa.Text, nullable=False),
        sa.Column("follower", sa.Text),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("captured_after", sa.BigInteger),
        sa.Column("sending_since", _TIME),
        sa.Column("quiet_until", _TIME),
        sa.Column("followed_by", sa.Text),
        sa.Column("followed_until", _TIME),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("alias"),
    )
    op.create_table(
        "writers",
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("lease_until", _TIME, nullable=False),
        sa.Column("confirmed", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("process"),
    )
    _create_journal()


def downgrade() -> None:
    for table in ("journal", "writers", "write_states"):
        op.drop_table(table)


def _create_journal() -> None:
    op.create_table(
        "journal",
        sa.Column("seq", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("point_ids", sa.JSON, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("carried", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("retired_at", _TIME),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "journal_by_alias",
        "journal",
        ["alias", "status"],
        sqlite_where=_UNRETIRED,
        postgresql_where=_UNRETIRED,
    )
