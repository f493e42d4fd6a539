"""What only a real server can show: an index, gRPC besides REST, limits, snapshots."""

import hashlib
import json
import multiprocessing
import time
import uuid
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest

from qdrant_rollouts.adapters.qdrant import open_store
from qdrant_rollouts.adapters.qdrant_http import Rest
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.errors import LeaseLost, OutcomeUnknown, Refused, Unavailable
from qdrant_rollouts.core.ports import Capacity, Point, SearchParams
from tests.own_time import Stopwatch
from tests.qdrants import (
    answering,
    for_us_alone,
    plain,
    points,
    relay,
    seen,
    serving,
    wait_until,
)
from tests.servers import Qdrant, free_ports


@pytest.fixture
def store(qdrant_url, qdrant_grpc_port):
    opened = ServerStore(qdrant_url, "", qdrant_grpc_port)
    yield opened
    opened.close()


@pytest.fixture
def name():
    return f"docs_{uuid.uuid4().hex[:12]}"


# --- the index ------------------------------------------------------------------------------------


def test_a_collection_is_not_ready_before_its_index_is(store, name):
    store.create(name, plain(64, optimizer_config={"indexing_threshold": 100}), {})
    looks = [seen(store, name)]
    for start in range(0, 6_000, 1_000):
        store.upsert(name, points(1_000, 64, start))
        looks.append(seen(store, name))

    wait_until(lambda: seen(store, name).ready)

    assert store.health(name).indexed_vectors >= 5_000
    assert [one.reason for one in looks if not one.ready] != []
    assert not any(one.broken for one in looks)


def test_sparse_vectors_and_points_without_every_vector_do_not_hide_or_fake_an_index(store, name):
    """The server counts the vectors of all names in one number, sparse ones among them."""
    schema = plain(optimizer_config={"indexing_threshold": 100})
    schema["params"] = {
        "vectors": {one: {"size": 64, "distance": "Cosine"} for one in ("text", "title")},
        "sparse_vectors": {"words": {}},
    }
    store.create(name, schema, {})
    numbers = np.random.default_rng(1).standard_normal((3_000, 64)).astype(np.float32)
    words = {"indices": [1], "values": [1.0]}
    store.upsert(
        name,
        [
            Point(i, {"text": row, "words": words} | ({"title": row} if i % 10 == 0 else {}), {})
            for i, row in enumerate(numbers)
        ],
    )

    wait_until(lambda: seen(store, name).ready)

    assert store.health(name).indexed_vectors >= 6_300 - 3 * 400


def test_a_server_killed_while_it_indexed_sleeps_until_it_is_woken(own_qdrant):
    store = ServerStore(own_qdrant.url, "", own_qdrant.grpc_port)
    slow = plain(
        64,
        optimizer_config={"indexing_threshold": 100},
        hnsw_config={"m": 32, "ef_construct": 1000},
    )
    store.create("docs", slow, {})
    for start in range(0, 10_000, 2_000):
        store.upsert("docs", points(2_000, 64, start))
    own_qdrant.kill()
    own_qdrant.start()
    assert wait_until(lambda: seen(store, "docs")).asleep

    store.wake("docs")

    assert not seen(store, "docs").asleep
    wait_until(lambda: seen(store, "docs").ready, 60)
    store.close()


# --- points ---------------------------------------------------------------------------------------


def test_a_strict_mode_that_allows_less_than_we_would_send_is_kept_to(store, name):
    strict = {"enabled": True, "upsert_max_batchsize": 10, "max_query_limit": 15}
    store.create(name, plain(strict_mode_config=strict), {})
    store.create(f"{name}_copy", store.schema(name), {})

    store.upsert(name, points(55))
    store.copy(name, f"{name}_copy", None, 30)

    assert store.count(name) == store.count(f"{name}_copy") == 55


def test_a_frozen_collection_refuses_writes_in_the_servers_words(store, name):
    store.create(name, plain(strict_mode_config={"enabled": True, "upsert_max_batchsize": 0}), {})

    with pytest.raises(Refused, match="upsert limit"):
        store.upsert(name, points(1))


