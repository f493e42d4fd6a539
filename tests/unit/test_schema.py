"""Settings compared, declared and read: pure functions on a server's answers."""

import sys
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_rollouts.core.collections.schema import (
    NewVectors,
    are_same_vectors,
    build_schema,
    dense_names,
    is_strict_mode_off,
    list_changes,
    list_differences,
    unindexed_bound,
    vector_names,
    vector_params,
)
from qdrant_rollouts.core.config.index_file import CollectionSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Health

#: As 1.16.3 shows a collection.
BLUE = {
    "params": {
        "vectors": {
            "text": {"size": 384, "distance": "Cosine", "hnsw_config": {"m": 24}},
            "image": {"size": 512, "distance": "Dot", "datatype": "float16"},
        },
        "sparse_vectors": {"words": {"modifier": "idf"}, "plain": {}},
        "shard_number": 2,
        "replication_factor": 1,
        "write_consistency_factor": 1,
        "on_disk_payload": True,
    },
    "hnsw_config": {
        "m": 16,
        "ef_construct": 100,
        "full_scan_threshold": 10000,
        "max_indexing_threads": 0,
    },
    "optimizer_config": {
        "indexing_threshold": 10000,
        "max_optimization_threads": None,
        "flush_interval_sec": 5,
    },
    "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
    "quantization_config": None,
    "strict_mode_config": None,
    "payload_schema": {
        "tenant": {"data_type": "keyword", "params": {"type": "keyword", "is_tenant": True}}
    },
    "shard_keys": [],
}
UNNAMED = {"params": {"vectors": {"size": 4, "distance": "Dot"}}}


def changed(path, value):
    schema = deepcopy(BLUE)
    *way, last = path.split(".")
    inner = schema
    for key in way:
        inner = inner[key]
    inner[last] = value
    return schema


def leaves(schema, path=""):
    for key, value in schema.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


# --- comparing ------------------------------------------------------------------------------------


def test_a_schema_does_not_differ_from_itself():
    assert list_differences(BLUE, deepcopy(BLUE)) == []


@given(st.sampled_from(sorted(leaves(BLUE))))
def test_any_setting_that_has_another_value_is_named(path):
    assert [
        line
        for line in list_differences(BLUE, changed(path, {"enabled": True}))
        if line.startswith(path)
    ] != []


def test_a_difference_reads_as_a_sentence():
    assert list_differences(BLUE, changed("hnsw_config.m", 32)) == [
        "hnsw_config.m: wanted 16, found 32"
    ]
    assert list_changes(BLUE, changed("hnsw_config.m", 32)) == ["hnsw_config.m 16 -> 32"]


def test_what_nobody_asked_for_is_the_servers_to_choose():
    wanted = {"params": {"vectors": {"size": 4, "distance": "Dot"}}, "payload_schema": {}}
    found = {
        **BLUE,
        "params": {**UNNAMED["params"], "shard_number": 6},
        "quantization_config": {"binary": {}},
    }

    assert list_differences(wanted, found) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("params.vectors.more", {"size": 2, "distance": "Dot"}),
        ("params.vectors.text.on_disk", True),
        ("params.sparse_vectors.more", {}),
        ("quantization_config", {"binary": {"always_ram": True}}),
        ("strict_mode_config", {"enabled": True, "max_query_limit": 5}),
    ],
)
def test_vectors_quantization_and_limits_that_nobody_asked_for_are_differences(path, value):
    [line] = list_differences(BLUE, changed(path, value))

    assert line.startswith(path)


@pytest.mark.parametrize(
    "path", ["payload_schema.price", "hnsw_config.inline_storage", "params.read_fan_out_factor"]
)
def test_an_index_more_or_a_setting_of_a_newer_server_is_no_difference(path):
    assert list_differences(BLUE, changed(path, {"data_type": "float"})) == []


def test_a_strict_mode_that_is_off_is_none():
    off = changed("strict_mode_config", {"enabled": False, "max_query_limit": 5})

    assert list_differences(BLUE, off) == list_differences(off, BLUE) == []
    assert is_strict_mode_off(off)
    assert not is_strict_mode_off(changed("strict_mode_config", {"enabled": True}))


@pytest.mark.parametrize("value", [0, False])
def test_zero_and_false_are_settings_and_not_nothing(value):
    assert list_differences(changed("hnsw_config.m", value), changed("hnsw_config.m", None)) == [
        f"hnsw_config.m: wanted {value}, found nothing"
    ]


def test_a_named_vector_is_not_an_unnamed_one():
    named = {"params": {"vectors": {"text": {"size": 4, "distance": "Dot"}}}}

    assert list_differences(UNNAMED, named) != []
    assert list_differences(named, UNNAMED) != []


# --- vectors --------------------------------------------------------------------------------------


