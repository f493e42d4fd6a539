"""An application makes its searches itself, with any query: which collection it gets, what happens
if that does not answer, and what is recorded."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import pytest

from qdrant_rollouts.core.errors import Refused, Unknown
from qdrant_rollouts.core.routing import RoutedArm, calls, table
from qdrant_rollouts.core.routing.limited_calls import LimitedCalls
from tests.by_http import ByHttp
from tests.contract.test_routing import (
    OTHER_MODEL,
    SLOW_MODEL,
    STAGE,
    embed_slowly,
    half_on_green,
    names,
    observed,
    user_on,
)
from tests.reach import ByDatabase
from tests.world import EMBEDDING, World

Search = Callable[[RoutedArm], Any]
WORDS = "text 3 about asyncio and python"


class Caller(Protocol):
    def call(self, search: Search, user: str | None = None, query_id: str = "") -> Any: ...

    def arm(self, search: Search, user: str | None = None) -> Any: ...

    def close(self) -> None: ...


class SyncCaller:
    def __init__(self, world: World) -> None:
        self._router = world.open_router()

    def call(self, search: Search, user: str | None = None, query_id: str = "") -> Any:
        return self._router.call("docs", search, user, query_id)

    def arm(self, search: Search, user: str | None = None) -> Any:
        with self._router.arm("docs", user) as arm:
            return search(arm)

    def close(self) -> None:
        self._router.close()


class AsyncCaller:
    def __init__(self, world: World) -> None:
        self._runner = asyncio.Runner()
        self._router = world.open_async_router()
        self._closed = False

    def call(self, search: Search, user: str | None = None, query_id: str = "") -> Any:
        async def awaited(arm: RoutedArm) -> Any:
            return await asyncio.to_thread(search, arm)

        return self._runner.run(self._router.call("docs", awaited, user, query_id))

    def arm(self, search: Search, user: str | None = None) -> Any:
        async def inside() -> Any:
            async with self._router.arm("docs", user) as arm:
                return await asyncio.to_thread(search, arm)

        return self._runner.run(inside())

    def close(self) -> None:
        async def close() -> None:
            while asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.sleep(0.01)
            await self._router.close()

        if not self._closed:
            self._closed = True
            self._runner.run(close())
            self._runner.close()


CALLERS = {"sync": SyncCaller, "async": AsyncCaller}


@pytest.fixture(params=[ByDatabase, ByHttp])
def world(request: pytest.FixtureRequest, tmp_path: Path, ready_sqlite_url: str) -> Iterator[World]:
    """Which database keeps the routes is tested in test_routing."""
    made = World(tmp_path, ready_sqlite_url)
    made.reach = request.param()
    yield made
    made.close()


@pytest.fixture
def routed(world: World) -> World:
    return half_on_green(world, EMBEDDING)


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest, routed: World) -> Iterator[Caller]:
    made = CALLERS[request.param](routed)
    yield made
    made.close()


def find(world: World) -> Search:
    """Searches the arm's collection for the words, as an application does."""

    def search(arm: RoutedArm) -> Any:
        return world.store.search(arm.collection, arm.embed(WORDS), 5)

    return search


class Both:
    """Fails in one collection, and counts how often each was asked."""

    def __init__(self, failing: str, error: Exception) -> None:
        self._failing = failing
        self._error = error
        self.asked: list[str] = []

    def __call__(self, arm: RoutedArm) -> list[str]:
        self.asked.append(arm.collection)
        if arm.collection == self._failing:
            raise self._error
        return [arm.collection]


# --- which collection -----------------------------------------------------------------------------


def test_each_user_gets_the_collection_that_a_search_by_the_router_would_get(
    routed: World, caller: Caller
) -> None:
    blue, green = names(routed)
    for variant, collection in (("control", blue), ("canary", green)):
        for ask in (caller.arm, caller.call):
            found = ask(lambda arm: (arm.collection, arm.variant), user_on(variant))
            assert found == (collection, variant)


def test_an_arm_embeds_with_the_model_of_its_own_collection(world: World) -> None:
    remodelled = half_on_green(world, OTHER_MODEL)
    with remodelled.open_router() as router:
        for variant in ("control", "canary"):
            with router.arm("docs", user_on(variant)) as arm:
                hits = remodelled.store.search(arm.collection, arm.embed(WORDS), 1)
                assert [hit.payload["id"] for hit in hits] == [3]
                assert list(arm.model) == [""]
            assert ("32" in arm.model[""]) == (variant == "canary")


