"""Pages over 200 indexes and 1,000 deployments that have ended, each with its steps, events and
version, and one under way: seconds from the request to the last byte of the answer, from a server
as `rollouts up` starts it, in one process with the client. The store is the embedded one and one
client asks, so what is measured is the database and the page. The bound is held against the 95th
percentile of what it took; the processor's time beside it is what a busy machine does not
change."""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert
from sqlalchemy.orm import Session

from benchmarks.http import percentile
from benchmarks.results import Result, Size, seconds
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.models import (
    AliasState,
    Deletion,
    Deployment,
    EventRow,
    StepRow,
    Version,
)
from qdrant_rollouts.core.database.schedule_rows import Schedule
from qdrant_rollouts.core.lifecycle import Status, StepStatus
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.app import make_app
from tests.servers import Postgres
from tests.world import World

#: Seconds, of what was asked for.
WANTED = 0.2
INDEXES = 200
DEPLOYMENTS = 1_000
EVENTS_EACH = 12
ROUNDS = {Size.FULL: 60, Size.CI: 10, Size.SMALLEST: 1}
_STEPS = ("create", "populate", "validate", "catch_up", "switch", "soak")
_BEGUN = datetime(2026, 10, 1, tzinfo=UTC)


def run(size: Size) -> list[Result]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        found += _measured("SQLite", f"sqlite:///{folder}/state.db", size)
    with Postgres() as server:
        found += _measured("PostgreSQL", server.url, size)
    return found


def _measured(database: str, url: str, size: Size) -> list[Result]:
    with _filled(url) as (client, under_way):
        pages = {
            "home": "/",
            "home, searched": "/?q=minilm&sort=points",
            "home, by next rebuild": "/?sort=next&group=prefix&page=4",
            "deployment under way": f"/deployments/{under_way}",
            "deployment, its gate": f"/deployments/{_id(DEPLOYMENTS - 1)}",
            "deployments": "/deployments",
            "index": "/indexes/index-000",
            "schedules": "/schedules",
            "alerts": "/alerts",
            "events": "/events",
        }
        return [
            _page(client, f"{name}, {database}", path, ROUNDS[size]) for name, path in pages.items()
        ]


def _page(client: httpx.Client, name: str, path: str, rounds: int) -> Result:
    assert client.get(path).status_code == 200
    wall, worked = zip(*(_asked(client, path) for _ in range(rounds)), strict=True)
    value = f"{_spread(worked)} of the processor; took {_spread(wall)}"
    return Result(name, value, bound=f"{WANTED * 1000:.0f} ms", ok=percentile(wall, 0.95) <= WANTED)


def _spread(found: Sequence[float]) -> str:
    return f"{statistics.median(found) * 1000:.0f} ms (p95 {percentile(found, 0.95) * 1000:.0f})"


def _asked(client: httpx.Client, path: str) -> tuple[float, float]:
    """Seconds on the wall, and of this process' processor time."""
    before = time.process_time()
    taken = seconds(lambda: client.get(path).raise_for_status())
    return taken, time.process_time() - before


@contextmanager
def _filled(url: str) -> Iterator[tuple[httpx.Client, str]]:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), url)
        world.declare(
            "index-000",
            source=world.write("docs.jsonl", [{"id": 1, "text": "a text about python"}]),
        )
        with world.services.sessions.begin() as session:
            _fill(session)
        world.clock.moment = _BEGUN + timedelta(days=60)
        settings = Settings(_env_file=None)
        with (
            serving.bind_socket(world.services, settings, "127.0.0.1", 0) as door,
            serving.serve_beside(make_app(world.services, settings), door),
            httpx.Client(base_url=serving.socket_url(door)) as client,
        ):
            yield client, _id(DEPLOYMENTS)
        world.close()


def _fill(session: Session) -> None:
    numbers = range(DEPLOYMENTS + 1)
    session.execute(insert(Deployment), [_deployment(number) for number in numbers])
    session.execute(insert(StepRow), [row for number in numbers for row in _steps(number)])
    session.execute(
        insert(EventRow),
        [_event(number, count) for number in numbers for count in range(EVENTS_EACH)],
    )
    session.execute(insert(Version), [_version(number) for number in numbers])
    last = range(DEPLOYMENTS - INDEXES, DEPLOYMENTS)
    session.execute(insert(AliasState), [_state(number) for number in last])
    session.execute(insert(Schedule), [_schedule(number) for number in range(INDEXES)])
    session.execute(insert(Deletion), [_deletion(number) for number in last])