def test_vectors_are_listed_by_name_the_unnamed_one_as_the_empty_name():
    assert dense_names(BLUE) == ["image", "text"]
    assert vector_names(BLUE) == ["image", "plain", "text", "words"]
    assert vector_names(UNNAMED) == [""]
    assert vector_names({"params": {"sparse_vectors": {"words": None}}}) == ["words"]


def test_a_vector_that_happens_to_be_called_size_is_a_name():
    schema = {"params": {"vectors": {"size": {"size": 4, "distance": "Dot"}}}}

    assert dense_names(schema) == ["size"]


def test_the_settings_of_a_vector_are_found_by_its_name():
    assert vector_params(BLUE, "image")["size"] == 512
    assert vector_params(BLUE, "words") == {"modifier": "idf"}
    assert vector_params(UNNAMED, "")["distance"] == "Dot"


def test_a_name_that_is_no_vector_is_refused_with_those_there_are():
    with pytest.raises(
        Refused, match="no vector body; the collection has image, plain, text, words"
    ):
        vector_params(BLUE, "body")
    with pytest.raises(Refused, match="the collection has the unnamed one"):
        vector_params(UNNAMED, "text")


@pytest.mark.parametrize(
    ("path", "value", "same"),
    [
        ("hnsw_config.m", 64, True),
        ("params.vectors.text.on_disk", True, True),
        ("params.vectors.text.datatype", "float32", True),
        ("params.vectors.text.datatype", "uint8", False),
        ("params.vectors.text.size", 385, False),
        ("params.vectors.text.distance", "Dot", False),
        ("params.vectors.text.multivector_config", {"comparator": "max_sim"}, False),
        ("params.vectors", {"image": {"size": 512, "distance": "Dot"}}, False),
    ],
)
def test_stored_vectors_fit_another_collection_only_if_they_are_stored_alike(path, value, same):
    assert are_same_vectors(BLUE, changed(path, value), "text") is same
    assert are_same_vectors(changed(path, value), BLUE, "text") is same


def test_sparse_vectors_fit_wherever_there_is_a_sparse_one_of_that_name():
    assert are_same_vectors(BLUE, changed("params.sparse_vectors.words", {}), "words")
    assert not are_same_vectors(BLUE, UNNAMED, "words")


# --- declaring ------------------------------------------------------------------------------------


def sized(name, size):
    return NewVectors({name: size})


def test_nothing_declared_and_the_same_model_give_blues_schema():
    assert build_schema(BLUE, CollectionSpec(), sized("text", 384)) == BLUE


def test_another_model_changes_the_size_of_its_vector_alone():
    green = build_schema(BLUE, CollectionSpec(), sized("text", 768))

    assert list_differences(BLUE, green) == ["params.vectors.text.size: wanted 384, found 768"]


def test_blues_own_schema_is_left_as_it_was():
    before = deepcopy(BLUE)

    build_schema(
        BLUE,
        CollectionSpec(distance="Dot", hnsw={"m": 1}, payload_indexes={"a": "float"}),
        sized("text", 9),
    )

    assert before == BLUE


def test_what_is_declared_outranks_what_blue_has():
    spec = CollectionSpec(
        distance="Euclid",
        datatype="float16",
        on_disk=True,
        quantization={"scalar": {"type": "int8"}},
        shard_number=4,
        replication_factor=2,
        on_disk_payload=False,
        payload_indexes={"price": "float", "tenant": {"type": "keyword", "is_tenant": False}},
    )

    assert list_differences(BLUE, build_schema(BLUE, spec, sized("image", 512))) == [
        "params.on_disk_payload: wanted True, found False",
        "params.replication_factor: wanted 1, found 2",
        "params.shard_number: wanted 2, found 4",
        "params.vectors.image.distance: wanted Dot, found Euclid",
        "params.vectors.image.on_disk: wanted nothing, found True",
        "payload_schema.tenant.params.is_tenant: wanted True, found False",
        "quantization_config: wanted nothing, found {'scalar': {'type': 'int8'}}",
    ]


def test_payload_indexes_are_blues_and_the_declared_ones():
    green = build_schema(
        BLUE, CollectionSpec(payload_indexes={"price": "float"}), sized("text", 384)
    )

    assert green["payload_schema"] == {**BLUE["payload_schema"], "price": {"data_type": "float"}}


def test_an_index_setting_goes_where_it_has_an_effect():
    """A vector's own section outranks the collection's."""
    spec = CollectionSpec(hnsw={"ef_construct": 7})

    own = build_schema(BLUE, spec, sized("text", 384))
    shared = build_schema(BLUE, spec, sized("image", 512))

    assert own["params"]["vectors"]["text"]["hnsw_config"] == {"m": 24, "ef_construct": 7}
    assert own["hnsw_config"] == BLUE["hnsw_config"]
    assert shared["hnsw_config"] == {**BLUE["hnsw_config"], "ef_construct": 7}


