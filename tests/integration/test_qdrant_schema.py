"""Whole schemas on a real server: created, cloned, compared."""

import json
import uuid

import httpx
import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections.schema import list_differences
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import Point
from qdrant_rollouts.core.ports.payload_values import is_held_by_index
from tests.qdrants import plain, wait_until
from tests.servers import Qdrant, free_ports

EVERYTHING = {
    "params": {
        "vectors": {
            "text": {
                "size": 8,
                "distance": "Cosine",
                "hnsw_config": {"m": 24, "ef_construct": 50},
                "quantization_config": {
                    "scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}
                },
                "on_disk": True,
            },
            "rows": {"size": 4, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
            "small": {"size": 4, "distance": "Euclid", "datatype": "uint8"},
        },
        "sparse_vectors": {
            "words": {"index": {"on_disk": True, "full_scan_threshold": 100}, "modifier": "idf"}
        },
        "shard_number": 2,
        "on_disk_payload": False,
        "write_consistency_factor": 1,
        "read_fan_out_factor": 1,
    },
    "hnsw_config": {
        "m": 12,
        "ef_construct": 77,
        "full_scan_threshold": 500,
        "on_disk": True,
        "payload_m": 8,
    },
    "optimizer_config": {
        "indexing_threshold": 300,
        "default_segment_number": 3,
        "flush_interval_sec": 7,
    },
    "wal_config": {"wal_capacity_mb": 16},
    "quantization_config": {"binary": {"always_ram": True}},
    "strict_mode_config": {"enabled": True, "max_query_limit": 5000, "upsert_max_batchsize": 4000},
    "payload_schema": {
        "tenant": {
            "data_type": "keyword",
            "params": {"type": "keyword", "is_tenant": True, "on_disk": True},
        },
        "n": {
            "data_type": "integer",
            "params": {"type": "integer", "lookup": False, "range": True},
        },
        "body": {
            "data_type": "text",
            "params": {"type": "text", "tokenizer": "word", "min_token_len": 2, "lowercase": True},
        },
        "price": {"data_type": "float"},
        "place": {"data_type": "geo"},
        "yes": {"data_type": "bool"},
        "when": {"data_type": "datetime"},
        "key": {"data_type": "uuid"},
    },
}


@pytest.fixture
def store(qdrant_url, qdrant_grpc_port):
    opened = ServerStore(qdrant_url, "", qdrant_grpc_port)
    yield opened
    opened.close()


@pytest.fixture
def name():
    return f"docs_{uuid.uuid4().hex[:12]}"


def test_a_collection_is_made_with_every_setting_and_cloned_without_a_difference(store, name):
    store.create(name, EVERYTHING, {"by": "us"})
    schema = store.schema(name)
    assert list_differences(EVERYTHING, schema) == []

    store.create(f"{name}_clone", schema, {})

    assert store.schema(f"{name}_clone") == schema
    assert store.metadata(f"{name}_clone") == {}


#: Path in ``EVERYTHING``, another value (None: the setting left out), and what is said about it.
CHANGES = [
    ("params.vectors.text.size", 9, "wanted 8, found 9"),
    ("params.vectors.text.distance", "Dot", "wanted Cosine, found Dot"),
    ("params.vectors.text.on_disk", False, "wanted True, found False"),
    ("params.vectors.text.hnsw_config.m", 16, "wanted 24, found 16"),
    ("params.vectors.text.quantization_config", None, "found nothing"),
    ("params.vectors.rows.multivector_config", None, "found nothing"),
    ("params.vectors.small.datatype", "float32", "wanted uint8, found float32"),
    ("params.vectors.more", {"size": 2, "distance": "Dot"}, "wanted nothing"),
    ("params.sparse_vectors.words.modifier", None, "wanted idf, found no"),
    ("params.sparse_vectors.extra", {}, "wanted nothing"),
    ("params.shard_number", 1, "wanted 2, found 1"),
    ("params.on_disk_payload", True, "wanted False, found True"),
    ("params.read_fan_out_factor", 2, "wanted 1, found 2"),
    ("hnsw_config.m", 13, "wanted 12, found 13"),
    ("hnsw_config.payload_m", None, "wanted 8, found nothing"),
    ("optimizer_config.indexing_threshold", 0, "wanted 300, found 0"),
    ("wal_config.wal_capacity_mb", 32, "wanted 16, found 32"),
    ("quantization_config", None, "found nothing"),
    ("strict_mode_config.max_query_limit", 10, "wanted 5000, found 10"),
    ("strict_mode_config.write_rate_limit", 10_000, "wanted nothing, found 10000"),
    ("payload_schema.tenant.params.is_tenant", False, "wanted True, found False"),
    ("payload_schema.body.params.tokenizer", "prefix", "wanted word, found prefix"),
    ("payload_schema.n.data_type", "float", "wanted integer, found float"),
    ("payload_schema.yes", None, "found nothing"),
]


def test_every_setting_that_is_otherwise_is_found(store, name):
    other = json.loads(json.dumps(EVERYTHING))
    for path, value, _ in CHANGES:
        change(other, path.split("."), value)
    del other["payload_schema"]["n"]["params"]  # they would not fit the other type
    store.create(name, EVERYTHING, {})
    store.create(f"{name}_other", other, {})

    found = list_differences(store.schema(name), store.schema(f"{name}_other"))

    told = {line.split(": ", 1)[0]: line for line in found}
    assert {path: words for path, _, words in CHANGES if words not in told.get(path, "")} == {}


def change(schema, path, value):
    *way, last = path
    for key in way:
        schema = schema[key]
    if value is None:
        del schema[last]
    else:
        schema[last] = value


class Opinionated(Qdrant):
    """A server whose defaults switch on what a collection did not ask for."""

    def _environment(self):
        collection = "QDRANT__STORAGE__COLLECTION__"
        return super()._environment() | {
            f"{collection}STRICT_MODE__ENABLED": "true",
            f"{collection}STRICT_MODE__MAX_QUERY_LIMIT": "7",
            f"{collection}QUANTIZATION__SCALAR__TYPE": "int8",
        }


def test_a_clone_has_off_what_is_off_whatever_the_servers_defaults_are(store, name):
    store.create(name, plain(), {})
    schema = store.schema(name)
    with Opinionated() as server:
        opinionated = ServerStore(server.url, "", server.grpc_port)
        opinionated.create("by_default", plain(), {})
        assert list_differences(schema, opinionated.schema("by_default")) != []

        opinionated.create(name, schema, {})

        assert list_differences(schema, opinionated.schema(name)) == []
        opinionated.close()


class Cluster(Qdrant):
    """A cluster of one."""

    def __init__(self):
        super().__init__()
        self.peer_port = free_ports(1)[0]

    def _command(self):
        return [*super()._command(), "--uri", f"http://127.0.0.1:{self.peer_port}"]

    def _environment(self):
        cluster = {"CLUSTER__ENABLED": "true", "CLUSTER__P2P__PORT": str(self.peer_port)}
        return super()._environment() | {
            f"QDRANT__{name}": value for name, value in cluster.items()
        }


def test_shard_keys_are_cloned_and_such_a_collection_is_not_copied():
    with Cluster() as server:
        store = ServerStore(server.url, "", server.grpc_port)
        wait_until(lambda: store.server().peers == 1 and _creates(store), 30)
        custom = plain()
        custom["params"] |= {"sharding_method": "custom", "shard_number": 1}
        store.create("docs", custom, {})
        with httpx.Client(base_url=server.url) as client:
            for body in ({"shard_key": "eu", "shards_number": 2}, {"shard_key": 7}):
                client.put("/collections/docs/shards", json=body).raise_for_status()
        schema = store.schema("docs")

        store.create("clone", schema, {})

        assert {key["shard_key"]: key["shards_number"] for key in schema["shard_keys"]} == {
            "eu": 2,
            7: 1,
        }
        assert store.schema("clone") == schema
        with pytest.raises(Refused, match="docs has custom sharding and cannot be copied"):
            store.copy("docs", "clone", None, 1)
        store.close()


def _creates(store):
    """A cluster of one needs a moment to elect itself."""
    try:
        store.create("first", plain(), {})
    except (Refused, Unavailable):
        return False
    return True


#: As an index of each type may meet them.
VALUES = [
    *(
        "a",
        "12",
        "",
        12,
        12.0,
        1.5,
        True,
        None,
        2**70,
        -5,
        1704164645,
        "true",
        {"x": 1},
        [{"x": 1}],
    ),
    *([], ["a"], [1, "a"], [[1]], [["a"]], "12/31/2024", "20240102", "2024-01-02", "2024-1-2"),
    *(
        "2024-01-02T03:04:05",
        "2024-01-02T03:04:05Z",
        "2024-01-02T03:04:05+01:00",
        "2024-01-02T03:04:05 Z",
    ),
    *("2024-01-02 03:04:05", "2024-01-02 03:04", "2024-01-02T03:04Z", "2024-01-02 03:04:05+01:00"),
    *(
        "2024-01-02T03:04:05.123456+0100",
        "550e8400-e29b-41d4-a716-446655440000",
        "550e8400e29b41d4a716446655440000",
    ),
    *(
        {"lon": 1.5, "lat": 2},
        [{"lon": 1, "lat": 2}],
        {"lat": "1", "lon": "2"},
        {"lon": 1000, "lat": 2},
    ),
]


@pytest.mark.parametrize(
    "kind", ["keyword", "integer", "float", "bool", "datetime", "uuid", "geo", "text"]
)
def test_an_index_counts_the_values_that_are_taken_for_held(store, kind):
    store.create("held", plain(2, payload_schema={"f": {"data_type": kind}}), {})
    counts = []
    for at, value in enumerate(VALUES):
        store.upsert("held", [Point(at, [1.0, 2.0], {"f": value})])
        counts.append(store.index_counts("held")["f"])
    held = [now > before for before, now in zip([0, *counts], counts, strict=False)]
    taken = [is_held_by_index({"f": value}, "f", kind) for value in VALUES]
    assert [
        value for value, one, other in zip(VALUES, held, taken, strict=True) if one != other
    ] == []


@pytest.mark.parametrize(
    "payload",
    [{"a": {"b": "x"}}, {"a": [{"b": "x"}]}, {"a.b": "x"}, {"a": [{"c": 1}, {"b": ["x"]}]}],
)
def test_paths_of_indexes_lead_where_they_are_followed_here(store, payload):
    paths = ["a.b", "a[].b"]
    store.create(
        "paths", plain(2, payload_schema={path: {"data_type": "keyword"} for path in paths}), {}
    )
    store.upsert("paths", [Point(1, [1.0, 2.0], payload)])
    assert store.index_counts("paths") == {
        path: int(is_held_by_index(payload, path, "keyword")) for path in paths
    }
