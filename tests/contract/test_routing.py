"""Routed search: who answers whom, what happens when somebody does not answer, and what is written
down of it."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from typing import Any

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.operations.views import metrics
from qdrant_rollouts.core.ports import Embedder
from qdrant_rollouts.core.routing import Router, Routers, table, traffic
from qdrant_rollouts.core.routing.conversation import TRIED_SECONDS
from qdrant_rollouts.core.routing.deadline import DeadlineEstimate
from qdrant_rollouts.core.routing.route import Route
from qdrant_rollouts.core.routing.route_cache import REFRESH_SECONDS
from qdrant_rollouts.core.statistics.assignment import bucket
from tests.world import DIMENSION, EMBEDDING, World, texts

STAGE = "deployment/3"
OTHER_MODEL = {**EMBEDDING, "model": "hashing:32"}


@pytest.fixture
def world(reached: World) -> World:
    return reached


@pytest.fixture
def routed(world: World) -> World:
    """``docs`` is on its first version and half of its users on the second, of the same model."""
    return half_on_green(world, EMBEDDING)


@pytest.fixture
def remodelled(world: World) -> World:
    """The same, but the second version's vectors are another model's and of another size."""
    return half_on_green(world, OTHER_MODEL)


def half_on_green(world: World, embedding: dict[str, Any]) -> World:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    world.deploy("docs")
    world.run()
    blue = world.store.aliases()["docs"]
    world.declare("other", source=world.write("docs.jsonl", texts(30)), embedding=embedding)
    world.deploy("other")
    world.run()
    green = world.store.aliases()["other"]
    table.set_route(
        world.services, "docs", blue=blue, green=green, share=5000, salt="salt", stage=STAGE
    )
    world.reach.begin(world.services)
    return world


@pytest.fixture
def router(world: World) -> Iterator[Router]:
    with world.open_router() as made:
        yield made


def names(world: World) -> tuple[str, str]:
    found = world.store.aliases()
    return found["docs"], found["other"]


def user_on(variant: str) -> str:
    route = Route("docs", blue="blue", green="green", share=5000, salt="salt")
    return next(
        user for user in map(str, range(1000)) if route.variant(bucket("salt", user)) == variant
    )


def vector(size: int = DIMENSION) -> np.ndarray:
    return np.ones(size, dtype=np.float32)


class Faulty:
    """A store whose searches of one collection fail, and otherwise the one it wraps."""

    def __init__(self, store: Any, collection: str, error: Exception) -> None:
        self._store = store
        self._collection = collection
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def search(self, collection: str, *arguments: Any, **options: Any) -> Any:
        if collection == self._collection:
            raise self._error
        return self._store.search(collection, *arguments, **options)


def observed(world: World) -> dict[tuple[str, str], Any]:
    """By variant and kind, after the router was closed."""
    with world.services.sessions() as session:
        found = traffic.read_tallies(session, "docs", STAGE)
    return {(key.variant, key.kind): tally for key, tally in found.items()}


#: Seconds in which a slow model makes a vector.
SLOW_MODEL = 0.2


class SlowModel:
    """A model that takes its time for each query."""

    def __init__(self, model: Embedder) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def query(self, text: str) -> Any:
        time.sleep(SLOW_MODEL)
        return self._model.query(text)


def embed_slowly(world: World) -> None:
    fast = world.services.embedder
    world.change_services(embedder=lambda spec: SlowModel(fast(spec)))


# --- who answers ----------------------------------------------------------------------------------


def test_a_user_is_answered_by_the_same_collection_every_time(routed, router):
    blue, green = names(routed)
    first = {user: router.search("docs", "text 3", user).collection for user in map(str, range(60))}
    assert {router.search("docs", "text 3", user).collection for user in first} == {blue, green}
    with routed.open_router() as elsewhere:
        assert {
            user: elsewhere.search("docs", "text 3", user).collection for user in first
        } == first


def test_words_are_embedded_with_the_model_of_the_collection_that_answers(remodelled, router):
    for variant, collection in zip(("control", "canary"), names(remodelled), strict=True):
        found = router.search("docs", "text 3 about asyncio and python", user_on(variant))
        assert (found.variant, found.collection) == (variant, collection)
        assert found.results[0].payload["id"] == 3


def test_a_vector_is_never_asked_of_another_model(remodelled):
    with remodelled.open_router() as router:
        found = router.search("docs", vector(), user_on("canary"))
    assert found.collection == names(remodelled)[0]
    assert observed(remodelled)["live", "bypassed"].calls == 1


class Turned:
    """An embedder as it is after its files, or what its name means, were changed."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.identity = f"{model.identity}|changed"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def test_words_are_refused_where_the_model_is_no_longer_the_one_the_collection_was_made_with(world):
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    world.deploy("docs")
    world.run()
    open_now = world.services.embedder
    changed = world.open_router(embedder=lambda spec: Turned(open_now(spec)))
    identity = open_now(world.indexes["docs"].embedding).identity
    with changed, pytest.raises(Refused) as refused:
        changed.search("docs", "text 3")
    assert f"was made with {identity}," in str(refused.value)
    assert f"is {identity}|changed here" in str(refused.value)


