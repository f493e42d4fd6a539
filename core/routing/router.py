"""Search through a route, for applications, the command line, the HTTP endpoint and the MCP
tools."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import TracebackType
from typing import Self, TypeVar, Unpack

from qdrant_rollouts.core.defaults import RESULTS
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.ports import Hit, Searches
from qdrant_rollouts.core.routing.calls import (
    CallAsk,
    CallRequest,
    find_with,
    observe_arm,
    route_call,
)
from qdrant_rollouts.core.routing.choice import BLUE_VARIANTS
from qdrant_rollouts.core.routing.control_plane import RouterServices
from qdrant_rollouts.core.routing.conversation import SECONDS, Conversation, route_search
from qdrant_rollouts.core.routing.feedback import Feedback
from qdrant_rollouts.core.routing.limited_calls import LimitedCalls
from qdrant_rollouts.core.routing.request import (
    Answer,
    Ask,
    Options,
    Query,
    Request,
    ask_store,
    build_query,
    build_request,
    build_search,
    check_asker,
)
from qdrant_rollouts.core.routing.route import CONTROL
from qdrant_rollouts.core.routing.routed_arm import RoutedArm, WriteQuery
from qdrant_rollouts.core.routing.router_core import RouterCore, Stats
from qdrant_rollouts.core.routing.shadow import MOST_WAITING, Found, ShadowSearch
from qdrant_rollouts.core.routing.sql_control_plane import as_router_services
from qdrant_rollouts.core.services import Services

T = TypeVar("T")


class Router:
    """One for each process: a child that is forked later begins anew with its first search. Its
    threads start with the first search and end with ``close``."""

    def __init__(
        self,
        services: Services | RouterServices,
        release: Callable[[], None] = lambda: None,
        write_query: WriteQuery = lambda query: query,
    ) -> None:
        """``release`` is called by ``close``, if the services were opened for this router alone.
        ``write_query`` brings what ``RoutedArm.embed`` returns into the form of a client."""
        self._services = as_router_services(services)
        self._release = release
        self._core = RouterCore(self._services, write_query)
        self._limited = LimitedCalls()

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
        request = build_request(alias, query, user_id, limit, options, query_id)
        talk = Conversation(route_search(self._core, request))
        while talk.ask is not None:
            try:
                hits = self._search_store(request, talk.ask)
            except AppError as error:
                talk.tell_error(error)
            else:
                talk.tell(hits)
        return talk.answer

    @contextmanager
    def arm(self, alias: str, user_id: str | None = None) -> Iterator[RoutedArm]:
        """Gives the collection for a search that the application makes itself, with any query::

            with router.arm("documentation", user_id="anna") as arm:
                answer = client.query_points(arm.collection, query=arm.embed(words))
                arm.results(answer.points)

        What happens inside is measured when it is left. An error inside counts as one of the
        collection, and goes through; ``call`` asks blue instead. Of an experiment that drafts two
        lists into one, blue answers here. Raises Refused for an invalid argument and Unknown for an
        alias that does not exist.
        """
        check_asker(alias, user_id)
        choice = self._core.choose_arm(alias, user_id, merges=False)
        with observe_arm(self._core, choice) as arm:
            yield arm

    def call(
        self,
        alias: str,
        search: Callable[[RoutedArm], T],
        user_id: str | None = None,
        query_id: str = "",
    ) -> T:
        """Calls ``search`` with the collection for this user, and returns its answer::

            answer = router.call(
                "documentation",
                lambda arm: client.query_points(arm.collection, query=arm.embed(words)),
                user_id="anna",
            )

        While a collection is on trial, its call is made in another thread. If it fails, or takes
        longer than 4 seconds and 1.5 times what blue takes, ``search`` is called again with blue.
        Some searches are made a second time in the background with green, if the route has a
        shadow; so ``search`` must change nothing.

        ``query_id`` names the search for an experiment that drafts two lists into one: give the
        same one when you report clicks. Both collections are asked then, and the answer has the
        drafted list, if it is a list of results or has them in ``points``. Without ``query_id``
        blue answers.

        Raises what ``search`` raises with blue, Refused for an invalid argument, and Unknown for an
        alias that does not exist.
        """
        check_asker(alias, user_id, query_id, search)

        def offer(shadowed: ShadowSearch, arm: RoutedArm) -> None:
            find = partial(find_with, search, arm)
            self._core.shadow.offer(shadowed, partial(self._limited.run, find, SECONDS))

        request = CallRequest(alias, user_id, query_id, offer)
        talk: Conversation[CallAsk, T, T] = Conversation(route_call(self._core, request))
        while talk.ask is not None:
            work = partial(search, talk.ask.arm)
            try:
                if talk.ask.seconds is None:
                    answer = work()
                else:
                    answer = self._limited.run(work, talk.ask.seconds)
            except Exception as error:  # noqa: BLE001 - raised again if blue fails too
                talk.tell_error(error)
            else:
                talk.tell(answer)
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
        """Whether this process reaches the database or the server, and what it did without
        it."""
        return self._core.stats

    def close(self) -> None:
        """Writes the last observations. In a forked child that has not searched it does nothing,
        because everything that is open belongs to the parent."""
        if not self._core.of_this_process:
            return
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
        return ask_store(self._services, request, ask)


class AsyncRouter:
    """``Router`` for an event loop: searches are awaited; blocking work is done in a thread."""

    def __init__(
        self,
        services: Services | RouterServices,
        searches: Searches,
        release: Callable[[], None] = lambda: None,
        write_query: WriteQuery = lambda query: query,
    ) -> None:
        """As ``Router``."""
        self._services = as_router_services(services)
        self._release = release
        self._searches = searches
        self._core = RouterCore(self._services, write_query)
        self._background: set[asyncio.Task[None]] = set()

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
        request = build_request(alias, query, user_id, limit, options, query_id)
        await self._know_route(alias)
        talk = Conversation(route_search(self._core, request))
        while talk.ask is not None:
            try:
                hits = await self._search_store(request, talk.ask)
            except AppError as error:
                talk.tell_error(error)
            else:
                talk.tell(hits)
        return talk.answer

    @asynccontextmanager
    async def arm(self, alias: str, user_id: str | None = None) -> AsyncIterator[RoutedArm]:
        """As ``Router.arm``. ``RoutedArm.embed`` blocks while the model works."""
        check_asker(alias, user_id)
        await self._know_route(alias)
        choice = self._core.choose_arm(alias, user_id, merges=False)
        with observe_arm(self._core, choice) as arm:
            yield arm

    async def call(
        self,
        alias: str,
        search: Callable[[RoutedArm], Awaitable[T]],
        user_id: str | None = None,
        query_id: str = "",
    ) -> T:
        """As ``Router.call``; ``search`` is awaited in this event loop, and cancelled if it takes
        too long."""
        check_asker(alias, user_id, query_id, search)
        await self._know_route(alias)

        def offer(shadowed: ShadowSearch, arm: RoutedArm) -> None:
            if len(self._background) < MOST_WAITING:
                task = asyncio.create_task(self._ask_green(shadowed, arm, search))
                self._background.add(task)
                task.add_done_callback(self._background.discard)

        request = CallRequest(alias, user_id, query_id, offer)
        talk: Conversation[CallAsk, T, T] = Conversation(route_call(self._core, request))
        while talk.ask is not None:
            try:
                answer = await asyncio.wait_for(search(talk.ask.arm), talk.ask.seconds)
            except Exception as error:  # noqa: BLE001 - raised again if blue fails too
                talk.tell_error(error)
            else:
                talk.tell(answer)
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
        """As ``Router.close``."""
        if not self._core.of_this_process:
            return
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
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
            asked, using = await asyncio.to_thread(build_query, self._services, request, ask)
        else:
            asked, using = build_query(self._services, request, ask)
        limit, how = build_search(request, ask, using)
        return await self._searches.search(ask.collection, asked, limit, how)

    async def _know_route(self, alias: str) -> None:
        """The first look at a route reads the database."""
        if not self._core.routes.knows(alias):
            await asyncio.to_thread(self._core.routes.look, alias)

    async def _ask_green(
        self, shadowed: ShadowSearch, arm: RoutedArm, search: Callable[[RoutedArm], Awaitable[T]]
    ) -> None:
        started = time.perf_counter()
        try:
            answer = await asyncio.wait_for(search(arm), SECONDS)
        except Exception:  # noqa: BLE001 - the application's own, and nobody waits for it
            self._core.shadow.note_failure(shadowed, time.perf_counter() - started)
            return
        found = Found(arm.count_results(answer), arm.list_ids(answer))
        self._core.shadow.note_answer(shadowed, found, time.perf_counter() - started)


def _arm_and_hits(answer: Answer) -> tuple[str, list[Hit]]:
    return (CONTROL if answer.variant in BLUE_VARIANTS else answer.variant), answer.results
