"""Which router a process that serves many searches uses for each of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from qdrant_rollouts.core.routing.router import Router
from qdrant_rollouts.core.services import Services


class Routers:
    """One router for the whole process; or, with ``lent``, a new one for each piece of work. A
    permanent router reads its routes and the store twice a second, so a store that only one process
    at a time can open would never be free for others."""

    def __init__(self, services: Services, *, lent: bool) -> None:
        self._services = services
        self._kept = None if lent else Router(services)

    @contextmanager
    def one(self) -> Iterator[Router]:
        if self._kept is not None:
            yield self._kept
        else:
            with Router(self._services) as router:
                yield router

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
