"""One suite for every ``VectorStore``: the embedded one in memory and in a folder, a server with
gRPC and without."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections.readiness import judge_readiness
from qdrant_rollouts.core.collections.schema import list_differences
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Point, SearchParams, Snapshot
from tests.servers import free_ports

PLAIN = {"params": {"vectors": {"size": 4, "distance": "Cosine"}}}
RICH = {
    "params": {
        "vectors": {
            "text": {"size": 3, "distance": "Cosine"},
            "rows": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
            "half": {"size": 2, "distance": "Euclid", "datatype": "float16"},
        },
        "sparse_vectors": {"words": {}},
    },
    "payload_schema": {"n": {"data_type": "integer"}},
}
#: Everything JSON can hold, and the numbers that do not fit everywhere.
PAYLOAD = {
    "whole": 3,
    "float": 0.1,
    "whole float": 1.0,
    "tiny": 1e-300,
    "int64": -(2**63),
    "beyond int64": 2**63 + 5,
    "uint64": 2**64 - 1,
    "beyond float": 2**53 + 1,
    "no": False,
    "nothing": None,
    "text": "ä€😀\n",
    "": "a field without a name",
    "list": [1, [2.5, {"deep": [None]}], []],
    "object": {"empty": {}},
}
UUID = "6f2d3c1e-5a0b-4d4e-9c57-0b6a4f0e8d11"


@pytest.fixture(params=["memory", "folder", "server", "server without gRPC"])
def store(request, tmp_path):
    made = {
        "memory": lambda: LocalStore(":memory:"),
        "folder": lambda: LocalStore(tmp_path / "qdrant"),
        "server": lambda: ServerStore(asked("qdrant_url"), "", asked("qdrant_grpc_port")),
        "server without gRPC": lambda: ServerStore(asked("qdrant_url"), "", free_ports(1)[0]),
    }
    asked = request.getfixturevalue
    opened = made[request.param]()
    yield opened
    opened.close()


@pytest.fixture
def name():
    """A name that no collection or alias has."""
    return f"docs_{uuid.uuid4().hex[:12]}"


@pytest.fixture
def docs(store, name):
    store.create(name, PLAIN, {})
    return name


@pytest.fixture
def rich(store, name):
    store.create(f"{name}_rich", RICH, {})
    return f"{name}_rich"


def points(count, start=0):
    numbers = np.random.default_rng(start).standard_normal((count, 4)).astype(np.float32)
    return [Point(start + i, numbers[i], {"n": start + i}) for i in range(count)]


def everything(store, collection, limit=100, **asked):
    """All points by id, read page by page."""
    found = []
    after = None
    while True:
        page, after = store.scroll(collection, after, limit, **asked)
        found += page
        if after is None:
            return {point.id: point for point in found}


def raw(point):
    """A point's content in a form that compares bit by bit."""

    def plain(vector):
        return (
            vector if isinstance(vector, dict) else (vector.dtype, vector.shape, vector.tobytes())
        )

    named = isinstance(point.vector, dict)
    vectors = (
        {key: plain(one) for key, one in point.vector.items()} if named else plain(point.vector)
    )
    return point.id, vectors, point.payload


def same(store, one, other):
    """Bit by bit on a server; local mode makes a cosine vector's length 1 again, which may turn its
    last bit."""
    if not store.server().embedded:
        return raw(one) == raw(other)
    texts = [point.vector.get("text", np.zeros(0)) for point in (one, other)]
    rest = [
        Point(
            point.id, {name: v for name, v in point.vector.items() if name != "text"}, point.payload
        )
        for point in (one, other)
    ]
    return np.allclose(*texts, rtol=1e-6) and raw(rest[0]) == raw(rest[1])


# --- collections ----------------------------------------------------------------------------------


def test_a_new_collection_has_the_settings_and_the_metadata_it_was_made_with(store, name):
    store.create(name, RICH, {"made by": {"deployment": "d1", "n": 7}})

    assert name in store.collections()
    assert list_differences(RICH, store.schema(name)) == []
    assert store.metadata(name) == {"made by": {"deployment": "d1", "n": 7}}


