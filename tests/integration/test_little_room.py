"""A server whose disk is full, then has space: what it reports during that time and long
afterwards, and what follows."""

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import readiness
from qdrant_rollouts.core.errors import Unavailable
from tests.qdrants import plain, points, seen, wait_until

SIZE = 128


@pytest.fixture
def store(own_qdrant):
    store = ServerStore(own_qdrant.url, "", own_qdrant.grpc_port)
    yield store
    store.close()


def collection(store, *, threshold):
    optimizers = {"indexing_threshold": threshold, "default_segment_number": 1}
    store.create("docs", plain(SIZE, optimizer_config=optimizers), {})


def index_it(store):
    """From now on there is something to build."""
    store._rest.call(
        "PATCH", "collections", "docs", body={"optimizers_config": {"indexing_threshold": 100}}
    )


def now(store):
    return readiness.watch(store, "docs", store.schema("docs"), store.health("docs"))


def test_an_index_that_could_not_be_built_for_want_of_room_fails_and_is_not_broken(
    store, own_qdrant
):
    collection(store, threshold=0)
    store.upsert("docs", points(4_000, SIZE))
    with own_qdrant.full():
        index_it(store)
        wait_until(lambda: store.health("docs").optimizer != "ok")
        found = [now(store) for _ in range(2)]

    assert [(one.ready, one.failing, one.broken) for one in found] == [(False, True, False)] * 2
    assert "failed to set length of file" in found[0].reason


def test_once_there_is_room_it_is_ready_though_the_server_still_shows_the_error(store, own_qdrant):
    collection(store, threshold=0)
    store.upsert("docs", points(4_000, SIZE))
    with own_qdrant.full():
        index_it(store)
        wait_until(lambda: store.health("docs").optimizer != "ok")

    wait_until(lambda: now(store).ready)

    assert store.health("docs").indexed_vectors == 4_000
    assert seen(store, "docs").failing, "1.16.3 shows an error of the past until it is restarted"
    assert readiness.find_failure(store, "docs") is None
    assert store.count("docs") == 4_000


def test_more_points_that_find_no_room_are_noticed_although_the_error_is_the_old_one(
    store, own_qdrant
):
    collection(store, threshold=0)
    store.upsert("docs", points(4_000, SIZE))
    with own_qdrant.full():
        index_it(store)
        wait_until(lambda: store.health("docs").optimizer != "ok")
    wait_until(lambda: now(store).ready)
    store._rest.call(
        "PATCH", "collections", "docs", body={"optimizers_config": {"indexing_threshold": 0}}
    )
    store.upsert("docs", points(4_000, SIZE, 4_000))
    with own_qdrant.full():
        index_it(store)

        assert wait_until(lambda: readiness.find_failure(store, "docs")).failing
        assert "4,000 of 8,000 vectors indexed" in now(store).reason


def test_writes_that_found_no_room_are_taken_again_once_the_server_was_roused(store, own_qdrant):
    collection(store, threshold=0)
    with own_qdrant.full():
        for start in (0, 500):
            with pytest.raises(Unavailable):
                store.upsert("docs", points(500, SIZE, start))
        assert seen(store, "docs").failing
    with pytest.raises(Unavailable, match="Not recovered from previous error"):
        store.upsert("docs", points(500, SIZE))

    readiness.rouse(store, "docs")
    wait_until(lambda: not readiness.shows_error(store.health("docs")))
    store.upsert("docs", points(500, SIZE))

    assert store.count("docs") >= 500
