"""Clones: nothing in the tables. A program of the release before leaves to newer ones what a step
has written down that clones a collection (``core.database.step_data``, form 2)."""

revision = "0021"
down_revision = "0020"
oldest_program = "0013"


def upgrade() -> None:
    """Only the revision changes."""


def downgrade() -> None:
    """Only the revision changes."""