def test_a_collection_made_from_another_ones_schema_is_the_same(store, rich, name):
    schema = store.schema(rich)

    store.create(name, schema, {})

    assert store.schema(name) == schema


def test_a_collection_without_metadata_has_none(store, docs):
    assert store.metadata(docs) == {}


def test_metadata_is_merged_and_a_key_set_to_none_is_gone(store, name):
    store.create(name, PLAIN, {"kept": 1, "gone": 2})

    store.set_metadata(name, {"gone": None, "new": {"a": [1]}})

    assert store.metadata(name) == {"kept": 1, "new": {"a": [1]}}
    assert list_differences(PLAIN, store.schema(name)) == []


def test_a_name_that_is_taken_is_refused_and_its_collection_stays(store, docs):
    store.upsert(docs, points(3))

    with pytest.raises(Refused, match=docs):
        store.create(docs, PLAIN, {})

    assert store.count(docs) == 3


def test_a_collection_cannot_have_the_name_of_an_alias(store, docs, name):
    store.point_alias(f"{name}_alias", docs)

    with pytest.raises(Refused, match=f"{name}_alias"):
        store.create(f"{name}_alias", PLAIN, {})


def test_a_dropped_collection_is_gone_with_its_aliases_and_dropping_it_again_does_nothing(
    store, docs, name
):
    store.point_alias(f"{name}_alias", docs)

    store.drop(docs)
    store.drop(docs)

    assert docs not in store.collections()
    assert f"{name}_alias" not in store.aliases()


def test_a_collection_is_not_dropped_by_its_alias(store, docs, name):
    store.point_alias(f"{name}_alias", docs)

    with pytest.raises(Refused, match="is an alias"):
        store.drop(f"{name}_alias")

    assert docs in store.collections()
    assert store.aliases()[f"{name}_alias"] == docs


@pytest.mark.parametrize(
    "ask",
    [
        lambda store, name: store.schema(name),
        lambda store, name: store.metadata(name),
        lambda store, name: store.set_metadata(name, {"a": 1}),
        lambda store, name: store.health(name),
        lambda store, name: store.wake(name),
        lambda store, name: store.count(name),
        lambda store, name: store.upsert(name, points(1)),
        lambda store, name: store.fetch(name, [1], vectors=True),
        lambda store, name: store.scroll(name, None, 10),
        lambda store, name: store.search(name, [1, 0, 0, 0], 1),
        lambda store, name: store.copy(name, name, None, 1),
        lambda store, name: store.snapshots(name),
        lambda store, name: store.make_snapshot(name, 1),
        lambda store, name: store.check_recovery(name, name),
        lambda store, name: store.snapshot(name, "none.snapshot"),
        lambda store, name: list(store.download_snapshot(name, "none.snapshot", 0)),
    ],
)
def test_what_is_asked_of_a_missing_collection_is_refused_by_its_name(store, name, ask):
    with pytest.raises(Refused, match=name):
        ask(store, name)


def test_a_store_says_who_it_is(store):
    server = store.server()

    assert server.version >= (1, 15, 4)
    assert server.address
    assert server.embedded == isinstance(store, LocalStore)
    assert server.peers == 1


def test_a_small_collection_is_healthy_and_ready(store, docs):
    store.upsert(docs, points(10))

    health = store.health(docs)

    assert (health.status, health.optimizer) == ("green", "ok")
    assert judge_readiness(store.schema(docs), health, store.count(docs)).ready


def test_waking_a_collection_that_is_awake_changes_nothing(store, docs):
    before = store.schema(docs)

    store.wake(docs)

    assert store.schema(docs) == before


# --- aliases --------------------------------------------------------------------------------------


def test_an_alias_points_where_it_was_told_and_moves_in_one_act(store, docs, rich, name):
    store.point_alias(f"{name}_alias", docs)
    assert store.aliases()[f"{name}_alias"] == docs

    store.point_alias(f"{name}_alias", rich)
    assert store.aliases()[f"{name}_alias"] == rich


def test_an_alias_to_a_missing_collection_is_refused_and_stays_where_it_was(store, docs, name):
    store.point_alias(f"{name}_alias", docs)

    with pytest.raises(Refused, match="nowhere"):
        store.point_alias(f"{name}_alias", "nowhere")

    assert store.aliases()[f"{name}_alias"] == docs


