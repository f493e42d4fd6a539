"""A whole installation in one process, moved by the test: the test is the clock, the broker and
every worker.

The engine, the steps, the database and the sources are real. Qdrant is the embedded store, whose
port has its own contract suite. The broker keeps its knocks in a list, for a test to deliver, lose,
double or shuffle.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from qdrant_rollouts.adapters.database import open_sessions
from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.adapters.migrate import migrate_database
from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.adapters.route_channel import SilentChannel
from qdrant_rollouts.adapters.shelf import FolderShelf
from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.answers.deployments import ListedEvent
from qdrant_rollouts.core.config.index_file import ConcurrencySpec, IndexSpec
from qdrant_rollouts.core.database.alert_rows import NoticeRow
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.defaults import ROWS
from qdrant_rollouts.core.deployments import commands, engine
from qdrant_rollouts.core.deployments.turn_record import TurnResult
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.operations.views.audit_events import EventFilter, list_audit_events
from qdrant_rollouts.core.ports import AlertChannel, Knock, Notice, VectorStore
from qdrant_rollouts.core.routing import AsyncRouter, Router
from qdrant_rollouts.core.services import Services, Times
from tests.databases import reopen_engine
from tests.reach import ByDatabase, Reach

DIMENSION = 64
#: Local mode takes time for each search, and many tests pass the gate.
FEW = {"records": 12, "queries": 12}
#: These checks decide nothing unless the index file gives a bound, and on a server they take half
#: of a small gate's time.
UNTIMED = {"latency_p50": False, "latency_p95": False}
EMBEDDING = {"model": f"hashing:{DIMENSION}", "text": "{text}"}


@dataclass
class HandClock:
    moment: datetime = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)

    def now(self, session: Session) -> datetime:
        return self.moment

    def stamp(self, connection: object) -> datetime:
        return self.moment

    def move(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class HandBroker:
    clock: HandClock
    waiting: list[tuple[datetime, Knock]] = field(default_factory=list)

    def __call__(self, knock: Knock) -> None:
        self.waiting.append((self.clock.moment + timedelta(seconds=knock.countdown), knock))

    def take_next(self) -> Knock | None:
        """Returns the knock that is due first, and moves the clock there."""
        if not self.waiting:
            return None
        due, knock = min(self.waiting, key=lambda entry: entry[0])
        self.waiting.remove((due, knock))
        self.clock.moment = max(self.clock.moment, due)
        return knock


class World:
    """One installation. ``indexes`` may be changed between deployments, as a person edits the index
    file."""

    def __init__(self, folder: Path, database_url: str, store: VectorStore | None = None) -> None:
        self.folder = folder
        self.engine: Engine = reopen_engine(database_url)
        migrate_database(self.engine)
        self.clock = HandClock()
        self.broker = HandBroker(self.clock)
        self.indexes: dict[str, IndexSpec] = {}
        self.concurrency: ConcurrencySpec | None = None
        self.channels: dict[str, AlertChannel] = {}
        self.store = store or LocalStore(":memory:")
        self.reach: Reach = ByDatabase()
        shelf = FolderShelf(folder / "backups")
        self.services = Services(
            sessions=open_sessions(self.engine),
            clock=self.clock,
            store=self.store,
            embedder=open_embedder,
            source=partial(open_source, roots=(folder,), store=self.store, shelf=shelf),
            indexes=lambda: self.indexes,
            knock=self.broker,
            alerts=lambda: self.channels,
            channel=SilentChannel(),
            shelf=shelf,
            times=Times(turn_time=5.0, holds_waits=True),
            concurrency=lambda: self.concurrency,
        )

    def close(self) -> None:
        self.reach.close()
        self.store.close()
        self.engine.dispose()

    def over(self, store: VectorStore) -> None:
        """From now on the services use this store, which usually wraps the first one."""
        self.store = store
        source = partial(open_source, roots=(self.folder,), store=store, shelf=self.services.shelf)
        self.change_services(store=store, source=source)

    def move(self, folder: Path) -> None:
        """From now on files and backups are in this folder."""
        self.folder = folder
        shelf = FolderShelf(folder / "backups")
        source = partial(open_source, roots=(folder,), store=self.store, shelf=shelf)
        self.change_services(shelf=shelf, source=source)

    def change_services(self, **parts: Any) -> None:
        """From now on the services have these parts."""
        self.services = replace(self.services, **parts)

    def open_router(self, **parts: Any) -> Router:
        """Opens one over services that have these parts."""
        return self.reach.open_router(replace(self.services, **parts))

    def open_async_router(self) -> AsyncRouter:
        return self.reach.open_async_router(self.services)

    def declare(self, alias: str, **settings: Any) -> None:
        base: Mapping[str, Any] = {
            "embedding": EMBEDDING,
            "soak": {"seconds": 2, "interval_seconds": 1},
        }
        validation = {
            "samples": FEW,
            "live_searches_per_second": 1e6,
            "checks": UNTIMED,
            **settings.pop("validation", {}),
        }
        self.indexes[alias] = IndexSpec.model_validate(
            {**base, **settings, "validation": validation}
        )

    def write(self, name: str, records: list[dict[str, Any]]) -> str:
        """Writes a JSONL file of records; returns the source that reads it."""
        lines = [json.dumps(record) for record in records]
        (self.folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return f"jsonl:{name}"

    def deploy(self, alias: str, **arguments: Any) -> str:
        return commands.start_deployment(self.services, alias, actor="anna", **arguments)

    def turn(self, knock: Knock) -> TurnResult:
        return engine.take_turn(self.services, knock, "hand")

    def run(self, until: Callable[[], bool] = lambda: False, turns: int = 200) -> None:
        """Delivers knocks in the order of their due times, until none is left, or ``until`` holds
        before a turn."""
        for _ in range(turns):
            if until():
                return
            knock = self.broker.take_next()
            if knock is None:
                return
            self.turn(knock)
        raise AssertionError(f"still moving after {turns} turns: {self.broker.waiting}")

    def status(self, deployment_id: str) -> dict[str, Any]:
        return dict(queries.get_deployment(self.services, deployment_id))

    def read_status(self, deployment_id: str) -> str:
        """Returns the status alone: that takes a tenth of the time of everything about it."""
        query = select(Deployment.status).where(Deployment.id == deployment_id)
        with self.services.sessions() as session:
            return session.scalars(query).one()

    def told(self) -> list[Notice]:
        """Returns every alert so far, in the order in which they were recorded."""
        with self.services.sessions() as session:
            rows = session.scalars(select(NoticeRow).order_by(NoticeRow.number))
            return [outbox.read_notice(row.message) for row in rows]

    def list_events(self, alias: str | None = None, limit: int = ROWS) -> list[ListedEvent]:
        """The audit events, newest first."""
        return list_audit_events(self.services, EventFilter(alias=alias), limit)["events"]

    def step(self, deployment_id: str, name: str) -> dict[str, Any]:
        return next(step for step in self.status(deployment_id)["steps"] if step["name"] == name)

    def at(self, deployment_id: str, name: str) -> Callable[[], bool]:
        """True once every step before ``name`` is done."""

        query = (
            select(StepRow.name, StepRow.status)
            .where(StepRow.deployment_id == deployment_id)
            .order_by(StepRow.position)
        )

        def reached() -> bool:
            with self.services.sessions() as session:
                steps = session.execute(query).all()
            names = [step.name for step in steps]
            return all(step.status in ("done", "skipped") for step in steps[: names.index(name)])

        return reached


def texts(count: int, start: int = 0, about: str = "asyncio") -> list[dict[str, Any]]:
    return [
        {"id": number, "text": f"text {number} about {about} and python"}
        for number in range(start, start + count)
    ]
