"""Reading several tables as they were at one moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

#: Of a connection to SQLite: its transactions do not take the lock of writers.
ONLY_READS = "only_reads"


@contextmanager
def open_snapshot(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """Opens a session that only reads, and whose queries all see the same state: in PostgreSQL each
    query would see what others have committed before it. Others write meanwhile."""
    with sessions() as session:
        options: dict[str, Any] = {ONLY_READS: True}
        if session.get_bind().dialect.name == "postgresql":
            options = {"isolation_level": "REPEATABLE READ"}
        session.connection(execution_options=options)
        yield session