def test_an_alias_of_an_alias_is_refused(store, docs, name):
    store.point_alias(f"{name}_alias", docs)

    with pytest.raises(Refused, match=f"{name}_alias"):
        store.point_alias(f"{name}_second", f"{name}_alias")

    assert f"{name}_second" not in store.aliases()


def test_an_alias_cannot_have_the_name_of_a_collection(store, docs, rich):
    with pytest.raises(Refused, match=rich):
        store.point_alias(rich, docs)

    assert rich not in store.aliases()


def test_a_dropped_alias_is_gone_and_dropping_it_again_does_nothing(store, docs, name):
    store.point_alias(f"{name}_alias", docs)

    store.drop_alias(f"{name}_alias")
    store.drop_alias(f"{name}_alias")

    assert f"{name}_alias" not in store.aliases()
    assert docs in store.collections()


# --- points ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", [0, 2**64 - 1, UUID])
def test_a_point_comes_back_as_it_was_written(store, name, identity):
    store.create(name, {"params": {"vectors": {"size": 3, "distance": "Dot"}}}, {})
    written = Point(identity, np.array([0.1, -2, 3e-30], dtype=np.float32), PAYLOAD)

    store.upsert(name, [written])

    fetched = store.fetch(name, [identity], vectors=True)
    scrolled, _ = store.scroll(name, None, 10)
    for found in (fetched, scrolled):
        assert [raw(point) for point in found] == [raw(written)]
        assert isinstance(found[0].payload["whole float"], float)
        assert isinstance(found[0].payload["uint64"], int)


def test_vectors_of_every_kind_come_back_as_they_were_written(store, rich):
    written = {
        "text": [0.6, 0.0, 0.8],
        "rows": [[1, 2], [3, 4]],
        "half": [0.5, -0.25],
        "words": {"indices": [2, 5], "values": [0.25, 0.5]},
    }

    store.upsert(rich, [Point(1, written, {})])

    [found] = store.fetch(rich, [1], vectors=True)
    assert found.vector["text"].tolist() == pytest.approx([0.6, 0.0, 0.8])
    assert found.vector["rows"].tolist() == [[1, 2], [3, 4]]
    assert found.vector["half"].tolist() == [0.5, -0.25]
    assert found.vector["words"] == {"indices": [2, 5], "values": [0.25, 0.5]}


def test_a_point_may_have_some_of_the_vectors_or_none(store, rich):
    words = {"indices": [1], "values": [1.0]}

    store.upsert(
        rich,
        [
            Point(1, {"words": words}, {}),
            Point(2, {}, {"n": 2}),
            Point(3, {"rows": [[1.0, 2.0]]}, {}),
        ],
    )

    found = everything(store, rich)
    assert {identity: set(point.vector) for identity, point in found.items()} == {
        1: {"words"},
        2: set(),
        3: {"rows"},
    }
    assert store.count(rich, having="words") == 1
    assert store.count(rich, having="text") == 0
    assert store.count(rich) == 3


def test_an_unnamed_vector_is_counted_by_its_empty_name(store, docs):
    store.upsert(docs, points(5))

    assert store.count(docs, having="") == 5


def test_a_write_replaces_the_whole_point(store, docs):
    store.upsert(docs, [Point(1, [1, 0, 0, 0], {"old": 1, "both": 1})])

    store.upsert(docs, [Point(1, [0, 1, 0, 0], {"both": 2})])

    [found] = store.fetch(docs, [1], vectors=True)
    assert found.payload == {"both": 2}
    assert found.vector.tolist() == [0, 1, 0, 0]
    assert store.count(docs) == 1


def test_writing_nothing_does_nothing(store, docs):
    store.upsert(docs, [])

    assert store.count(docs) == 0


def test_deleted_points_are_gone_and_the_others_stay(store, docs):
    store.upsert(docs, [*points(5), Point(UUID, [1, 0, 0, 0], {})])

    store.delete(docs, [1, UUID, 77])

    left, _ = store.scroll(docs, None, 10)
    assert [point.id for point in left] == [0, 2, 3, 4]


