"""An index that finds recently ended steps without reading all of them."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_index("steps_by_end", "steps", ["finished_at"])


def downgrade() -> None:
    op.drop_index("steps_by_end", "steps")
