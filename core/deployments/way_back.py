"""What is said of a way back: the command for it, and what becomes of writes."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections.serving_history import ServingHistory
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.journal_rows import JournalRow, Phase, WriteStateRow
from qdrant_rollouts.core.ports.naming import shell_word


def build_command(alias: str, *options: str) -> str:
    """Returns ``rollouts rollback`` with these options, as a person can paste it."""
    word = shell_word(alias)
    said = " ".join(option if option.startswith("--") else shell_word(option) for option in options)
    parts = (said, word) if alias.startswith("-") else (word, said)
    return " ".join(["rollouts rollback", *filter(None, parts)])


def name_way(live: str, older: str, history: ServingHistory) -> tuple[str, ...]:
    """Returns the options with which a rollback from ``live`` leads to ``older``: none only if it
    leads there by itself."""
    if history.find_default(live) == older:
        return ()
    return ("--to", older, *(["--force"] if older in history.bad else []))


def describe_writes(session: Session, alias: str, spec: IndexSpec, live: str, older: str) -> str:
    """Returns what becomes of what was written since ``older`` was replaced, in words. ``spec``:
    the settings of the deployment that brought ``live``."""
    way = spec.writes.way
    if way == "journal" and is_followed(session, alias, live, older):
        left = _count_left(session, alias)
        if not left:
            return f"{older} has everything that was written since"
        return f"{left:,} writes are not in {older} yet; they come with it"
    if way in ("journal", "compare"):
        return f"what was written to {live} since is brought to {older} first"
    if way == "source":
        return f"it shows the records as they were when {older} was built"
    return f"what was written to {live} since stays there"


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