def test_more_points_are_deleted_at_once_than_one_request_holds(store, docs):
    store.upsert(docs, points(2500))

    store.delete(docs, list(range(2500)))

    assert store.count(docs) == 0


def test_deleting_nothing_does_nothing(store, docs):
    store.upsert(docs, points(3))

    store.delete(docs, [])

    assert store.count(docs) == 3


def test_a_patch_changes_what_it_names_and_makes_no_point(store, docs):
    store.upsert(docs, [Point(1, [1, 0, 0, 0], {"a": 1, "b": {"c": 2}, "d": 1})])

    store.patch_points(
        docs,
        [
            Point(77, [0, 1, 0, 0], {"a": 5}),
            Point(1, [0, 1, 0, 0], {"a": [2], "d": None, "nowhere": None, "new": {"e": None}}),
            Point(UUID, {}, {"a": 6}),
        ],
    )

    [found] = store.fetch(docs, [1, 77, UUID], vectors=True)
    assert found.payload == {"a": [2], "b": {"c": 2}, "new": {"e": None}}
    assert list(found.vector) == [0, 1, 0, 0]


def test_a_patch_leaves_vectors_that_it_does_not_name(store, rich):
    vectors = {"text": [1, 0, 0], "half": [0.5, 1], "words": {"indices": [3], "values": [1.0]}}
    store.upsert(rich, [Point(1, vectors, {"n": 1})])

    store.patch_points(rich, [Point(1, {"half": [2, 4]}, {})])
    store.patch_points(rich, [Point(1, {}, {"n": 2})])

    [found] = store.fetch(rich, [1], vectors=True)
    assert found.payload == {"n": 2}
    assert {name: list(found.vector[name]) for name in ("text", "half")} == {
        "text": [1, 0, 0],
        "half": [2, 4],
    }
    assert list(found.vector["words"]["indices"]) == [3]


def test_a_patch_with_a_vector_that_does_not_fit_is_refused(store, docs):
    store.upsert(docs, points(1))

    with pytest.raises(Refused):
        store.patch_points(docs, [Point(0, [1, 0], {"a": 1})])

    [found] = store.fetch(docs, [0], vectors=False)
    assert "a" not in found.payload


def test_waiting_for_writes_changes_nothing(store, docs):
    store.upsert(docs, points(3))

    store.await_writes(docs)

    assert store.count(docs) == 3


def test_many_large_points_are_written_at_once(store, docs):
    """60 MB; a server takes 32 MB in a request."""
    large = [Point(i, [1, 0, 0, i], {"text": f"{i} " + "x" * 1_500_000}) for i in range(40)]

    store.upsert(docs, large)

    assert store.count(docs) == 40
    [found] = store.fetch(docs, [39], vectors=False)
    assert found.payload == large[39].payload


def test_only_points_that_exist_are_fetched_and_vectors_only_on_demand(store, docs):
    store.upsert(docs, points(3))

    found = store.fetch(docs, [1, 2, 77, UUID], vectors=False)

    assert sorted(point.id for point in found) == [1, 2]
    assert all(len(point.vector) == 0 and point.payload for point in found)
    assert store.fetch(docs, [], vectors=True) == []


def test_a_scroll_meets_every_point_once_integers_before_uuids(store, docs):
    names = sorted(str(uuid.uuid4()) for _ in range(20))
    store.upsert(
        docs, [Point(one, [1, 2, 3, 4], {}) for one in [*names, *range(50, 0, -1), 2**64 - 1]]
    )

    pages = []
    after = None
    while True:
        page, after = store.scroll(docs, after, 10)
        pages.append([point.id for point in page])
        if after is None:
            break

    assert [one for page in pages for one in page] == [*range(1, 51), 2**64 - 1, *names]
    assert all(len(page) <= 10 for page in pages)


def test_a_scroll_gives_only_the_fields_that_are_named(store, docs):
    store.upsert(docs, [Point(1, [1, 2, 3, 4], {"n": 2**63 + 1, "mark": {"from": "x"}, "b": 2})])
    [point], _ = store.scroll(docs, None, 10, vectors=False, payload=("mark", "other"))
    assert point.payload["mark"] == {"from": "x"}
    assert "b" not in point.payload