def test_words_are_refused_where_the_declared_model_cannot_have_made_an_unstamped_collection(
    world, router
):
    schema = {"params": {"vectors": {"size": 8, "distance": "Cosine"}}, "payload_schema": {}}
    world.store.create("theirs", schema, {})
    world.store.point_alias("docs", "theirs")
    world.declare("docs")
    with pytest.raises(
        Refused, match=f"theirs has vectors of 8 numbers, and hashing:{DIMENSION}, .* {DIMENSION}"
    ):
        router.search("docs", "text 3")


def test_a_vector_of_another_size_is_refused_naming_both(routed):
    with routed.open_router() as router:
        for user in (user_on("control"), user_on("canary"), None):
            with pytest.raises(
                Refused, match=f"the query has 12 numbers.*have {DIMENSION}: another model"
            ):
                router.search("docs", vector(12), user)


def test_a_vector_for_the_new_model_finds_the_collection_that_the_alias_has_moved_to_meanwhile(
    remodelled, router
):
    table.clear_route(remodelled.services, "docs")
    blue, green = names(remodelled)
    assert router.search("docs", vector()).collection == blue
    remodelled.store.point_alias("docs", green)
    assert router.search("docs", vector(32)).collection == green


def test_without_a_user_the_share_holds_over_many_requests(routed):
    with routed.open_router() as router:
        found = [router.search("docs", vector()).variant for _ in range(400)]
    assert 140 < found.count("canary") < 260
    assert sum(tally.anonymous for tally in observed(routed).values()) == 400


def test_without_a_route_the_alias_answers_whatever_it_stands_for(world, router):
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    world.deploy("docs")
    world.run()
    first = world.store.aliases()["docs"]
    assert router.search("docs", vector()).results
    assert router.search("docs", "text 3").collection == first


def test_an_alias_that_nobody_knows_is_refused(world, router):
    with pytest.raises(Refused, match="nobody"):
        router.search("nobody", "text")
    with pytest.raises(Refused):
        router.search("nobody", vector())


def test_filters_limits_thresholds_and_parameters_reach_the_collection(routed, router):
    only = {"must": [{"key": "id", "range": {"lt": 10}}]}
    found = router.search(
        "docs", "text 3 about asyncio and python", user_on("canary"), 5, filter=only, offset=1
    )
    assert len(found.results) == 5
    assert all(hit.payload["id"] < 10 for hit in found.results)
    exact = router.search(
        "docs", "text 3 about asyncio and python", score_threshold=0.999, params={"hnsw_ef": 8}
    )
    assert [hit.payload["id"] for hit in exact.results] == [3]
    with pytest.raises(Refused):
        router.search("docs", "text 3", filter={"must": "nothing"})


