"""What the core receives: every concrete thing behind its port, and the engine's times.

Types are imported only for the type checker, so a process that only reads rows does not load the
models of the index file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qdrant_rollouts.core.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session, sessionmaker

    from qdrant_rollouts.core.config.index_file import (
        ConcurrencySpec,
        EmbeddingSpec,
        IndexSpec,
        ProviderSpec,
    )
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
    """The engine's times in seconds; celery-facts, «House numbers», gives the reason for each."""

    lease: float = 30.0
    renew_every: float = 10.0
    longest_lease: float = 90.0
    knock_again_after: float = 15.0
    #: Whether the sender holds a knock that is not due yet. Otherwise the sweep sends it when it is
    #: due.
    holds_waits: bool = False
    first_retry: float = 1.0
    longest_retry: float = 60.0
    #: How long one turn of bulk work lasts before it saves and ends.
    slice: float = 20.0
    #: Three looks at least this far apart must find an index ready (qdrant-facts 7.2: green for 5
    #: s).
    ready_look: float = 2.5
    crashes: int = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """How this program relates to the database's release. ``unfit`` says why it cannot work on the
    database; empty if it can. ``behind``: a newer release has changed the database, so other
    processes may know more."""

    unfit: str = ""
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Services:
    """Everything concrete that the core works with; created only in ``wiring``."""

    sessions: sessionmaker[Session]
    clock: Clock
    store: VectorStore
    embedder: Callable[[EmbeddingSpec], Embedder]
    source: Callable[[str], Source]
    #: The current index file, by alias.
    indexes: Callable[[], Mapping[str, IndexSpec]]
    knock: Knocker
    #: Where alerts go, by name, according to the current index file.
    alerts: Callable[[], Mapping[str, AlertChannel]]
    channel: RouteChannel
    shelf: Shelf
    times: Times = field(default_factory=Times)
    #: Read again at each call.
    standing: Callable[[], Standing] = Standing
    #: Exceptions with which the library that runs the turns interrupts a turn.
    interruptions: tuple[type[BaseException], ...] = (Interrupted,)
    #: How many rebuilds may run at once, according to the current index file; None if this process
    #: sees none.
    concurrency: Callable[[], ConcurrencySpec | None] = lambda: None
    #: The endpoints that embed, by name, according to the current index file.
    providers: Callable[[], Mapping[str, ProviderSpec]] = dict

    @property
    def engine(self) -> Engine:
        """The database that the sessions are bound to."""
        engine: Engine = self.sessions.kw["bind"]
        return engine

    def close(self) -> None:
        """Closes the vector store and the database connections."""
        self.store.close()
        self.engine.dispose()