def test_a_scroll_leaves_out_what_was_not_asked_for(store, docs, rich):
    written = [Point(i, [1, 2, 3, i], {"n": i, "large": 2**63 + i}) for i in range(25)]
    store.upsert(docs, written)
    store.upsert(
        rich, [Point(1, {"text": [1, 0, 0], "words": {"indices": [1], "values": [1.0]}}, {"n": 1})]
    )
    whole = everything(store, docs)

    for asked in ({"vectors": False}, {"payload": False}, {"vectors": False, "payload": False}):
        found = everything(store, docs, 10, **asked)
        named = everything(store, rich, 10, **asked)[1]

        assert list(found) == list(range(25))
        for point in [*found.values(), named]:
            assert len(point.vector) == 0 if "vectors" in asked else len(point.vector) > 0
            assert point.payload == {} if "payload" in asked else point.payload != {}
        if "vectors" not in asked:
            assert all(np.array_equal(found[one].vector, whole[one].vector) for one in whole)
            assert set(named.vector) == {"text", "words"}
        if "payload" not in asked:
            assert {one: point.payload for one, point in found.items()} == {
                one.id: one.payload for one in written
            }


@pytest.mark.parametrize(
    ("vector", "payload", "why"),
    [
        ([1, 2, float("nan"), 4], {}, "point 7, vector unnamed: .*finite"),
        ([1, 2, float("inf"), 4], {}, "finite"),
        ([1, 2, 3e300, 4], {}, "finite"),
        ([1, 2, "three", 4], {}, "list of numbers"),
        ({"": {"indices": [1]}}, {}, "indices and values"),
        ([1, 2, 3], {}, "3"),
        ({"nope": [1, 2, 3, 4]}, {}, "nope"),
        ([1, 2, 3, 4], {"x": float("nan")}, "not JSON"),
        ([1, 2, 3, 4], {"x": {1, 2}}, "not JSON"),
        ([1, 2, 3, 4], {"x": "\ud800"}, "not JSON"),
    ],
)
def test_a_point_that_cannot_be_stored_is_refused_with_the_reason(
    store, docs, vector, payload, why
):
    with pytest.raises(Refused, match=why):
        store.upsert(docs, [Point(7, vector, payload)])

    assert store.count(docs) == 0


def test_searches_in_other_threads_never_fail_while_points_are_written(store, docs):
    store.upsert(docs, points(200))
    store.point_alias(f"{docs}_alias", docs)
    done = threading.Event()

    def search():
        found = []
        while not done.is_set() or not found:
            found.append(len(store.search(f"{docs}_alias", [1, 0, 0, 0], 5)))
        return found

    with ThreadPoolExecutor(4) as threads:
        searches = [threads.submit(search) for _ in range(4)]
        for start in range(200, 2_000, 200):
            store.upsert(docs, points(200, start))
        done.set()

    assert {count for searching in searches for count in searching.result()} == {5}


# --- searches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [True, False])
def test_a_search_gives_the_nearest_first_with_their_payload(store, docs, exact):
    store.upsert(
        docs,
        [
            Point(1, [1, 0, 0, 0], {"a": 1}),
            Point(2, [1, 1, 0, 0], {"a": 2}),
            Point(3, [0, 0, 1, 0], {}),
        ],
    )

    hits = store.search(
        docs, np.array([1, 0.1, 0, 0], dtype=np.float32), 2, SearchParams(exact=exact)
    )

    assert [(hit.id, hit.payload) for hit in hits] == [(1, {"a": 1}), (2, {"a": 2})]
    assert hits[0].score == pytest.approx(0.995, abs=0.001)