def _id(number: int) -> str:
    return f"{number:012x}"


def _alias(number: int) -> str:
    return f"index-{number % INDEXES:03d}"


def _green(number: int) -> str:
    return f"{_alias(number)}_{number:06d}"


def _at(number: int, minutes: float = 0) -> datetime:
    return _BEGUN + timedelta(hours=number, minutes=minutes)


def _deployment(number: int) -> dict[str, Any]:
    ended = number < DEPLOYMENTS
    failed = number % 10 == 3
    status = Status.RUNNING if not ended else Status.ROLLED_BACK if failed else Status.LIVE
    return {
        "id": _id(number),
        "alias": _alias(number),
        "kind": "rollout",
        "strategy": "blue_green",
        "status": status,
        "blue": _green(number - INDEXES) if number >= INDEXES else None,
        "green": _green(number),
        "source": "jsonl:docs.jsonl",
        "spec": {"soak": {"seconds": 300, "interval_seconds": 10}},
        "actor": "anna@cli",
        "message": f"{_alias(number)} is served by {_green(number)}",
        "number": number // INDEXES + 1,
        "created_at": _at(number),
        "finished_at": _at(number, 50) if ended else None,
        "turn": 40,
        "wake_at": _at(number),
    }


def _steps(number: int) -> Iterator[dict[str, Any]]:
    for position, name in enumerate(_STEPS):
        done = number < DEPLOYMENTS or position < 1
        running = number == DEPLOYMENTS and position == 1
        yield {
            "deployment_id": _id(number),
            "position": position,
            "name": name,
            "queue": "control",
            "arguments": {},
            "status": StepStatus.DONE
            if done
            else StepStatus.RUNNING
            if running
            else StepStatus.PENDING,
            "started_at": _at(number, 10 * position) if done or running else None,
            "finished_at": _at(number, 10 * position + 9) if done else None,
            "message": f"{name} as it was to be",
            "state": {"progress": {"done": 400, "size": 1000, "unit": "points", "rate": 50.0}}
            if running
            else {},
            "output": {"gate": _gate(number)} if name == "validate" and done else {},
        }


def _gate(number: int) -> dict[str, Any]:
    row = {
        "value": 0.95,
        "bound": 0.94,
        "n": 300,
        "verdict": "pass",
        "level": "hard",
        "detail": "at least; worst: 'q'",
    }
    answers = [
        {"id": rank, "record": f"r{rank}", "score": 0.9, "text": "a text of some length " * 3}
        for rank in range(10)
    ]
    worst = [
        {"query": f"query {one}", "loss": 0.4, "green": answers, "live": answers, "relevant": ["1"]}
        for one in range(5)
    ]
    checks = [{"name": f"check_{one}", **row} for one in range(20)]
    return {
        "verdict": "pass",
        "collection": _green(number),
        "live": None,
        "warnings": [],
        "checks": checks,
        "worst": worst,
    }


def _event(number: int, count: int) -> dict[str, Any]:
    return {
        "deployment_id": _id(number),
        "alias": _alias(number),
        "at": _at(number, count),
        "actor": "system",
        "event": f"step{count}.done",
        "detail": "so many points by records, so many embedded, and the rest taken over from blue",
        "source": "celery",
    }


def _version(number: int) -> dict[str, Any]:
    facts = {
        "points": 8_412_003,
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "gate": {"verdict": "pass"},
    }
    made = {
        "collection": _green(number),
        "alias": _alias(number),
        "number": number // INDEXES + 1,
        "parent": None,
    }
    return {**made, "deployment_id": _id(number), "created_at": _at(number), "facts": facts}


def _state(number: int) -> dict[str, Any]:
    return {
        "alias": _alias(number),
        "desired": _green(number),
        "previous": None,
        "settled": True,
        "changed_at": _at(number),
    }


def _schedule(number: int) -> dict[str, Any]:
    spec = {"cron": "0 2 * * *", "zone": "UTC"}
    what = {"alias": _alias(number), "action": "rebuild", "spec": spec, "declared": spec}
    return {**what, "next_at": _at(2000), "waiting_since": _at(0)}


def _deletion(number: int) -> dict[str, Any]:
    what = {
        "collection": _green(number - INDEXES),
        "alias": _alias(number),
        "status": "scheduled",
        "actor": "system",
    }
    return {
        **what,
        "due_at": _at(2000),
        "due_elapsed": 1e9,
        "reason": "it was replaced",
        "created_at": _at(number),
    }
