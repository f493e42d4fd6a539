"""Which programs work with this database, for programs that do not know its revision."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
#: Older programs do not read this.
oldest_program = "0013"


def upgrade() -> None:
    op.create_table(
        "works_with",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("oldest_program", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("works_with")
