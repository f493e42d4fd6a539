"""The lock of all writers: processes that renew their leases share it, and whoever announces a
rebuild has it alone. It lasts until the transaction ends.

PostgreSQL keeps advisory locks in memory, so a shared lock writes nothing. SQLite's transactions
begin with the lock of the whole database, so they need no other.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

#: Any number that is the same in every process and no other lock's.
_WRITERS = 7_246_106


def share_writers(session: Session) -> None:
    _lock(session, "pg_advisory_xact_lock_shared")


def exclude_writers(session: Session) -> None:
    _lock(session, "pg_advisory_xact_lock")


def _lock(session: Session, function: str) -> None:
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SELECT {function}(:number)"), {"number": _WRITERS})
