"""Deployments over a collection with its own strict mode, on a real server: they respect its
limits, the new collection gets them before it serves, and messages name the setting that makes
something impossible."""

import time
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread

import httpx
import numpy as np
import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import comparing, readiness
from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.core.deployments.commands import rebuilding, validating
from qdrant_rollouts.core.errors import Limited, Refused, Unavailable
from tests.backups import ENDS, back_up, through
from tests.qdrants import plain, points
from tests.servers import NO_TLS
from tests.world import DIMENSION, World, texts

NO_LIMIT = 1_000_000_000
SOAK = {"seconds": 1, "interval_seconds": 1}
RECORDS = 70
#: Each limit by itself, at the least that leaves applications anything, and all together.
EACH = {
    "pages": {"max_query_limit": 5},
    "large pages": {"max_query_limit": 1000},
    "no exact search": {"search_allow_exact": False},
    "small writes": {"upsert_max_batchsize": 3},
    "no writes": {"upsert_max_batchsize": 0},
    "slow writes": {"write_rate_limit": 1},
    "short": {"max_timeout": 1},
    "indexed filters": {"unindexed_filtering_retrieve": False, "unindexed_filtering_update": False},
    "no filters": {"filter_max_conditions": 0, "condition_max_size": 1},
    "narrow": {"search_max_hnsw_ef": 4, "search_max_oversampling": 1.0},
    "full": {
        "max_points_count": RECORDS,
        "max_collection_vector_size_bytes": RECORDS * DIMENSION * 4,
    },
    "no index": {"max_payload_index_count": 0},
}
ALL = {
    "max_query_limit": 5,
    "max_timeout": 1,
    "search_allow_exact": False,
    "search_max_hnsw_ef": 16,
    "search_max_oversampling": 1.0,
    "upsert_max_batchsize": 3,
    "write_rate_limit": 10,
    "filter_max_conditions": 1,
    "condition_max_size": 4,
    "unindexed_filtering_retrieve": False,
    "unindexed_filtering_update": False,
}


