"""What each worker process reports about itself, in one row each.

Rule: the worker's main process writes the row, so it is written even while every child is busy. The
row counts as an answer for ``ANSWERS`` after it was written, by the database's clock; a worker that
is silent for longer may be gone. The row also holds the offset of the worker's clock from the
database's. No turn depends on that offset, but logs, Flower, schedules of other programs and people
do.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers import workers as worker_answers
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.worker_rows import WorkerRow
from qdrant_rollouts.core.ports import Clock
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

#: A worker writes three times in this period.
ANSWERS = timedelta(seconds=30)
#: Rows of workers that were silent for this long are deleted.
FORGOTTEN = timedelta(hours=24)
#: Seconds between a worker's clock and the database's: the alert begins at the first value and ends
#: below the second.
CLOCK_OFF = 2.0
CLOCK_RIGHT = 1.0
#: How often the offset is read; the quickest answer counts.
_READINGS = 3
_TURN = "deployments."


@dataclass(frozen=True, slots=True)
class Task:
    """What a child does, and for how many seconds. ``deployment_id`` is None for a task that is not
    a turn."""

    name: str
    deployment_id: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Said:
    """What a process knows about itself. ``idle``: for how many seconds it has had room for one
    more without interruption; None while it has none. ``up``: for how many seconds it has been
    running."""

    name: str
    kind: str
    host: str
    pid: int
    version: str
    revision: str
    up: float
    queues: tuple[str, ...] = ()
    concurrency: int = 0
    busy: tuple[Task, ...] = ()
    idle: float | None = None
    received: int = 0
    discarded: int = 0


@dataclass(frozen=True, slots=True)
class Busy:
    """``alias`` is None for a task that is not a turn of a deployment."""

    task: str
    deployment_id: str | None
    alias: str | None
    since: datetime

    @property
    def words(self) -> str:
        if self.alias:
            return f"{self.task.removeprefix(_TURN)} of {self.alias}"
        return self.task


@dataclass(frozen=True, slots=True)
class Worker:
    """A row as it is shown. ``answers``: whether it was written recently."""

    name: str
    kind: str
    queues: frozenset[str]
    concurrency: int
    busy: tuple[Busy, ...]
    idle_since: datetime | None
    received: int
    discarded: int
    version: str
    clock_offset: float
    seen_at: datetime
    answers: bool

    @property
    def clock_words(self) -> str:
        side = "behind"
        if self.clock_offset >= 0:
            side = "ahead of"
        return f"{abs(self.clock_offset):,.1f} s {side} the database's"

    @property
    def clock_is_off(self) -> bool:
        return abs(self.clock_offset) >= CLOCK_OFF


def announce(
    session: Session, clock: Clock, said: Said, wall: Callable[[], float] = time.time
) -> float:
    """Writes what a process reports about itself; returns how far its clock, ``wall``, is ahead of
    the database's."""
    now, offset = _read_clocks(session, clock, wall)
    row = session.get(WorkerRow, said.name, with_for_update=True)
    if row is None or (row.host, row.pid) != (said.host, said.pid):
        row = session.merge(WorkerRow(name=said.name, started_at=_ago(now, said.up)))
    row.kind = said.kind
    row.host = said.host
    row.pid = said.pid
    row.version = said.version
    row.revision = said.revision
    row.queues = sorted(said.queues)
    row.concurrency = said.concurrency
    row.busy = [
        {
            "task": task.name,
            "deployment_id": task.deployment_id,
            "since": as_iso(_ago(now, task.seconds)),
        }
        for task in said.busy
    ]
    row.idle_since = None if said.idle is None else _ago(now, said.idle)
    row.received = said.received
    row.discarded = said.discarded
    row.clock_offset = offset
    row.seen_at = now
    return offset


def withdraw(session: Session, name: str, host: str, pid: int) -> None:
    """Removes the row of a process that ends normally. If another process has taken over the name,
    the row stays."""
    mine = WorkerRow.name == name, WorkerRow.host == host, WorkerRow.pid == pid
    session.execute(delete(WorkerRow).where(*mine))


def forget(services: Services) -> int:
    """Deletes the rows of workers that were silent for a day; returns how many."""
    with services.sessions.begin() as session:
        long_ago = services.clock.now(session) - FORGOTTEN
        gone = session.scalars(select(WorkerRow.name).where(WorkerRow.seen_at < long_ago)).all()
        session.execute(
            delete(WorkerRow).where(WorkerRow.name.in_(gone), WorkerRow.seen_at < long_ago)
        )
    return len(gone)