def test_without_a_route_the_collection_behind_the_alias_is_asked(routed: World) -> None:
    table.clear_route(routed.services, "docs")
    blue, _ = names(routed)
    with routed.open_router() as router, router.arm("docs", "anna") as arm:
        assert (arm.collection, arm.variant) == (blue, "live")


# --- what is recorded -----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["arm", "call"])
def test_a_search_is_recorded_with_its_time_and_whether_it_found_anything(
    routed: World, caller: Caller, way: str
) -> None:
    def search(arm: RoutedArm) -> None:
        time.sleep(0.02)
        arm.results([])

    getattr(caller, way)(search, user_on("canary"))
    getattr(caller, way)(find(routed), user_on("canary"))
    caller.close()
    tally = observed(routed)["canary", "real"]
    assert (tally.calls, tally.errors, tally.zeros) == (2, 0, 1)


@pytest.mark.parametrize("way", ["arm", "call"])
@pytest.mark.parametrize("kind", CALLERS)
def test_the_time_to_embed_is_no_latency_of_the_collection(
    routed: World, kind: str, way: str
) -> None:
    def search(arm: RoutedArm) -> Any:
        with ThreadPoolExecutor() as threads:
            list(threads.map(arm.embed, [WORDS, WORDS]))
        arm.results([])

    embed_slowly(routed)
    caller = CALLERS[kind](routed)
    getattr(caller, way)(search, user_on("canary"))
    caller.close()
    tally = observed(routed)["canary", "real"]
    assert tally.embedded == 1
    assert SLOW_MODEL <= tally.embedding < 2 * SLOW_MODEL, "both texts at the same time"
    assert tally.seconds < SLOW_MODEL


def test_an_error_inside_an_arm_goes_through_and_is_the_arms(routed: World, caller: Caller) -> None:
    _, green = names(routed)
    search = Both(green, KeyError("of the application"))
    with pytest.raises(KeyError, match="of the application"):
        caller.arm(search, user_on("canary"))
    caller.close()
    tally = observed(routed)["canary", "real"]
    assert (tally.calls, tally.errors, tally.fallbacks) == (1, 1, 0)


def test_an_interruption_inside_an_arm_is_no_error_of_its_collection(routed: World) -> None:
    with (
        routed.open_router() as router,
        pytest.raises(KeyboardInterrupt),
        router.arm("docs", user_on("canary")),
    ):
        raise KeyboardInterrupt
    assert observed(routed) == {}


# --- who answers instead --------------------------------------------------------------------------


def test_blue_is_asked_if_the_collection_on_trial_fails(routed: World, caller: Caller) -> None:
    blue, green = names(routed)
    search = Both(green, ConnectionError("green is down"))
    assert caller.call(search, user_on("canary")) == [blue]
    assert search.asked == [green, blue]
    caller.close()
    tally = observed(routed)["canary", "real"]
    assert (tally.calls, tally.errors, tally.fallbacks) == (1, 1, 1)


def test_blue_is_asked_if_the_collection_on_trial_takes_too_long(
    routed: World, caller: Caller
) -> None:
    blue, green = names(routed)
    go_on = threading.Event()

    def search(arm: RoutedArm) -> str:
        if arm.collection == green:
            go_on.wait(calls.TRIED_SECONDS + 5)
        return arm.collection

    assert caller.call(search, user_on("canary")) == blue
    go_on.set()
    caller.close()
    assert observed(routed)["canary", "real"].fallbacks == 1


def test_what_fails_with_both_raises_blues_error_and_counts_once(
    routed: World, caller: Caller
) -> None:
    def search(arm: RoutedArm) -> None:
        raise ValueError(arm.collection)

    blue, _ = names(routed)
    with pytest.raises(ValueError, match=blue):
        caller.call(search, user_on("canary"))
    caller.close()
    tally = observed(routed)["canary", "real"]
    assert (tally.calls, tally.errors, tally.fallbacks) == (1, 1, 0)


