"""What the core is handed: every concrete thing behind its port, and the engine's numbers.

Types are named for the checker alone: whoever only looks at rows loads no index file's models with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qdrant_rollouts.core.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session, sessionmaker

    from qdrant_rollouts.core.config.index_file import ConcurrencySpec, EmbeddingSpec, IndexSpec
    from qdrant_rollouts.core.ports import (
        AlertChannel,
        Clock,
        Embedder,
        Knocker,
        RouteChannel,
        Shelf,
        Source,
        VectorStore,
    )


@dataclass(frozen=True, slots=True)
class Times:
    """The engine's numbers in seconds; celery-facts, «House numbers», says where each comes from."""

    lease: float = 30.0
    renew_every: float = 10.0
    longest_lease: float = 90.0
    knock_again_after: float = 15.0
    #: Whether a knock that is not due yet is held by who sends it. Otherwise the sweep sends it when it is due.
    holds_waits: bool = False
    first_retry: float = 1.0
    longest_retry: float = 60.0
    #: How long one turn of bulk work lasts before it saves and lets go.
    slice: float = 20.0
    #: Three looks at least this far apart must find an index ready (qdrant-facts 7.2: green for 5 s).
    ready_look: float = 2.5
    crashes: int = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """How this program stands to the database. ``unfit`` says why it cannot work on it, and is empty where it can;
    ``behind`` is whether a newer release has changed it, so that other processes may know more."""

    unfit: str = ""
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Services:
    """Everything concrete the core works with; made in ``wiring`` and nowhere else."""

    sessions: sessionmaker[Session]
    clock: Clock
    store: VectorStore
    embedder: Callable[[EmbeddingSpec], Embedder]
    source: Callable[[str], Source]
    #: The index file as it is now, by alias.
    indexes: Callable[[], Mapping[str, IndexSpec]]
    knock: Knocker
    #: Where alerts go, by name, as the index file says now.
    alerts: Callable[[], Mapping[str, AlertChannel]]
    channel: RouteChannel
    shelf: Shelf
    times: Times = field(default_factory=Times)
    #: Looked at anew with each call.
    standing: Callable[[], Standing] = Standing
    #: Exceptions that mean "cut short from outside" to the library that runs the turns.
    interruptions: tuple[type[BaseException], ...] = (Interrupted,)
    #: How many rebuilds may run at once, as the index file says now; None where this process sees none.
    concurrency: Callable[[], ConcurrencySpec | None] = lambda: None

    @property
    def engine(self) -> Engine:
        """The database that the sessions are bound to."""
        engine: Engine = self.sessions.kw["bind"]
        return engine

    def close(self) -> None:
        """Lets go of the vector store and of the database connections."""
        self.store.close()
        self.engine.dispose()