def test_a_search_takes_a_vector_of_each_kind(store, rich):
    store.upsert(
        rich,
        [
            Point(
                1,
                {
                    "rows": [[1.0, 0.0], [0.0, 1.0]],
                    "words": {"indices": [9, 3], "values": [1.0, 2.0]},
                },
                {},
            ),
            Point(2, {"rows": [[0.5, 0.5]], "text": [1.0, 0.0, 0.0]}, {}),
            Point(3, {"text": [0.0, 1.0, 0.0], "words": {"indices": [], "values": []}}, {}),
        ],
    )
    words = {"indices": [3, 4], "values": [1.0, 1.0]}
    assert [
        (hit.id, hit.score) for hit in store.search(rich, words, 5, SearchParams(using="words"))
    ] == [(1, 2.0)]
    rows = np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    found = store.search(rich, rows, 5, SearchParams(using="rows"))
    assert [(hit.id, hit.score) for hit in found] == [(1, 3.0), (2, 1.5)]
    assert [
        hit.id
        for hit in store.search_many(rich, [rows, rows[:1]], 5, SearchParams(using="rows"))[1]
    ] == [1, 2]
    assert [hit.id for hit in store.search(rich, [1.0, 0.0], 5, SearchParams(using="rows"))] == [
        1,
        2,
    ]  # one row
    (point,) = store.fetch(rich, [3], vectors=True)
    assert set(point.vector) == {"text", "words"}
    assert store.count(rich, having="rows") == 2


@pytest.mark.parametrize(
    ("using", "vector"),
    [
        ("text", [[1.0, 0.0, 0.0]] * 2),
        ("text", {"indices": [1], "values": [1.0]}),
        ("rows", {"indices": [1], "values": [1.0]}),
        ("rows", [[1.0, 0.0, 0.0]]),
        ("words", [1.0, 0.0]),
        ("words", [[1.0], [0.0]]),
        ("words", {"indices": [1]}),
        ("text", [1.0, float("nan"), 0.0]),
    ],
)
def test_a_search_by_another_kind_of_vector_is_refused(store, rich, using, vector):
    with pytest.raises(Refused):
        store.search(rich, vector, 5, SearchParams(using=using))


def test_a_sample_is_of_points_that_have_the_vector_and_brings_that_alone(store, rich):
    words = [{"indices": [number], "values": [1.0]} for number in range(8)]
    store.upsert(
        rich,
        [
            Point(n, {"words": one, "text": [1.0, 0.0, 0.0]}, {"n": n})
            for n, one in enumerate(words)
        ],
    )
    store.upsert(rich, [Point(9, {"text": [0.0, 1.0, 0.0]}, {})])
    assert {point.id for point in store.sample(rich, "words", 100)} == set(range(8))
    assert set(store.draw_ids(rich, 100)) == {
        point.id for point in store.scroll(rich, None, 100)[0]
    }
    assert len(set(store.draw_ids(rich, 3))) == 3
    drawn = store.sample(rich, "words", 3)
    assert len(drawn) == 3
    assert all(set(point.vector) == {"words"} and point.payload == {} for point in drawn)
    assert (
        len(
            {tuple(sorted(point.id for point in store.sample(rich, "words", 3))) for _ in range(30)}
        )
        > 1
    )


def test_a_search_can_name_its_vector_and_filter(store, rich):
    store.upsert(rich, [Point(i, {"text": [1, i, 0], "half": [i, 0]}, {"n": i}) for i in range(5)])
    wanted = {"must": [{"key": "n", "range": {"gte": 2}}]}

    hits = store.search(rich, [1, 0, 0], 10, SearchParams(using="text", filter=wanted))

    assert [hit.id for hit in hits] == [2, 3, 4]


def test_a_search_through_an_alias_asks_the_collection_behind_it(store, docs, name):
    store.upsert(docs, points(5))
    store.point_alias(f"{name}_alias", docs)

    assert store.search(f"{name}_alias", [1, 0, 0, 0], 3) == store.search(docs, [1, 0, 0, 0], 3)


@pytest.mark.parametrize(
    "query",
    [
        {"vector": [1, 0]},
        {"vector": [1, 0, 0, float("nan")]},
        {"vector": [1, 0, 0, 0], "how": SearchParams(using="nope")},
        {"vector": [1, 0, 0, 0], "how": SearchParams(filter={"must": [{"nonsense": 1}]})},
    ],
)
def test_a_search_that_makes_no_sense_is_refused(store, docs, query):
    store.upsert(docs, points(5))

    with pytest.raises(Refused):
        store.search(docs, limit=3, **query)