def test_bulk_work_goes_over_grpc_where_the_port_answers(qdrant_url, qdrant_grpc_port, name):
    with relay(qdrant_grpc_port) as (port, carried):
        store = ServerStore(qdrant_url, "", port)
        store.create(name, plain(256), {})
        store.upsert(name, points(500, 256))
        store.close()

    assert carried() > 500 * 256 * 4


def test_a_grpc_port_of_another_server_is_not_written_to(store, own_qdrant, qdrant_grpc_port, name):
    """The port has a default, so two servers on one machine are enough to mix them up."""
    store.create(name, plain(), {})
    mixed = ServerStore(own_qdrant.url, "", qdrant_grpc_port)
    mixed.create(name, plain(), {})
    mixed.create(f"{name}_second", plain(), {})

    mixed.upsert(name, points(5))

    assert mixed.count(name) == 5
    assert store.count(name) == 0
    mixed.close()


# Forking beside threads is what a prefork worker does; Python 3.12 and later warn of it.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_can_use_a_store_its_parent_has_used(store, name):
    store.create(name, plain(), {})
    store.upsert(name, points(10))
    context = multiprocessing.get_context("fork")

    child = context.Process(target=store.upsert, args=(name, points(10, start=10)))
    child.start()
    child.join(20)

    assert child.exitcode == 0
    assert store.count(name) == 20
    assert len(store.fetch(name, list(range(20)), vectors=True)) == 20


def test_without_tls_no_authorities_are_loaded():
    """A thousand of them take longer than what a verb that looks asks of a server."""
    assert Rest("http://127.0.0.1:9").connection()["verify"].get_ca_certs() == []
    assert Rest("https://127.0.0.1:9").connection()["verify"] is True


def test_a_search_with_payload_does_not_wait_for_the_network(store, name):
    """A compressed answer would come in two pieces 40 ms apart."""
    store.create(name, plain(), {})
    store.upsert(name, [Point(i, [1, 2, 3, i], {"text": "word " * 200}) for i in range(50)])
    waited = []
    for _ in range(30):
        begun = time.monotonic()
        store.search(name, [1, 0, 0, 0], 10)
        found = time.monotonic()
        store.aliases()  # comes in one piece, however busy the machine is
        waited.append(found - begun - (time.monotonic() - found))

    assert sorted(waited)[10] < 0.02


def test_many_exact_searches_find_what_a_bad_index_misses(store, name):
    bad = {"m": 4, "ef_construct": 4, "full_scan_threshold": 10}
    store.create(name, plain(64, hnsw_config=bad, optimizer_config={"indexing_threshold": 100}), {})
    written = points(6_000, 64)
    for start in range(0, 6_000, 2_000):
        store.upsert(name, written[start : start + 2_000])
    wait_until(lambda: seen(store, name).ready, 60)
    queries = np.random.default_rng(7).standard_normal((20, 64)).astype(np.float32)
    rows = np.array([point.vector for point in written])
    cosines = queries @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
    nearest = [set(np.argsort(-row)[:10].tolist()) for row in cosines]

    exact, quick = (
        [
            {hit.id for hit in hits}
            for hits in store.search_many(name, queries, 10, SearchParams(exact=flag))
        ]
        for flag in (True, False)
    )

    assert exact == nearest
    assert quick != nearest


def test_many_searches_wait_no_longer_than_they_are_told_to(own_qdrant):
    store = ServerStore(own_qdrant.url, "", 0)
    store.create("docs", plain(), {})

    with own_qdrant.frozen(), Stopwatch() as watch:
        queries = [np.ones(4, dtype=np.float32)]
        with pytest.raises(Unavailable):
            store.search_many("docs", queries, 1, SearchParams(seconds=3))
        assert watch.read() < 5
    store.close()


# --- capacity -------------------------------------------------------------------------------------


def test_a_real_server_tells_its_memory_and_its_disk_in_bytes(store):
    told = store.capacity()

    assert 0 < told.memory_used < told.memory
    assert told.memory > 2**29
    assert told.disk > 2**30


