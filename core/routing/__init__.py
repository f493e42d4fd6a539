"""Routed search: the choice of the collection, the search, and what was observed of it.

An application makes a router once in each process and searches through it::

    from qdrant_rollouts import open_router

    router = open_router()
    answer = router.search("documentation", "how do I gather tasks", user_id="anna")
"""

from qdrant_rollouts.core.routing.request import Answer, Options
from qdrant_rollouts.core.routing.routed_arm import RoutedArm
from qdrant_rollouts.core.routing.router import AsyncRouter, Router
from qdrant_rollouts.core.routing.router_core import Stats
from qdrant_rollouts.core.routing.routers import Routers

__all__ = ["Answer", "AsyncRouter", "Options", "RoutedArm", "Router", "Routers", "Stats"]