@pytest.mark.parametrize("exact", [True, False])
def test_many_searches_at_once_answer_as_one_by_one_in_their_order_without_payload(
    store, docs, name, exact
):
    store.upsert(docs, points(60))
    store.point_alias(f"{name}_alias", docs)
    queries = [point.vector for point in points(7, 100)]

    found = store.search_many(f"{name}_alias", queries, 5, SearchParams(exact=exact, seconds=30))

    assert [[(hit.id, hit.score) for hit in hits] for hits in found] == [
        [
            (hit.id, pytest.approx(hit.score, abs=1e-6))
            for hit in store.search(docs, one, 5, SearchParams(exact=exact))
        ]
        for one in queries
    ]
    assert len({hits[0].id for hits in found}) > 1
    assert all(hit.payload == {} for hits in found for hit in hits)


def test_many_searches_can_name_their_vector_and_filter(store, rich):
    store.upsert(rich, [Point(i, {"text": [1, i, 0], "half": [i, 0]}, {"n": i}) for i in range(5)])
    wanted = {"must": [{"key": "n", "range": {"gte": 2}}]}
    queries = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)

    found = store.search_many(rich, queries, 10, SearchParams(using="text", filter=wanted))

    assert [[hit.id for hit in hits] for hits in found] == [[2, 3, 4], [4, 3, 2]]


def test_no_searches_have_no_answers(store, docs):
    assert store.search_many(docs, [], 5) == []
    assert store.search_many(docs, np.zeros((0, 4), dtype=np.float32), 5) == []


def test_one_search_among_many_that_makes_no_sense_is_refused(store, docs):
    store.upsert(docs, points(5))

    for wrong in ([1, 0], [1, 0, 0, float("nan")]):
        with pytest.raises(Refused):
            store.search_many(docs, [np.float32([1, 0, 0, 0]), np.float32(wrong)], 3)


# --- looking around -------------------------------------------------------------------------------