# --- who does not answer --------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Unavailable("down"), Refused("no index")])
def test_blue_answers_in_place_of_a_canary_that_fails_and_the_canary_has_the_error(routed, error):
    blue, green = names(routed)
    routed.over(Faulty(routed.store, green, error))
    with routed.open_router() as router:
        found = router.search("docs", "text 3", user_on("canary"))
    assert (found.collection, found.variant, found.fallback) == (blue, "canary", True)
    assert found.results
    tallies = observed(routed)
    assert (tallies["canary", "real"].errors, tallies["canary", "real"].fallbacks) == (1, 1)
    assert ("control", "real") not in tallies


@pytest.mark.parametrize(("blue", "allowed"), [(0.02, 4.0), (3.0, 4.5), (9.0, 10.0)])
def test_a_collection_on_trial_may_take_longer_where_blue_is_slow(blue, allowed):
    deadline = DeadlineEstimate()
    assert deadline.extend(TRIED_SECONDS) == 4.0
    for _ in range(60):
        deadline.add(blue)
    assert deadline.extend(TRIED_SECONDS) == allowed


def test_what_both_refuse_is_the_callers_fault_and_nobodys_error(routed):
    with routed.open_router() as router, pytest.raises(Refused):
        router.search("docs", vector(3), user_on("canary"))
    assert observed(routed) == {}


def test_a_blue_that_fails_is_told_to_the_caller(routed):
    blue, _ = names(routed)
    routed.over(Faulty(routed.store, "docs", Unavailable(f"{blue} is down")))
    with routed.open_router() as router, pytest.raises(Unavailable, match="is down"):
        router.search("docs", vector(), user_on("control"))
    assert observed(routed)["control", "real"].errors == 1


def test_searches_go_on_by_the_last_known_route_when_the_database_is_gone(routed, router):
    _, green = names(routed)
    assert router.search("docs", "text 3", user_on("canary")).collection == green
    routed.services.sessions.configure(bind=Gone())
    assert router.search("docs", "text 3", user_on("canary")).collection == green
    threading.Event().wait(2 * REFRESH_SECONDS)
    assert router.search("docs", "text 3", user_on("canary")).collection == green
    routed.services.sessions.configure(bind=routed.engine)


def test_a_process_that_has_never_seen_the_database_searches_the_alias_and_says_so(routed):
    blue, _ = names(routed)
    routed.services.sessions.configure(bind=Gone())
    with routed.open_router() as router:
        assert router.search("docs", vector(), user_on("canary")).variant == "unrouted"
        found = router.search("docs", "text 3", user_on("canary"))
        stats = router.stats
        routed.services.sessions.configure(bind=routed.engine)

    assert (found.collection, found.variant) == (blue, "unrouted")
    assert "did not answer" in stats.database
    assert (stats.unrouted_aliases, stats.unrouted_searches, stats.waiting) == (("docs",), 2, 2)
    assert written(routed) == {("unrouted", 2)}, "what it observed is written down in the end"
    assert metrics.read_metrics(routed.services)["searches_unrouted"].samples == [(("docs",), 2)]


def test_it_follows_the_route_as_soon_as_the_database_is_there(routed):
    _, green = names(routed)
    routed.services.sessions.configure(bind=Gone())
    with routed.open_router() as router:
        assert router.search("docs", vector(), user_on("canary")).variant == "unrouted"
        routed.services.sessions.configure(bind=routed.engine)
        until(lambda: not router.stats.unrouted_aliases)

        assert router.search("docs", "text 3", user_on("canary")).collection == green
        assert router.stats.database == ""


def test_an_index_file_that_cannot_be_read_fails_no_search(routed):
    def broken() -> Any:
        raise Refused("rollouts.yaml, line 3: there is no setting imbedding")

    with routed.open_router(indexes=broken) as router:
        assert router.search("docs", vector()).results
        assert router.search("docs", "text 3").results


def written(world: World) -> set[tuple[str, int]]:
    with world.services.sessions() as session:
        found = traffic.read_tallies(session, "docs", "")
    return {(key.variant, tally.calls) for key, tally in found.items()}


