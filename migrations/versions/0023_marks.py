"""Versions that people have marked bad."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
oldest_program = "0013"

_COLUMNS = (
    ("marked_bad_at", sa.DateTime(timezone=True)),
    ("marked_bad_by", sa.Text()),
    ("marked_bad_because", sa.Text()),
)


def upgrade() -> None:
    for name, kind in _COLUMNS:
        op.add_column("versions", sa.Column(name, kind))


def downgrade() -> None:
    for name, _ in _COLUMNS:
        op.drop_column("versions", name)