def _read_clocks(
    session: Session, clock: Clock, wall: Callable[[], float]
) -> tuple[datetime, float]:
    """Returns the database's time, and how far ``wall`` is ahead of it. The round-trip time is
    halved, and the quickest of several readings counts: on a busy machine a single reading is wrong
    by up to half of its duration. A process that was stopped in the middle notices it only by its
    wall clock."""
    clock.now(session)  # the first statement also begins the transaction
    readings = []
    for _ in range(_READINGS):
        asked = wall()
        began = time.monotonic()
        now = clock.now(session)
        took = max(time.monotonic() - began, abs(wall() - asked))
        readings.append((took, now, asked + took / 2 - now.timestamp()))
    took, _, offset = min(readings)
    return readings[-1][1], offset


def _ago(now: datetime, seconds: float) -> datetime:
    return now - timedelta(seconds=max(0.0, seconds))


def list_known_workers(session: Session, now: datetime) -> list[Worker]:
    """Returns every worker that has a row, by name."""
    rows = session.scalars(select(WorkerRow).order_by(WorkerRow.name)).all()
    aliases = _aliases(session, rows)
    return [_worker(row, aliases, now) for row in rows]


def count_children(session: Session, now: datetime, queue: str) -> int:
    """Returns how many children the workers that answer have for messages of ``queue``. A worker
    that also takes other queues keeps half of its children for these."""
    taking = [one for one in list_known_workers(session, now) if queue in one.queues]
    return sum(
        one.concurrency if one.queues == {queue} else max(1, one.concurrency // 2)
        for one in taking
        if one.answers
    )


def list_workers(services: Services) -> worker_answers.Listed:
    with services.sessions() as session:
        now = services.clock.now(session)
        rows = session.scalars(select(WorkerRow).order_by(WorkerRow.name)).all()
        aliases = _aliases(session, rows)
        return {
            "now": as_iso(now),
            "workers": [_describe_worker(row, _worker(row, aliases, now), now) for row in rows],
        }


def _aliases(session: Session, rows: Iterable[WorkerRow]) -> dict[str, str]:
    ids = {one["deployment_id"] for row in rows for one in row.busy} - {None}
    if not ids:
        return {}
    return {
        row.id: row.alias
        for row in session.execute(
            select(Deployment.id, Deployment.alias).where(Deployment.id.in_(ids))
        )
    }


def _worker(row: WorkerRow, aliases: dict[str, str], now: datetime) -> Worker:
    """Returns the worker of a row. A row with a time in the future was written before the
    database's clock was set back, and does not count as an answer."""
    return Worker(
        name=row.name,
        kind=row.kind,
        queues=frozenset(row.queues),
        concurrency=row.concurrency,
        busy=tuple(_busy(one, aliases) for one in row.busy),
        idle_since=row.idle_since,
        received=row.received,
        discarded=row.discarded,
        version=row.version,
        clock_offset=row.clock_offset,
        seen_at=row.seen_at,
        answers=abs(now - row.seen_at) <= ANSWERS,
    )


def _busy(one: dict[str, str], aliases: dict[str, str]) -> Busy:
    id = one["deployment_id"]
    return Busy(one["task"], id, aliases.get(id), datetime.fromisoformat(one["since"]))


def _describe_worker(row: WorkerRow, worker: Worker, now: datetime) -> worker_answers.Worker:
    busy: list[worker_answers.Busy] = [
        {
            "task": one.task,
            "deployment_id": one.deployment_id,
            "alias": one.alias,
            "since": as_iso(one.since),
            "seconds": _seconds(one.since, now),
        }
        for one in worker.busy
    ]
    return {
        "name": row.name,
        "kind": row.kind,
        "host": row.host,
        "pid": row.pid,
        "queues": sorted(row.queues),
        "concurrency": row.concurrency,
        "busy": busy,
        "idle_since": as_iso(row.idle_since),
        "received": row.received,
        "discarded": row.discarded,
        "version": row.version,
        "revision": row.revision,
        "clock_offset_seconds": round(row.clock_offset, 3),
        "clock_is_off": worker.clock_is_off,
        "started_at": as_iso(row.started_at),
        "seen_at": as_iso(row.seen_at),
        "seen_seconds": _seconds(row.seen_at, now),
        "answers": worker.answers,
    }


def _seconds(since: datetime, now: datetime) -> float:
    return round(max(0.0, (now - since).total_seconds()), 1)
