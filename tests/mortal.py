"""A world in which a worker may be killed wherever it touches the outside: at each call to Qdrant,
each commit, each message, before or after it.

``Killed`` is not an ``Exception``, so nothing in the product can catch it, as nothing can catch
``kill -9``.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import event

from qdrant_rollouts.core.deployments import engine
from qdrant_rollouts.core.ports import Knock, VectorStore
from tests.world import World


class Killed(BaseException):
    """The process is gone."""


class Reaper:
    """Counts places; kills at one of them, once."""

    def __init__(self) -> None:
        self.places = 0
        self.victim: int | None = None
        self.armed = False

    def place(self) -> None:
        if not self.armed:
            return
        self.places += 1
        if self.places == self.victim:
            raise Killed


class MakeWorld(Protocol):
    """Makes a new world in which the worker may be killed, once ``before`` has happened there."""

    def __call__(
        self, reaper: Reaper, before: Callable[[World], object] | None = None
    ) -> World: ...


class Mortal:
    """A store, or a shelf, at whose every call the worker may die, before or after it."""

    def __init__(self, store: Any, reaper: Reaper) -> None:
        self._store = store
        self._reaper = reaper

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self._reaper.place()
            answer = found(*arguments, **named)
            self._reaper.place()
            return answer

        return call


def mortal_world(
    folder: Path, database_url: str, reaper: Reaper, store: VectorStore | None = None
) -> World:
    return make_mortal(World(folder, database_url, store), reaper)


def make_mortal(world: World, reaper: Reaper) -> World:
    """From now on the worker may be killed in ``world``, whatever happened there before."""
    world.over(Mortal(world.store, reaper))
    world.change_services(shelf=Mortal(world.services.shelf, reaper))
    knocker = world.services.knock

    def knock(message: Knock) -> None:
        reaper.place()
        knocker(message)
        reaper.place()

    world.change_services(knock=knock)
    event.listen(world.engine, "commit", lambda connection: reaper.place())
    event.listen(world.services.sessions, "after_commit", lambda session: reaper.place())
    return world


def run_mortal(
    world: World, reaper: Reaper, steps: Collection[str], until: Callable[[], bool]
) -> None:
    """Delivers knocks until ``until`` holds, and kills the worker only in turns of ``steps``. When
    no knock is left, a lease ends and the sweep knocks for the turns of the dead."""
    for _ in range(200):
        if until():
            return
        knock = world.broker.take_next()
        if knock is None:
            world.clock.move(world.services.times.lease + 1)
            engine.knock_overdue_turns(world.services)
            continue
        reaper.armed = knock.step in steps
        with suppress(Killed):
            world.turn(knock)
        reaper.armed = False
    raise AssertionError(f"not there after 200 turns; these wait: {world.broker.waiting}")