def test_empty_quantization_switches_it_off():
    blue = changed("quantization_config", {"binary": {}})

    assert (
        build_schema(blue, CollectionSpec(quantization={}), sized("text", 384))[
            "quantization_config"
        ]
        is None
    )
    assert build_schema(blue, CollectionSpec(), sized("text", 384))["quantization_config"] == {
        "binary": {}
    }


@pytest.mark.parametrize("vector", ["", "text"])
def test_without_blue_a_schema_is_made_from_what_is_declared(vector):
    spec = CollectionSpec(hnsw={"m": 32}, payload_indexes={"n": "integer"}, shard_number=2)

    schema = build_schema(None, spec, sized(vector, 384))

    assert vector_params(schema, vector) == {"size": 384, "distance": "Cosine"}
    assert schema["hnsw_config"] == {"m": 32}
    assert schema["payload_schema"] == {"n": {"data_type": "integer"}}
    assert schema["params"]["shard_number"] == 2
    assert "optimizer_config" not in schema


def test_a_vector_that_blue_lacks_is_added():
    green = build_schema(UNNAMED, CollectionSpec(), sized("text", 384))
    assert vector_params(green, "text") == {"size": 384, "distance": "Cosine"}
    assert vector_params(green, "") == vector_params(UNNAMED, "")


def test_what_the_server_makes_is_sparse_and_weighs_words_by_their_rarity():
    green = build_schema(UNNAMED, CollectionSpec(), NewVectors(server_made=frozenset({"bm25"})))
    assert vector_params(green, "bm25") == {"modifier": "idf"}
    assert vector_names(green) == ["", "bm25"]


def test_a_dropped_vector_is_gone_and_the_others_stay():
    green = build_schema(
        BLUE, CollectionSpec(), NewVectors(dropped=frozenset({"image", "words", "plain"}))
    )
    assert vector_names(green) == ["text"]


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (NewVectors({"words": 384}), "vector words is sparse in the live collection"),
        (NewVectors(server_made=frozenset({"text"})), "vector text is dense"),
        (NewVectors(server_made=frozenset({""})), "give it another name"),
    ],
)
def test_a_vector_of_the_other_kind_is_refused_by_its_name(new, said):
    with pytest.raises(Refused, match=said):
        build_schema(BLUE, CollectionSpec(), new)


def test_a_payload_index_without_a_type_is_refused_by_its_path():
    with pytest.raises(Refused, match=r"collection.payload_indexes.n: found .*expected a type"):
        build_schema(None, CollectionSpec(payload_indexes={"n": {"is_tenant": True}}), sized("", 4))


# --- index ----------------------------------------------------------------------------------------


def health(segments=2, points=1_000):
    return Health("green", "ok", points, 0, segments)


def single(size=256, datatype=None, **sections):
    vectors = {"size": size, "distance": "Dot"} | ({"datatype": datatype} if datatype else {})
    return {
        "params": {"vectors": vectors},
        "optimizer_config": {"indexing_threshold": 100},
        **sections,
    }


@pytest.mark.parametrize(
    ("datatype", "bound"), [(None, 200), ("float32", 200), ("float16", 400), ("uint8", 800)]
)
def test_each_segment_may_keep_as_many_vectors_without_an_index_as_the_threshold_holds(
    datatype, bound
):
    """100 kB hold 100 vectors of 256 float32: measured with 1.16.3, which counts each datatype in
    its own bytes."""
    assert unindexed_bound(single(datatype=datatype), health(segments=2)) == bound


def test_every_dense_name_may_keep_its_share_and_sparse_ones_none():
    schema = single()
    schema["params"] = {
        "vectors": {"a": {"size": 256, "distance": "Dot"}, "b": {"size": 512, "distance": "Dot"}},
        "sparse_vectors": {"s": {}},
    }

    assert unindexed_bound(schema, health(segments=1)) == 100 + 50


@pytest.mark.parametrize("optimizers", [{"indexing_threshold": 0}, {"max_optimization_threads": 0}])
def test_where_no_index_is_wanted_none_is_missing(optimizers):
    assert unindexed_bound(single(optimizer_config=optimizers), health()) == sys.maxsize


def test_a_name_without_links_needs_no_index_and_the_others_still_do():
    schema = single(hnsw_config={"m": 16})
    schema["params"]["vectors"] = {
        "a": {"size": 256, "distance": "Dot"},
        "b": {"size": 256, "distance": "Dot", "hnsw_config": {"m": 0}},
    }

    assert unindexed_bound(schema, health(segments=1, points=5_000)) == 100 + 5_000


def test_without_a_threshold_in_sight_the_largest_default_is_assumed():
    assert unindexed_bound({"params": single()["params"]}, health(segments=1)) == 20_000