@pytest.fixture
def world(tmp_path, qdrant_url, qdrant_grpc_port, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    made.change_services(times=replace(made.services.times, ready_look=0.1))
    yield made
    made.close()


@pytest.fixture
def client(qdrant_url):
    with httpx.Client(base_url=qdrant_url, trust_env=False, timeout=30, verify=NO_TLS) as opened:
        yield opened


def declare(world, **settings):
    samples = {"records": 12, "queries": 12}
    # the limits hold for searches that are timed, too
    validation = {
        "samples": samples,
        "min_top_score": -1.0,
        "checks": {},
        **settings.pop("validation", {}),
    }
    world.declare("docs", soak=SOAK, validation=validation, **settings)


def serve(world, client, strict, count=RECORDS):
    """An index that serves, whose owner then sets limits."""
    declare(world, source=world.write("docs.jsonl", texts(count)))
    seen = through(world, world.deploy("docs"))
    assert seen["status"] == "live", seen["message"]
    limit(client, seen["green"], strict)
    return seen["green"]


def limit(client, collection, strict):
    body = {"strict_mode_config": {"enabled": True, **strict}}
    client.patch(f"/collections/{collection}", json=body).raise_for_status()


def strict_mode(world, collection):
    """Without limits that are none: a freeze leaves such numbers, because Qdrant cannot remove a
    limit."""
    found = world.store.schema(collection)["strict_mode_config"]
    return {name: value for name, value in found.items() if value is None or value < NO_LIMIT}


def checks(seen):
    return {row["name"]: row for row in seen["gate"]["checks"]}


# --- one deployment after the other ---------------------------------------------------------------


@pytest.mark.parametrize("strict", [*EACH.values(), ALL], ids=[*EACH, "all"])
def test_two_deployments_go_live_and_each_collection_ends_under_the_limits_of_the_first(
    world, client, strict
):
    blue = serve(world, client, strict)
    declare(
        world,
        source=world.write("docs.jsonl", texts(RECORDS - 1) + texts(1, start=500)),
        validation={"queries": ["asyncio"]},
    )

    for _ in range(2):
        seen = through(world, world.deploy("docs"))

        assert seen["status"] == "live", seen["message"]
        assert seen["gate"]["verdict"] == "pass", seen["gate"]
        assert strict_mode(world, seen["green"]) == strict_mode(world, blue)
        assert checks(seen)["vector_schema"]["verdict"] == "pass"


@pytest.mark.parametrize(
    "strict", [ALL, {"max_query_limit": 5}, {"read_rate_limit": 600}], ids=["all", "pages", "rate"]
)
@pytest.mark.parametrize(
    ("way", "settings"),
    [
        ("snapshot", {}),
        ("copy", {"collection": {"hnsw": {"m": 24}}}),
        ("records", {"embedding": {"model": f"hashing:{DIMENSION // 2}", "text": "{text}"}}),
    ],
)
def test_a_collection_with_limits_is_a_source_by_every_way(world, client, strict, way, settings):
    blue = serve(world, client, strict)
    declare(world, source=f"collection:{blue}", **settings)

    seen = through(world, world.deploy("docs"))

    assert seen["status"] == "live", seen["message"]
    [filled] = [step["output"] for step in seen["steps"] if step["name"] == "populate"]
    assert (filled["way"], filled["written"]) == (way, RECORDS)
    assert strict_mode(world, seen["green"]) == strict_mode(world, blue)


def test_the_gate_of_green_is_not_held_to_limits_that_are_switched_on_after_it(world, client):
    serve(world, client, ALL)
    deployment = world.deploy("docs")

    seen = through(world, deployment, until="validate")

    assert strict_mode(world, seen["green"]) == {"enabled": False}
    assert checks(seen)["ann_recall@10"]["verdict"] == "pass"
    assert "before it serves" in checks(seen)["vector_schema"]["detail"]
    assert any("max_query_limit" in line for line in seen["gate"]["warnings"])
    assert through(world, deployment)["status"] == "live"
    assert strict_mode(world, seen["green"]) == {"enabled": True, **ALL}


def test_a_canary_is_searched_under_the_limits(world, client):
    blue = serve(world, client, ALL)
    stages = [{"percentage": 5, "duration_minutes": 0.001}]
    canary = {"stages": stages, "look_seconds": 0.01, "probing": True}
    declare(
        world,
        source="jsonl:docs.jsonl",
        strategy="canary",
        canary=canary,
        validation={"queries": ["asyncio"]},
    )
    deployment = world.deploy("docs")

    seen = through(world, deployment, until="validate")
    for _ in range(3):
        world.turn(world.broker.take_next())

    assert strict_mode(world, seen["green"]) == strict_mode(world, blue)


# --- rates ----------------------------------------------------------------------------------------


@contextmanager
def searching(url, collection, seconds):
    """An application that reads once in so many seconds; what it was refused."""
    refused = []
    over = Event()

    def search():
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            while not over.wait(seconds):
                answer = client.post(f"/collections/{collection}/points/scroll", json={"limit": 1})
                refused.extend([answer.text] if answer.status_code != 200 else [])

    thread = Thread(target=search)
    thread.start()
    try:
        yield refused
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(("rate", "budget"), [(60, 150), (600, 1800)])
def test_half_of_the_rate_is_left_to_applications(world, client, qdrant_url, rate, budget):
    blue = serve(world, client, {"read_rate_limit": rate})
    validation = {
        "queries": ["asyncio"],
        "budget_seconds": budget,
        "samples": {"records": 12, "queries": 30},
    }
    declare(world, source="jsonl:docs.jsonl", validation=validation)
    deployment = world.deploy("docs")

    with searching(qdrant_url, blue, 3 * 60 / rate) as refused:
        seen = in_its_own_time(world, deployment)

    assert (seen["status"], refused) == ("live", []), seen["message"]
    told = [line for line in seen["gate"]["warnings"] if "read_rate_limit" in line]
    assert bool(told) == (rate == 60), seen["gate"]["warnings"]


def in_its_own_time(world, deployment):
    """Turns as workers take them: none before it is due."""
    while world.status(deployment)["status"] not in ENDS:
        knock = world.broker.take_next()
        time.sleep(knock.countdown)
        world.turn(knock)
    return world.status(deployment)


def test_a_look_of_the_soak_for_which_applications_leave_no_room_is_no_error(world, client):
    serve(world, client, ALL)
    deployment = world.deploy("docs")
    seen = through(world, deployment, until="switch")
    limit(client, seen["green"], {"read_rate_limit": 10})
    while (
        client.post(f"/collections/{seen['green']}/points/scroll", json={"limit": 1}).status_code
        == 200
    ):
        pass

    world.turn(world.broker.take_next())

    soak = world.step(deployment, "soak")
    assert (soak["status"], soak["output"]) == ("waiting", {})
    assert "Rate limiting exceeded" in soak["message"]
    limit(client, seen["green"], {"read_rate_limit": 1000})
    assert through(world, deployment)["status"] == "live"


# --- what cannot work -----------------------------------------------------------------------------


def other_collection(world, count):
    """A collection of somebody else, to read from."""
    world.store.create("theirs", plain(DIMENSION), {})
    world.store.upsert("theirs", points(count, DIMENSION))
    return "collection:theirs"


@pytest.mark.parametrize(
    ("strict", "named"),
    [
        ({"max_payload_index_count": 0}, "max_payload_index_count"),
        ({"max_points_count": 80}, "max_points_count"),
    ],
)
def test_what_the_limits_leave_no_room_for_is_refused_at_once_by_their_name(
    world, client, strict, named
):
    serve(world, client, strict)
    declare(
        world, source=other_collection(world, 90), collection={"payload_indexes": {"n": "integer"}}
    )
    before = world.store.collections()

    with pytest.raises(Refused, match=named):
        world.deploy("docs")

    assert world.store.collections() == before


def test_a_source_that_could_not_be_read_within_a_day_is_refused_by_the_names_of_both_limits(
    world, client
):
    source = other_collection(world, 2000)
    limit(client, "theirs", {"max_query_limit": 1, "read_rate_limit": 2})
    declare(world)

    with pytest.raises(Refused, match=r"max_query_limit 1, read_rate_limit 2.*33 hours"):
        world.deploy("docs", source=source)


def test_vectors_that_become_too_large_are_refused_before_anything_is_made(world, client):
    blue = serve(world, client, {"max_collection_vector_size_bytes": RECORDS * DIMENSION * 4})
    declare(
        world,
        source=f"collection:{blue}",
        embedding={"model": f"hashing:{2 * DIMENSION}", "text": "{text}"},
    )

    seen = through(world, world.deploy("docs"))

    assert seen["status"] == "rolled_back"
    assert "create failed" in seen["message"]
    assert "max_collection_vector_size_bytes" in seen["message"]


def test_more_records_than_the_limits_allow_never_serve(world, client):
    """How many they are is known only when they are written."""
    blue = serve(world, client, {"max_points_count": RECORDS})
    declare(world, source=world.write("docs.jsonl", texts(RECORDS + 1)))

    seen = through(world, world.deploy("docs"))

    assert seen["status"] == "rolled_back"
    assert "max_points_count" in seen["message"]
    assert world.store.aliases()["docs"] == blue


# --- stopped half way -----------------------------------------------------------------------------


class Away:
    """A store whose answer to the first change of a strict mode is lost."""

    def __init__(self, store):
        self.store = store
        self.lost = False

    def __getattr__(self, name):
        return getattr(self.store, name)

    def set_strict_mode(self, collection, settings):
        self.store.set_strict_mode(collection, settings)
        if not self.lost:
            self.lost = True
            raise Unavailable("the answer was lost")


def test_a_switch_that_stopped_behind_the_strict_mode_goes_on(world, client):
    blue = serve(world, client, ALL)
    away = Away(world.store)
    world.over(away)

    seen = through(world, world.deploy("docs"))

    assert away.lost
    assert seen["status"] == "live", seen["message"]
    assert strict_mode(world, seen["green"]) == strict_mode(world, blue)


def test_a_collection_that_never_came_under_the_limits_does_not_pass_by_itself(world, client):
    serve(world, client, ALL)
    green = through(world, world.deploy("docs"), until="validate")["green"]

    report = validating.validate_collection(world.services, "docs", green)

    assert report["verdict"] == "block"
    [row] = [row for row in report["checks"] if row["verdict"] == "block"]
    assert row["name"] == "vector_schema"
    assert "strict_mode_config: wanted" in row["detail"]


# --- backups --------------------------------------------------------------------------------------


def test_a_backup_of_a_collection_with_limits_is_made_verified_and_restored_with_them(
    world, client
):
    blue = serve(world, client, ALL)
    backup = back_up(world, "docs")
    verified = through(world, backups.verify_backup(world.services, backup=backup, actor="anna"))
    assert verified["status"] == "live", verified["message"]

    seen = through(world, backups.restore_backup(world.services, backup=backup, actor="anna"))

    assert seen["status"] == "live", seen["message"]
    assert seen["gate"]["verdict"] == "pass"
    assert strict_mode(world, seen["green"]) == strict_mode(world, blue)


def test_a_first_version_made_of_a_backup_has_the_limits_of_the_collection_it_was_of(world, client):
    blue = serve(world, client, ALL)
    backup = back_up(world, "docs")
    limits = strict_mode(world, blue)
    world.declare("articles", soak=SOAK)

    seen = through(world, world.deploy("articles", source=f"backup:{backup}"))

    assert seen["status"] == "live", seen["message"]
    assert strict_mode(world, seen["green"]) == limits


# --- what serves, judged by itself ----------------------------------------------------------------


def test_a_collection_under_limits_is_judged_within_them_and_what_they_forbid_is_named(
    world, client
):
    blue = serve(world, client, {"max_query_limit": 5})
    assert validating.validate_collection(world.services, "docs", blue)["verdict"] == "pass"
    limit(client, blue, {"search_allow_exact": False})

    report = validating.validate_collection(world.services, "docs", blue)

    unsure = {row["name"]: row["detail"] for row in report["checks"] if row["verdict"] != "pass"}
    assert unsure.keys() == {"ann_recall@10"}
    assert "search_allow_exact" in unsure["ann_recall@10"]
    assert report["verdict"] == "inconclusive"
    assert any("search_allow_exact" in line for line in report["warnings"])


def test_a_collection_under_limits_is_adopted_and_compared(world, client):
    blue = serve(world, client, ALL)
    green = through(world, world.deploy("docs"))["green"]

    assert (
        comparing.diff_versions(world.services, "docs", "1", "2")["content"]["changed"]["count"]
        == 0
    )
    assert rebuilding.rebuild_index(world.services, "docs", actor="anna").collection == green
    assert blue in world.store.collections()


# --- the store ------------------------------------------------------------------------------------


@pytest.fixture(params=["grpc", "rest"])
def store(request, qdrant_url, qdrant_grpc_port):
    opened = ServerStore(qdrant_url, "", qdrant_grpc_port if request.param == "grpc" else 0)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "strict",
    [
        {"max_query_limit": 7},
        {"search_allow_exact": False, "max_query_limit": 7},
        {"search_allow_exact": False, "filter_max_conditions": 0},
        {"read_rate_limit": 300, "condition_max_size": 30, "max_query_limit": 40},
    ],
)
def test_the_same_is_found_under_limits_as_without_them(store, client, strict):
    store.create("docs", plain(), {})
    store.upsert("docs", points(100))
    vectors = [np.asarray(point.vector) for point in points(3, start=7)]

    def seen():
        found = store.search_many("docs", vectors, 23)
        fetched = store.fetch("docs", [*range(90), 999], vectors=True)
        return (
            store.count("docs"),
            store.count("docs", having=""),
            [[hit.id for hit in hits] for hits in found],
            {point.id: (point.payload, point.vector.tolist()) for point in fetched},
        )

    before = seen()
    limit(client, "docs", strict)  # which the store has not heard of yet

    assert seen() == before
    assert len(before[3]) == 90


def test_an_exact_count_that_would_take_too_long_is_refused_by_the_names_of_the_limits(
    store, client
):
    store.create("docs", plain(), {})
    store.upsert("docs", points(600))
    limit(client, "docs", {"search_allow_exact": False, "max_query_limit": 1})

    with pytest.raises(Refused, match="max_query_limit 1, search_allow_exact false"):
        store.count("docs")
    assert readiness.estimate_points(store, "docs") == 600


def test_a_rate_that_is_used_up_says_when_there_is_room_again(store, client):
    store.create("docs", plain(), {})
    store.upsert("docs", points(10))
    limit(client, "docs", {"read_rate_limit": 2})
    for _ in range(2):
        client.post("/collections/docs/points/scroll", json={"limit": 1}).raise_for_status()

    with pytest.raises(Limited) as limited:
        store.scroll("docs", None, 5)

    assert 0 < limited.value.seconds <= 60