@pytest.fixture
def grouped(store, name):
    """50 points: g is x for 30, y for 15, z for 5 and a list for some; n, t and the rest have other
    indexes or none."""
    kinds = {"g": "keyword", "n": "integer", "flag": "bool", "f": "float", "t": "text"}
    store.create(
        name,
        PLAIN | {"payload_schema": {field: {"data_type": kind} for field, kind in kinds.items()}},
        {},
    )
    groups = ["x"] * 30 + ["y"] * 15 + [["z", "w", "z"]] * 3 + ["z"] * 2
    store.upsert(
        name,
        [
            Point(
                i,
                [1, 2, 3, i],
                {"g": group, "n": i % 3 // 2, "flag": i == 7, "f": 0.5, "t": "a b", "bare": "x"},
            )
            for i, group in enumerate(groups)
        ],
    )
    return name


def test_a_facet_counts_the_most_frequent_values_first(store, grouped):
    assert list(store.facet(grouped, "g", 10).items()) == [("x", 30), ("y", 15), ("z", 5), ("w", 3)]
    assert list(store.facet(grouped, "g", 2).items()) == [("x", 30), ("y", 15)]
    assert list(store.facet(grouped, "n", 10).items()) == [("0", 34), ("1", 16)]
    assert {value.lower(): count for value, count in store.facet(grouped, "flag", 10).items()} == {
        "false": 49,
        "true": 1,
    }


@pytest.mark.parametrize("field", ["bare", "nowhere", "f", "t"])
def test_a_facet_of_a_field_without_an_index_that_counts_is_refused_by_its_name(
    store, grouped, field
):
    with pytest.raises(Refused, match=field):
        store.facet(grouped, field, 10)


def test_a_facet_of_a_collection_that_is_not_there_is_refused(store, name):
    with pytest.raises(Refused, match=name):
        store.facet(name, "g", 10)


def test_the_capacity_is_in_positive_numbers_or_unknown(store, docs):
    store.upsert(docs, points(5))

    told = store.capacity()

    for number in (told.memory, told.memory_used, told.disk, told.disk_used):
        assert number is None or (isinstance(number, int) and number > 0)
    assert store.server().embedded or told.memory


# --- copies ---------------------------------------------------------------------------------------


def test_a_copy_holds_the_same_points(store, rich, name):
    rng = np.random.default_rng(5)
    store.upsert(
        rich,
        [
            Point(
                identity,
                {"text": rng.standard_normal(3), "rows": rng.standard_normal((1 + i % 3, 2))},
                {"n": i},
            )
            for i, identity in enumerate(
                [*range(400), *(str(uuid.UUID(int=i)) for i in range(1, 300))]
            )
        ]
        + [
            Point(
                1000,
                {"words": {"indices": [7, 9], "values": [0.5, 1.5]}, "half": [0.1, 0.2]},
                PAYLOAD,
            ),
            Point(1001, {}, {}),
            Point(1002, {"text": [0, 0, 0]}, PAYLOAD | {"n": 3}),
        ],
    )
    store.create(name, store.schema(rich), {})

    assert store.copy(rich, name, None, 60) == (702, None)

    copied = everything(store, name)
    source = everything(store, rich)
    assert copied.keys() == source.keys()
    assert all(same(store, copied[one], source[one]) for one in source)
    assert copied[1002].payload == PAYLOAD | {"n": 3}


def test_a_copy_goes_on_where_it_stopped(store, docs, name):
    store.upsert(docs, points(1_000))
    store.create(f"{name}_copy", PLAIN, {})
    copied, position = store.copy(docs, f"{name}_copy", None, 0)
    assert 0 < copied < 1_000
    assert store.count(f"{name}_copy") == copied

    slices = 1
    while position is not None:
        more, position = store.copy(docs, f"{name}_copy", position, 0)
        copied = copied + more
        slices = slices + 1

    assert copied == store.count(f"{name}_copy") == 1_000
    assert slices > 2
    assert set(everything(store, f"{name}_copy")) == set(range(1_000))


def test_copies_of_ranges_of_ids_are_together_a_copy_of_all(store, docs, name):
    uuids = [str(uuid.UUID(int=number << 96)) for number in range(1, 300)]
    store.upsert(docs, points(500))
    store.upsert(docs, [Point(id, [0.1, 0.2, 0.3, 0.4], {}) for id in uuids])
    store.create(f"{name}_copy", PLAIN, {})
    bounds = [None, 100, 101, 480, uuids[0], uuids[150], None]
    copied = [store.copy(docs, f"{name}_copy", start, 30, end) for start, end in pairwise(bounds)]
    assert copied == [(number, None) for number in (100, 1, 379, 20, 150, 149)]
    assert set(everything(store, f"{name}_copy")) == {*range(500), *uuids}


def test_a_copy_of_nothing_is_done_at_once(store, docs, name):
    store.create(f"{name}_copy", PLAIN, {})

    assert store.copy(docs, f"{name}_copy", None, 5) == (0, None)


def test_a_copy_into_a_collection_of_another_size_is_refused(store, docs, name):
    store.upsert(docs, points(10))
    store.create(f"{name}_copy", {"params": {"vectors": {"size": 5, "distance": "Cosine"}}}, {})

    with pytest.raises(Refused, match=r"[45]"):
        store.copy(docs, f"{name}_copy", None, 5)


def test_a_snapshot_that_is_not_there_is_refused_by_its_name(store, docs):
    with pytest.raises(Refused, match=r"none\.snapshot"):
        store.snapshot(docs, "none.snapshot")
    with pytest.raises(Refused):
        list(store.download_snapshot(docs, "none.snapshot", 0))


@pytest.mark.parametrize("way", ["name", "alias"])
def test_nothing_is_uploaded_over_what_is_there(store, docs, way):
    store.upsert(docs, points(5))
    store.point_alias(f"{docs}_alias", docs)
    target = {"name": docs, "alias": f"{docs}_alias"}[way]

    with pytest.raises(Refused, match=target):
        store.upload_snapshot(target, Snapshot("a.snapshot", 1, "00"), iter([b"x"]))

    assert store.count(docs) == 5


def test_a_collection_that_was_never_saved_has_no_snapshots(store, docs):
    assert store.snapshots(docs) == set()
