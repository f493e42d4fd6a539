"""Locks by name that last until the transaction ends: several may share one, or one has it alone.

PostgreSQL keeps advisory locks in memory, so a shared lock writes nothing. SQLite's transactions
begin with the lock of the whole database, so they need no other.
"""

import zlib

from sqlalchemy import text
from sqlalchemy.orm import Session

#: Separates these locks from others that have two numbers.
_SPACE = 7_246_106


def lock_shared(session: Session, name: str) -> None:
    """Two names may share a lock, which only lets one wait for the other."""
    _lock(session, "pg_advisory_xact_lock_shared", name)


def lock_alone(session: Session, name: str) -> None:
    _lock(session, "pg_advisory_xact_lock", name)


def _lock(session: Session, function: str, name: str) -> None:
    if session.get_bind().dialect.name == "postgresql":
        number = zlib.crc32(name.encode()) - 2**31
        statement = text(f"SELECT {function}(CAST(:space AS int), CAST(:number AS int))")
        session.execute(statement, {"space": _SPACE, "number": number})
