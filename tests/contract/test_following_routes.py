"""A search process of many aliases follows a route that changes before it has looked at all."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from qdrant_rollouts.core.routing import table
from qdrant_rollouts.core.routing.control_plane import RouterServices
from qdrant_rollouts.core.routing.link import Link
from qdrant_rollouts.core.routing.route_cache import REFRESH_SECONDS, RouteCache
from qdrant_rollouts.core.routing.sql_control_plane import SqlControlPlane
from tests.world import World

ALIASES = ("a", "b", "c", "d")


class Watched:
    """A control plane that notes which routes are read. While ``b`` is read, ``meanwhile``
    happens, once; the reader ends when it has read ``c``."""

    def __init__(self, control: SqlControlPlane, stopped: threading.Event) -> None:
        self._control = control
        self._stopped = stopped
        self.meanwhile: Callable[[], object] | None = None
        self.read: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    def read_route(self, alias: str) -> Any:
        self.read.append(alias)
        happens = self.meanwhile
        if alias == "b" and happens:
            self.meanwhile = None
            happens()
        if alias == "c":
            self._stopped.set()
        return self._control.read_route(alias)


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "found by looking"])
def test_a_route_that_changes_in_the_middle_of_a_round_does_not_wait_for_its_end(
    world: World, announced: bool
) -> None:
    services = world.services
    stopped = threading.Event()
    control = Watched(SqlControlPlane(services), stopped)
    parts = RouterServices(services.store, services.embedder, services.indexes, control)
    cache = RouteCache(parts, Link("process", "the database"), "process", lambda: None)
    for alias in ALIASES:
        cache.look(alias)

    def change() -> None:
        table.set_route(services, "d", blue="blue", green="green", share=5000, salt="s", stage="x")
        if announced:
            cache.announce("d")
        else:
            threading.Event().wait(REFRESH_SECONDS)  # the next look for changes is due

    control.meanwhile = change
    control.read.clear()
    stopped.clear()
    cache.follow(stopped)
    assert control.read == ["a", "b", "d", "c"]
    assert cache.find("d").route.version == 1