def until(happens: Callable[[], object], seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < ends, f"{happens} did not happen"
        threading.Event().wait(0.05)


class Gone:
    """A database that does not answer."""

    def __getattr__(self, name: str) -> Any:
        raise OperationalError("connect", {}, Exception("gone"))


def test_words_find_the_collection_that_the_alias_has_moved_to_meanwhile(world, router):
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    world.deploy("docs")
    world.run()
    assert router.search("docs", "text 3").results
    first = world.store.aliases()["docs"]
    world.deploy("docs")
    world.run()
    second = world.store.aliases()["docs"]
    world.store.drop(first)
    assert router.search("docs", "text 3").collection == second


# --- what is known of it --------------------------------------------------------------------------


def test_a_change_of_the_route_is_served_and_reported_within_a_second(routed, router):
    blue, green = names(routed)
    router.search("docs", "text 3", "anna")
    changed = table.set_route(
        routed.services, "docs", blue=blue, green=green, share=10_000, salt="salt", stage=STAGE
    )
    waited(lambda: table.confirm_route(routed.services, changed).serving == 1)
    assert {router.search("docs", "text 3", str(user)).collection for user in range(40)} == {green}
    cleared = table.clear_route(routed.services, "docs")
    waited(lambda: table.confirm_route(routed.services, cleared).serving == 1)
    assert router.search("docs", "text 3", "anna").variant == "live"


def test_a_process_that_serves_a_version_from_before_a_restore_confirms_nothing(world):
    first = table.set_route(world.services, "docs", blue="a", green="b", salt="salt", share=1)
    second = table.set_route(world.services, "docs", blue="a", green="b", salt="salt", share=2)
    for version, serving in ((first.version, 0), (second.version, 1), (second.version + 1, 0)):
        table.report_served_routes(world.services, "shop:1:a", {"docs": version})
        assert table.confirm_route(world.services, second).serving == serving
        assert table.describe_route(world.services, "docs")["confirmed"]["serving"] == serving
    table.report_served_routes(world.services, "shop:1:a", {"docs": second.version})
    assert table.confirm_route(world.services, first).all


def test_a_process_reports_only_routes_and_aliases_that_exist(routed, router):
    for odd in ("", "a" * 256, "a/b"):
        with pytest.raises(Refused, match="alias name"):
            router.search(odd, vector())
    with pytest.raises(Refused):
        router.search("nobody", "text 3")
    router.search("docs", vector())
    until(lambda: table.confirm_route(routed.services, Route("docs")).serving)
    assert table.confirm_route(routed.services, Route("nobody")).known == 0


def test_a_process_that_ends_is_no_longer_waited_for(routed):
    with routed.open_router() as router:
        router.search("docs", "text 3")
        route = table.current_route(routed.services, "docs")
        waited(lambda: table.confirm_route(routed.services, route).known == 1)
    assert table.confirm_route(routed.services, route).known == 0


def waited(true: Any, seconds: float = 3.0) -> None:
    """The threads of a router look twice a second."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if true():
            return
        pause.wait(0.05)
    raise AssertionError("not in time")


def test_what_was_searched_is_written_down_by_arm(routed):
    with routed.open_router() as router:
        for user in map(str, range(50)):
            router.search("docs", "text 3", user)
        router.search(
            "docs",
            "nothing",
            user_on("canary"),
            filter={"must": [{"key": "id", "match": {"value": -1}}]},
        )
    tallies = observed(routed)
    assert sum(tally.calls for tally in tallies.values()) == 51
    assert tallies["canary", "real"].zeros == 1
    assert tallies["control", "real"].units > 10


def test_the_time_to_embed_is_told_from_the_latency_of_the_collection(routed):
    embed_slowly(routed)

    async def ask() -> None:
        async with routed.open_async_router() as router:
            await router.search("docs", "text 3", user_on("canary"))

    with routed.open_router() as router:
        router.search("docs", "text 3", user_on("canary"))
        router.search("docs", vector(), user_on("control"))
    asyncio.run(ask())
    tallies = observed(routed)
    canary = tallies["canary", "real"]
    assert (canary.calls, canary.embedded) == (2, 2)
    assert canary.seconds < SLOW_MODEL <= canary.mean_embedding
    assert tallies["control", "real"].mean_embedding is None


def test_aliases_of_one_collection_are_written_down_side_by_side(routed):
    blue, _ = names(routed)
    aliases = ("one", "two", "three")
    for alias in aliases:
        routed.store.point_alias(alias, blue)
    with routed.open_router() as router:
        for alias in aliases:
            router.search(alias, vector())
    with routed.services.sessions() as session:
        found = [traffic.read_tallies(session, alias, "") for alias in aliases]
    assert [[tally.calls for tally in one.values()] for one in found] == [[1]] * 3


# Python 3.12 and later warn of threads beside a fork; here they are the test's server.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("searched", [False, True])
def test_children_that_are_forked_after_a_router_was_opened_count_for_themselves(routed, searched):
    with routed.open_router() as router:
        if searched:
            router.search("docs", vector(), user_on("canary"))
            router._core.recorder.flush()
        children = [fork(partial(search_once, router)) for _ in range(2)]
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
        assert router.search("docs", vector(), user_on("canary")).variant == "canary"
    assert observed(routed)["canary", "real"].calls == 3 + searched


def fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if not child:
        failed = True
        threading.Timer(60, os._exit, (2,)).start()
        with suppress(Exception):
            work()
            failed = False
        os._exit(failed)
    return child


def search_once(router: Router) -> None:
    with router:
        assert router.search("docs", vector(), user_on("canary")).variant == "canary"


def test_setting_the_same_route_again_changes_nothing(routed):
    blue, green = names(routed)
    before = table.current_route(routed.services, "docs")
    again = table.set_route(
        routed.services, "docs", blue=blue, green=green, share=5000, salt="salt", stage=STAGE
    )
    assert again == before


# --- shadow ---------------------------------------------------------------------------------------


def test_in_shadow_users_see_blue_and_green_is_compared(routed):
    blue, green = names(routed)
    table.set_route(
        routed.services, "docs", blue=blue, green=green, shadow=10_000, salt="salt", stage=STAGE
    )
    with routed.open_router() as router:
        assert {router.search("docs", "text 3", str(user)).collection for user in range(20)} == {
            blue
        }
    shadow = observed(routed)["canary", "shadow"]
    assert shadow.pairs == shadow.calls == 20
    assert shadow.overlap / shadow.pairs > 0.99


def test_a_shadow_that_fails_is_seen_by_nobody_but_the_log(routed):
    blue, green = names(routed)
    routed.over(Faulty(routed.store, green, Unavailable("down")))
    table.set_route(
        routed.services, "docs", blue=blue, green=green, shadow=10_000, salt="salt", stage=STAGE
    )
    with routed.open_router() as router:
        assert router.search("docs", "text 3").results
    assert observed(routed)["canary", "shadow"].errors == 1


# --- async ----------------------------------------------------------------------------------------


def test_the_async_router_answers_as_the_sync_one(routed, router):
    users = list(map(str, range(30)))
    expected = [router.search("docs", "text 3", user) for user in users]

    async def ask() -> list[Any]:
        async with routed.open_async_router() as other:
            return list(
                await asyncio.gather(*(other.search("docs", "text 3", user) for user in users))
            )

    assert asyncio.run(ask()) == expected


def test_the_async_router_falls_back_too(routed):
    blue, green = names(routed)
    routed.over(Faulty(routed.store, green, Unavailable("down")))

    async def ask() -> Any:
        async with routed.open_async_router() as router:
            return await router.search("docs", vector(), user_on("canary"))

    found = asyncio.run(ask())
    assert (found.collection, found.fallback) == (blue, True)
    assert observed(routed)["canary", "real"].errors == 1


@pytest.mark.parametrize("lent", [True, False])
def test_a_router_that_is_lent_leaves_nothing_behind_that_looks_at_the_store(routed, lent):
    before = set(threading.enumerate())
    with closing(Routers(routed.services, lent=lent)) as routers:
        with routers.one() as router:
            assert router.search("docs", "text asyncio python", user_id="anna").results
        assert bool(set(threading.enumerate()) - before) != lent
    assert set(threading.enumerate()) == before
