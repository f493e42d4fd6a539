"""Helpers for tests of schedules: a clock that the test moves, a sweep with all its consequences,
and the results."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.operations.schedules import queries, sweep
from qdrant_rollouts.core.ports import VectorStore
from tests.world import World, texts

NIGHTLY = "0 2 * * *"


def at(world: World, text: str) -> None:
    world.clock.moment = datetime.fromisoformat(text).replace(tzinfo=UTC)


def swept(world: World) -> None:
    """Runs one sweep, the work it finds, and every turn that follows."""
    for run in sweep.sweep_schedules(world.services).open:
        sweep.take_up_run(world.services, run)
    world.run()


def declare(world: World, *, records: int = 8, **settings: Any) -> None:
    """Declares ``docs``, rebuilt every night at two, from this many records."""
    world.declare(
        "docs", source=world.write("docs.jsonl", texts(records)), **{"rebuild": NIGHTLY, **settings}
    )


def the_schedule(world: World, action: str = "rebuild") -> dict[str, Any]:
    found = queries.list_schedules(world.services, "docs", limit=50)
    return next(one for one in found if one["action"] == action)


def runs(world: World, action: str = "rebuild") -> list[tuple[str, str]]:
    """Returns nominal time and status, oldest first."""
    return [
        (run["nominal_at"][5:16], run["status"])
        for run in reversed(the_schedule(world, action)["runs"])
    ]


def deployments(world: World) -> int:
    with world.services.sessions() as session:
        return session.scalar(select(func.count()).select_from(Deployment)) or 0


class Died(Exception):
    pass


class Failing:
    """A store whose named calls raise; all others go to the wrapped one."""

    def __init__(self, store: VectorStore, error: Exception, *calls: str) -> None:
        self._store = store
        self._error = error
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        if name in self._calls:
            return self._fail
        return getattr(self._store, name)

    def _fail(self, *_: Any, **__: Any) -> None:
        raise self._error
