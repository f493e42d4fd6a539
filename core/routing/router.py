"""Search through a route, for applications, the command line, the HTTP endpoint and the MCP
tools."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self, Unpack

from qdrant_rollouts.core.defaults import RESULTS
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.ports import Hit, Searches
from qdrant_rollouts.core.routing.choice import BLUE_VARIANTS
from qdrant_rollouts.core.routing.conversation import Conversation, route_search
from qdrant_rollouts.core.routing.feedback import Feedback
from qdrant_rollouts.core.routing.request import (
    Answer,
    Ask,
    Options,
    Query,
    Request,
    build_query,
    build_search,
)
from qdrant_rollouts.core.routing.route import CONTROL
from qdrant_rollouts.core.routing.router_core import RouterCore, Stats
from qdrant_rollouts.core.services import Services


class Router:
    """One for each process, created after a fork. Its threads start with the first search and end
    with ``close``."""

    def __init__(
        self,
        services: Services,
        join: Callable[[], object] = lambda: None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """``join`` is done once before the database is first used, whenever that answers.
        ``release`` is called by ``close``, if the services were opened for this router alone."""
        self._services = services
        self._release = release
        self._core = RouterCore(services, join)

    def search(
        self,
        alias: str,
        query: Query,
        user_id: str | None = None,
        limit: int = RESULTS,
        query_id: str = "",
        **options: Unpack[Options],
    ) -> Answer:
        """Returns the points nearest to ``query``, a text or a vector, from the collection that the
        route gives this user.

        Without ``user_id`` the choice is drawn for each request. If an experiment drafts two lists
        into one, ``query_id`` names the search: pass it for the next page and when you report
        clicks. Raises Refused for an invalid request and Unavailable if nothing answers. If a
        canary fails, blue answers and no error is raised.
        """
        request = Request(alias, query, user_id, limit, options, query_id)
        talk = Conversation(route_search(self._core, request))
        while talk.ask is not None:
            try:
                hits = self._search_store(request, talk.ask)
            except AppError as error:
                talk.tell_error(error)
            else:
                talk.tell_hits(hits)
        return talk.answer

    def route_query(
        self,
        experiment_id: str,
        query_vector: Query,
        user_id: str | None = None,
        limit: int = RESULTS,
        **options: Unpack[Options],
    ) -> tuple[str, list[Hit]]:
        """Returns the arm that this experiment gives the user, and what its collection finds.

        Without ``user_id``, and after the experiment's end, that is the control, and nobody is
        enrolled. Raises Refused for an experiment that does not exist or has not begun.
        """
        name = self._core.experiments.find_searched_name(experiment_id)
        return _arm_and_hits(self.search(name, query_vector, user_id, limit, **options))

    def track_feedback(
        self,
        experiment_id: str,
        variant: str,
        metric: str,
        value: float,
        user_id: str | None = None,
        key: str | None = None,
        query_id: str = "",
        document: str | int = "",
    ) -> bool:
        """Counts what a user did or said; returns False if this ``key`` was counted before. A click
        on an interleaved list names the ``document`` of ``query_id``. Raises Refused for invalid
        feedback, such as that of a user whom the experiment never served, and Unavailable if it
        must be sent again."""
        given = Feedback(experiment_id, metric, value, variant, user_id, key, query_id, document)
        return self._core.experiments.track_feedback(given)

    @property
    def stats(self) -> Stats:
        """Whether this process reaches the database, and what it did without it."""
        return self._core.stats

    def close(self) -> None:
        self._core.close()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _search_store(self, request: Request, ask: Ask) -> list[Hit]:
        asked, using = build_query(self._services, request, ask.target)
        limit, how = build_search(request, ask, using)
        return self._services.store.search(ask.collection, asked, limit, how)


class AsyncRouter:
    """``Router`` for an event loop: searches are awaited; blocking work is done in a thread."""

    def __init__(
        self,
        services: Services,
        searches: Searches,
        join: Callable[[], object] = lambda: None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """As ``Router``."""
        self._services = services
        self._release = release
        self._searches = searches
        self._core = RouterCore(services, join)

    async def search(
        self,
        alias: str,
        query: Query,
        user_id: str | None = None,
        limit: int = RESULTS,
        query_id: str = "",
        **options: Unpack[Options],
    ) -> Answer:
        """As ``Router.search``."""
        request = Request(alias, query, user_id, limit, options, query_id)
        if not self._core.routes.knows(alias):
            await asyncio.to_thread(self._core.routes.look, alias)
        talk = Conversation(route_search(self._core, request))
        while talk.ask is not None:
            try:
                hits = await self._search_store(request, talk.ask)
            except AppError as error:
                talk.tell_error(error)
            else:
                talk.tell_hits(hits)
        return talk.answer

    async def route_query(
        self,
        experiment_id: str,
        query_vector: Query,
        user_id: str | None = None,
        limit: int = RESULTS,
        **options: Unpack[Options],
    ) -> tuple[str, list[Hit]]:
        """As ``Router.route_query``."""
        name = await asyncio.to_thread(self._core.experiments.find_searched_name, experiment_id)
        return _arm_and_hits(await self.search(name, query_vector, user_id, limit, **options))

    async def track_feedback(
        self,
        experiment_id: str,
        variant: str,
        metric: str,
        value: float,
        user_id: str | None = None,
        key: str | None = None,
        query_id: str = "",
        document: str | int = "",
    ) -> bool:
        """As ``Router.track_feedback``."""
        given = Feedback(experiment_id, metric, value, variant, user_id, key, query_id, document)
        return await asyncio.to_thread(self._core.experiments.track_feedback, given)

    @property
    def stats(self) -> Stats:
        """As ``Router.stats``."""
        return self._core.stats

    async def close(self) -> None:
        await asyncio.to_thread(self._core.close)
        await self._searches.close()
        await asyncio.to_thread(self._release)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _search_store(self, request: Request, ask: Ask) -> list[Hit]:
        if request.words:
            asked, using = await asyncio.to_thread(build_query, self._services, request, ask.target)
        else:
            asked, using = build_query(self._services, request, ask.target)
        limit, how = build_search(request, ask, using)
        return await self._searches.search(ask.collection, asked, limit, how)


def _arm_and_hits(answer: Answer) -> tuple[str, list[Hit]]:
    return (CONTROL if answer.variant in BLUE_VARIANTS else answer.variant), answer.results