def test_the_disk_used_is_the_sum_over_all_segments_of_all_collections():
    segments = [
        [{"info": {"disk_usage_bytes": size}} for size in sizes] for sizes in ([5, 7], [11])
    ]
    collections = [{"shards": [{"local": {"segments": one}, "remote": []}]} for one in segments]
    told = {
        "app": {"system": {"ram_size": 8, "disk_size": 100}},
        "memory": {"resident_bytes": 3},
        "collections": {"number_of_collections": 2, "collections": collections},
    }
    with answering(lambda path: (200, json.dumps({"result": told}))) as url:
        store = ServerStore(url)
        assert store.capacity() == Capacity(memory=8192, memory_used=3, disk=102_400, disk_used=23)
        store.close()


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (403, None),
        (404, None),
        (200, {}),
        (200, {"app": {"system": None}, "memory": None, "collections": None}),
    ],
)
def test_a_server_that_does_not_tell_has_an_unknown_capacity(status, result):
    with answering(
        lambda path: (status, json.dumps({"status": {"error": "no"}, "result": result}))
    ) as url:
        store = ServerStore(url)
        assert store.capacity() == Capacity()
        store.close()


def test_a_server_that_is_away_has_no_capacity_but_is_unavailable():
    store = ServerStore(f"http://127.0.0.1:{free_ports(1)[0]}", "", 0)

    for ask in (
        store.capacity,
        lambda: store.facet("docs", "g", 5),
        lambda: store.search_many("docs", [[1.0]], 5),
    ):
        with pytest.raises(Unavailable):
            ask()


# --- snapshots ------------------------------------------------------------------------------------


def test_a_snapshot_fills_an_empty_clone_with_points_and_index_and_leaves_its_metadata(store, name):
    schema = plain(
        64,
        optimizer_config={"indexing_threshold": 100},
        payload_schema={"n": {"data_type": "integer"}},
    )
    store.create(name, schema, {"whose": "blue"})
    store.upsert(name, points(3_000, 64))
    wait_until(lambda: seen(store, name).ready)
    store.create(f"{name}_green", store.schema(name), {"whose": "green"})

    snapshot = store.make_snapshot(name, 30)
    store.recover(f"{name}_green", name, snapshot, 30)
    assert store.count(f"{name}_green") == 3_000

    assert store.schema(f"{name}_green") == store.schema(name)
    assert store.metadata(f"{name}_green") == {"whose": "green"}
    assert seen(store, f"{name}_green").ready
    assert store.health(f"{name}_green").indexed_vectors == store.health(name).indexed_vectors > 0
    ids = list(range(0, 3_000, 7))
    blue, green = (
        {
            point.id: (point.vector.tobytes(), point.payload)
            for point in store.fetch(one, ids, vectors=True)
        }
        for one in (name, f"{name}_green")
    )
    assert blue == green


def test_a_dropped_snapshot_is_gone_and_dropping_it_again_does_nothing(store, name):
    store.create(name, plain(), {})
    snapshot = take_snapshot(store, name)

    store.drop_snapshot(name, snapshot)
    store.drop_snapshot(name, snapshot)

    assert store.snapshots(name) == set()


def test_a_recovery_into_an_alias_is_refused_and_the_live_collection_keeps_its_points(store, name):
    store.create(name, plain(), {})
    snapshot = take_snapshot(store, name)
    store.upsert(name, points(5))
    store.point_alias(f"{name}_alias", name)

    with pytest.raises(Refused, match="no collection"):
        store.check_recovery(f"{name}_alias", name)

    assert store.count(name) == 5
    store.drop_snapshot(name, snapshot)


def test_a_recovery_is_refused_where_the_server_cannot_fetch_from_its_own_address(
    store, qdrant_url, name
):
    """Behind a proxy, or under another name inside its network; without asking first nobody would
    be told."""
    store.create(name, plain(), {})
    store.create(f"{name}_green", plain(), {})
    snapshot = take_snapshot(store, name)
    with for_us_alone(qdrant_url) as address:
        outside = ServerStore(address, "", 0)
        assert outside.count(name) == 0

        with pytest.raises(Refused, match="cannot fetch its own snapshots from that address"):
            outside.check_recovery(f"{name}_green", name)

        outside.close()
    store.drop_snapshot(name, snapshot)


def test_with_an_api_key_everything_works_and_snapshots_too():
    with Qdrant(api_key="s3cret-key") as server:
        store = open_store(server.url, "s3cret-key", server.grpc_port, "")
        store.create("docs", plain(), {})
        store.upsert("docs", points(5))
        store.create("green", store.schema("docs"), {})

        store.check_recovery("green", "docs")
        store.recover("green", "docs", store.make_snapshot("docs", 30), 30)

        assert store.count("green") == 5
        assert store.copy("docs", "green", None, 5) == (5, None)
        store.close()


