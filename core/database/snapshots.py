"""Reading several tables as they were at one moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session, sessionmaker


@contextmanager
def open_snapshot(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """Opens a session whose queries all see the same state. In PostgreSQL each query would see what
    others have committed before it; in SQLite nobody else writes meanwhile."""
    with sessions() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session