def test_a_blue_that_fails_is_told_to_the_application(routed: World, caller: Caller) -> None:
    blue, _ = names(routed)
    search = Both(blue, ConnectionError("blue is down"))
    with pytest.raises(ConnectionError, match="blue is down"):
        caller.call(search, user_on("control"))
    assert search.asked == [blue]
    caller.close()
    assert observed(routed)["control", "real"].errors == 1


def test_calls_that_hang_are_bounded_and_the_next_one_fails_at_once() -> None:
    limited = LimitedCalls(most=1)
    go_on = threading.Event()
    with pytest.raises(TimeoutError, match=r"did not answer in 0\.05 s"):
        limited.run(go_on.wait, 0.05)
    with pytest.raises(TimeoutError, match="1 calls are under way"):
        limited.run(go_on.wait, 60)
    go_on.set()


# --- a copy for green -----------------------------------------------------------------------------


def shadowed(world: World) -> World:
    blue, green = names(world)
    table.set_route(
        world.services, "docs", blue=blue, green=green, share=0, shadow=10_000, salt="salt",
        stage=STAGE,
    )  # fmt: skip
    return world


def test_green_gets_a_copy_of_the_applications_own_search_off_the_requests_path(
    routed: World, caller: Caller
) -> None:
    blue, green = names(shadowed(routed))
    search = find(routed)
    threads: dict[str, str] = {}

    def asked(arm: RoutedArm) -> Any:
        threads[arm.collection] = threading.current_thread().name
        return search(arm)

    assert len(caller.call(asked, "anna")) == 5
    caller.close()
    assert set(threads) == {blue, green}
    tally = observed(routed)["canary", "shadow"]
    assert (tally.calls, tally.errors, tally.pairs) == (1, 0, 1)


@pytest.mark.parametrize("kind", CALLERS)
def test_a_copy_is_timed_without_the_time_to_embed(routed: World, kind: str) -> None:
    shadowed(routed)
    embed_slowly(routed)
    caller = CALLERS[kind](routed)
    caller.call(find(routed), "anna")
    caller.close()
    tally = observed(routed)["canary", "shadow"]
    assert tally.seconds < SLOW_MODEL <= tally.embedding
    assert abs(tally.log_ratio) < math.log(SLOW_MODEL / 0.001)


def test_a_copy_that_fails_is_greens_error_and_nobody_notices(
    routed: World, caller: Caller
) -> None:
    blue, green = names(shadowed(routed))
    assert caller.call(Both(green, RuntimeError("down")), "anna") == [blue]
    caller.close()
    assert observed(routed)["canary", "shadow"].errors == 1


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"alias": 5}, "a router takes the name of an alias, not 5"),
        ({"user_id": 7}, "user_id is a text or nothing, not 7"),
        ({"query_id": 7}, "query_id is a text, not 7"),
        ({"search": "text"}, "router.call takes a function of an arm, not 'text"),
    ],
)
def test_an_argument_of_another_type_is_refused_and_named(
    routed: World, arguments: dict[str, Any], said: str
) -> None:
    given = {"alias": "docs", "search": lambda arm: arm, **arguments}
    with routed.open_router() as router, pytest.raises(Refused, match=said):
        router.call(**given)


def test_an_alias_that_does_not_exist_is_refused_with_those_that_do(routed: World) -> None:
    with routed.open_router() as router:
        with pytest.raises(Unknown, match="alias nobody does not exist; known: docs, other"):
            router.call("nobody", lambda arm: arm)
        with pytest.raises(Unknown, match="nobody"), router.arm("nobody"):
            pass


@pytest.mark.parametrize("found", [-1, True, "text", None, 2.5])
def test_results_that_are_neither_a_number_nor_a_list_are_refused(
    routed: World, found: Any
) -> None:
    with (
        routed.open_router() as router,
        router.arm("docs") as arm,
        pytest.raises(Refused, match="or their list, not"),
    ):
        arm.results(found)


def test_a_query_that_search_does_not_take_is_refused_with_what_does(routed: World) -> None:
    with (
        routed.open_router() as router,
        pytest.raises(Refused, match=r"search takes no prefetch; .* router\.arm"),
    ):
        router.search("docs", WORDS, prefetch=[])  # type: ignore[call-arg]  # that is tested