def test_a_snapshot_is_downloaded_from_any_byte_on_and_uploaded_as_a_new_collection(store, name):
    """With the settings and the metadata it was made with: they come out of the snapshot."""
    store.create(name, plain(payload_schema={"n": {"data_type": "integer"}}), {"whose": "blue"})
    store.upsert(name, points(50))
    snapshot = store.snapshot(name, take_snapshot(store, name))

    whole = b"".join(store.download_snapshot(name, snapshot.name, 0))
    assert (len(whole), hashlib.sha256(whole).hexdigest()) == (snapshot.size, snapshot.sha256)
    for start in (1, 1000, len(whole) - 1):
        assert b"".join(store.download_snapshot(name, snapshot.name, start)) == whole[start:]

    store.upload_snapshot(f"{name}_green", snapshot, [whole[:1000], whole[1000:]])
    wait_until(
        lambda: f"{name}_green" in store.collections() and filled(store, f"{name}_green", 50)
    )
    assert store.schema(f"{name}_green") == store.schema(name)
    assert store.metadata(f"{name}_green") == {"whose": "blue"}
    store.drop_snapshot(name, snapshot.name)


def test_an_upload_that_breaks_off_leaves_nothing(store, name):
    store.create(name, plain(), {})
    snapshot = store.snapshot(name, take_snapshot(store, name))
    whole = b"".join(store.download_snapshot(name, snapshot.name, 0))

    def broken_off():
        yield whole[:-1]
        raise LeaseLost

    with pytest.raises(LeaseLost):
        store.upload_snapshot(f"{name}_green", snapshot, broken_off())

    time.sleep(1)
    assert f"{name}_green" not in store.collections()
    assert store.count(name) == 0
    store.drop_snapshot(name, snapshot.name)


def take_snapshot(store, collection):
    return store.make_snapshot(collection, 30).name


def filled(store, collection, count):
    """While it is being recovered the server answers 500 for a moment."""
    try:
        return store.count(collection) == count
    except Unavailable:
        return False


# --- answers that are lost ------------------------------------------------------------------------


def answering_once(status, content):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            if not status:
                return  # the connection is closed without an answer
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return serving(Handler)


@pytest.mark.parametrize(
    ("status", "content", "surely_not"),
    [
        (0, b"", False),
        (504, b"<html>gateway timeout</html>", False),
        (504, b'{"message": "timeout"}', False),
        (504, b'{"status": 504, "title": "Gateway Timeout"}', False),
        (408, b"Request Timeout", False),
        (408, b'{"status": "408", "detail": "too slow"}', False),
        (413, b"<html>too large</html>", False),
        (200, b"<html>signed out</html>", False),
        (500, b'{"status": {"error": "no space left"}, "time": 0.1}', True),
    ],
    ids=[
        "closed",
        "gateway",
        "gateway with JSON",
        "problem details",
        "time limit",
        "time limit with JSON",
        "size limit",
        "a page of something",
        "Qdrant",
    ],
)
def test_only_the_servers_own_answer_says_that_an_act_is_not_done(status, content, surely_not):
    with answering_once(status, content) as url, pytest.raises(Unavailable) as raised:
        Rest(url).call_once("POST", "collections", "docs", "snapshots", seconds=5)
    assert isinstance(raised.value, OutcomeUnknown) is not surely_not


def test_a_request_that_is_not_sent_is_surely_not_done():
    [port] = free_ports(1)
    with pytest.raises(Unavailable) as raised:
        Rest(f"http://127.0.0.1:{port}").call_once("POST", "collections", seconds=2)
    assert not isinstance(raised.value, OutcomeUnknown)


def test_an_answer_that_comes_too_late_is_lost():
    class Slow(BaseHTTPRequestHandler):
        def do_POST(self):
            time.sleep(1.0)

        def log_message(self, *_):
            pass

    with serving(Slow) as url, pytest.raises(OutcomeUnknown):
        Rest(url).call_once("POST", "collections", seconds=0.3)
