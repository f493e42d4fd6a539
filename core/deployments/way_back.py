"""What becomes of writes if an alias goes back to the version before, said before it does."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.journal_rows import JournalRow, Phase, WriteStateRow
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.stored_json import read_stored


def brings_back(last: Deployment) -> bool:
    """Returns whether the version before gets what was written since. ``last``: the deployment that
    brought the live version."""
    return read_stored(IndexSpec, last.spec).writes.leads_live


def describe_writes(session: Session, last: Deployment) -> str:
    """Returns what becomes of what was written since the switch, in words."""
    way = read_stored(IndexSpec, last.spec).writes.way
    if way == "journal" and is_followed(session, last.alias, last.green, last.blue):
        left = _count_left(session, last.alias)
        if not left:
            return f"{last.blue} has everything that was written since"
        return f"{left:,} writes are not in {last.blue} yet; they come with it"
    if way in ("journal", "compare"):
        return f"what was written to {last.green} since is brought to {last.blue} first"
    if way == "source":
        return f"it shows the records as they were when {last.blue} was built"
    return f"what was written to {last.green} since stays there"


def is_followed(session: Session, alias: str, leader: str, older: str | None) -> bool:
    """Returns whether the journal keeps the older version like the leading one."""
    row = session.get(WriteStateRow, alias)
    return (
        row is not None
        and row.phase != Phase.IDLE
        and (row.leader, row.follower) == (leader, older)
    )


def _count_left(session: Session, alias: str) -> int:
    left = select(func.count()).where(JournalRow.alias == alias, JournalRow.retired_at.is_(None))
    return session.scalar(left) or 0
