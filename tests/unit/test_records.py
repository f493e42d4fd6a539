"""A row becomes a record, or a sentence that says where and why not."""

import json
import math
import uuid

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qdrant_rollouts.core.collections.record_rules import RecordRules, VectorRule
from qdrant_rollouts.core.collections.records import (
    MARK_KEY,
    BadRecord,
    Record,
    brought_names,
    build_payload,
    content_hash,
    parse_row,
    read_mark,
    stored_hashes,
)
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Row
from qdrant_rollouts.core.ports.naming import point_id

TEXT = RecordRules(dense={"": VectorRule(3, cosine=True)}, templates={"": "{title}\n{text}"})
ONE = RecordRules(dense={"": VectorRule(3, cosine=True)}, required=frozenset({""}))
NAMED = RecordRules(dense={"a": VectorRule(2), "b": VectorRule(3)}, sparse=frozenset({"s"}))
NAN = math.nan
INF = math.inf

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
ids = st.integers(-(2**63), 2**64 - 1) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1
)


def row(**fields: object) -> Row:
    return Row("docs/a.jsonl:17", fields, {"done": 1})


def good(rules: RecordRules = TEXT, **fields: object) -> Record:
    record = parse_row(row(**fields), rules)
    assert isinstance(record, Record), record
    return record


def bad(rules: RecordRules = TEXT, **fields: object) -> BadRecord:
    record = parse_row(row(**fields), rules)
    assert isinstance(record, BadRecord), record
    assert str(record).startswith("docs/a.jsonl:17: ")
    return record


# --- ids ------------------------------------------------------------------------------------------


def test_integers_and_canonical_uuids_are_point_ids_as_they_are():
    name = str(uuid.uuid4())
    assert good(id=7, title="t", text="x").point_id == 7
    assert good(id=2**64 - 1, title="t", text="x").point_id == 2**64 - 1
    assert good(id=name, title="t", text="x").point_id == name


@given(ids, ids)
def test_different_ids_become_different_points_that_are_legal_and_stay_the_same(one, other):
    assume((type(one), one) != (type(other), other))
    assert point_id(one) != point_id(other)
    assert point_id(one) == point_id(one)
    made = point_id(one)
    assert 0 <= made < 2**64 if isinstance(made, int) else str(uuid.UUID(made)) == made


def test_other_spellings_of_one_uuid_are_ids_of_their_own():
    name = uuid.UUID("12345678-1234-5678-9abc-def012345678")
    spellings = [str(name), str(name).upper(), name.hex, f"{{{name}}}", name.urn]
    made = {
        str(uuid.UUID(str(point_id(spelling)))) for spelling in spellings
    }  # as Qdrant will read them
    assert len(made) == len(spellings)
    assert point_id(str(name)) == str(name)


def test_the_point_id_of_a_text_never_changes():
    assert point_id("intro") == "e5dbd44d-e7a1-5349-b1ad-9a93fe623bf9"
    assert point_id(-1) == "71369ea1-614b-507b-92b8-4d8fe193ad44"


def test_a_boolean_is_no_id():
    with pytest.raises(Refused, match="True"):
        point_id(True)


@pytest.mark.parametrize("value", [True, False, 1.5, 7.0, "", [1], {"a": 1}])
def test_an_id_that_is_neither_text_nor_integer_is_bad(value):
    assert bad(id=value, title="t", text="x").field == "id"


@pytest.mark.parametrize("fields", [{}, {"id": None}])
def test_a_record_without_id_is_bad(fields):
    found = bad(title="t", text="x", **fields)
    assert (found.field, "missing" in found.why) == ("id", True)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_an_integer_id_beyond_64_bits_is_bad(value):
    assert "write it as a string" in bad(id=value, title="t", text="x").why


def test_an_id_beyond_int64_is_kept_by_the_point_and_in_the_payload():
    record = good(id=2**63, title="t", text="x")
    assert record.point_id == 2**63
    assert build_payload(record, {}, 0)["id"] == 2**63


def test_a_point_of_another_collection_keeps_its_id_and_its_payload_as_they_are():
    own = str(uuid.uuid4())
    theirs = {
        "id": 7,
        "vector": [0.5, 0.5, 0.5],
        "vectors": {},
        "text": [1],
        "chunk": None,
        "point_id": 1,
    }
    found = parse_row(Row("point", theirs, {"done": 1}, point_id=own, vector=[1.0, 0.0, 0.0]), ONE)
    assert isinstance(found, Record)
    assert (found.id, found.point_id) == (own, own)
    assert found.vectors[""].tolist() == [1.0, 0.0, 0.0]
    assert build_payload(found, None, 0) == {**theirs, MARK_KEY: {"n": 0}}


@pytest.mark.parametrize("vector", [[1, 2, 3], {"": [1, 2, 3]}, "influenza", None])
def test_a_points_payload_gives_neither_vector_nor_id(vector):
    row = Row(
        "point", {"id": [], "vector": vector, "title": "t", "text": "x"}, {"done": 1}, point_id=5
    )
    found = parse_row(row, TEXT)
    assert isinstance(found, Record)
    assert (found.id, found.point_id, found.texts, found.vectors) == (5, 5, {"": "t\nx"}, {})
    assert found.fields == row.fields


def test_an_id_that_is_the_points_fills_the_template_and_is_no_payload():
    row = Row("point", {"id": 5, "text": "x"}, {"done": 1}, point_id=5, lent_id=True)
    found = parse_row(row, RecordRules(dense={}, templates={"": "{id}: {text}"}))
    assert isinstance(found, Record)
    assert (found.texts, found.fields) == ({"": "5: x"}, {"text": "x"})


# --- text -----------------------------------------------------------------------------------------


def test_the_template_is_filled_and_the_fields_become_the_payload():
    record = good(id="a", title="T", text="body", extra=[1, {"x": None}])
    assert record.texts == {"": "T\nbody"}
    assert record.vectors == {}
    assert record.fields == {"id": "a", "title": "T", "text": "body", "extra": [1, {"x": None}]}


def test_values_that_are_no_text_are_written_out():
    assert good(id=1, title=3, text=True).texts == {"": "3\nTrue"}


def test_braces_in_a_value_stay_as_they_are():
    assert good(id=1, title="{id}", text="{}").texts == {"": "{id}\n{}"}


@pytest.mark.parametrize("fields", [{"title": "t"}, {"title": "t", "text": None}])
def test_a_missing_template_field_is_bad_and_named(fields):
    found = bad(id=1, **fields)
    assert found.field == "text"
    assert "missing" in found.why


def test_a_text_of_nothing_but_space_is_bad():
    found = bad(id=1, title=" ", text="\n\t")
    assert found.field == "title, text"
    assert "empty" in found.why


def test_without_vector_and_without_model_a_record_is_bad():
    found = bad(ONE, id=1, text="x")
    assert found.field == "vector"
    assert "declares no embedding.model" in found.why


def test_a_row_that_could_not_be_read_is_bad_with_the_sources_words():
    found = parse_row(Row("a.jsonl:3", None, {"done": 1}, "not JSON: Expecting value"), TEXT)
    assert str(found) == "a.jsonl:3: not JSON: Expecting value"


# --- vectors --------------------------------------------------------------------------------------


def test_a_vector_replaces_the_text_and_leaves_the_payload():
    record = good(id=1, vector=[1, 0.5, 0])
    assert record.texts == {}
    assert record.fields == {"id": 1}
    assert isinstance(record.vectors[""], np.ndarray)
    assert record.vectors[""].dtype == np.float32
    assert record.vectors[""].tolist() == [1, 0.5, 0]


def test_an_array_from_a_store_is_a_vector_like_any_list():
    vector = np.array([1, 2, 3], dtype=np.float32)
    assert np.array_equal(good(ONE, id=1, vector=vector).vectors[""], vector)


def test_a_null_vector_counts_as_none_given():
    assert good(id=1, title="t", text="x", vector=None).texts == {"": "t\nx"}


@pytest.mark.parametrize(
    ("vector", "field", "why"),
    [
        ([1, 2], "vector", "has 2 numbers; the collection's vectors have 3"),
        ([], "vector", "has 0 numbers"),
        ([1, NAN, 3], "vector[1]", "is nan"),
        ([1, 2, INF], "vector[2]", "is inf"),
        ([-INF, 2, 3], "vector[0]", "is -inf"),
        ([1, 2, 1e39], "vector[2]", "expected a finite float32"),
        ([1, 2, 10**400], "vector", "beyond float32"),
        ([1, "2", 3], "vector[1]", "is '2'"),
        ([1, True, 3], "vector[1]", "is True"),
        ([1, None, 3], "vector[1]", "is None"),
        ([[1, 2, 3]], "vector[0]", "is [1, 2, 3]"),
        (np.zeros((3, 3), dtype=np.float32), "vector", "expected a list of numbers"),
        ([0, 0, 0], "vector", "all zeros"),
        ([0, 1e-60, 0], "vector", "all zeros"),
        ({"": [1, 2, 3], "x": [1, 2, 3]}, "vector.x", "is not a vector of the collection"),
        ("0.1 0.2 0.3", "vector", "declares no embedding.model"),
        ({"x": [1, 2, 3]}, "vector", "expected a list of numbers or an object of ''"),
    ],
)
def test_a_vector_that_does_not_fit_is_bad_and_its_place_is_named(vector, field, why):
    found = bad(ONE, id=1, vector=vector)
    assert found.field == field
    assert why in found.why


#: Fields of an application's own that are called as a vector is.
OTHERWISE = [
    "influenza",
    "",
    5,
    0,
    True,
    {},
    {"x": [1, 2, 3]},
    ["flea", "tick"],
    [None],
    [True],
    [{"a": 1}],
    [["a"]],
]


@pytest.mark.parametrize("value", OTHERWISE)
@pytest.mark.parametrize("written", [False, True])
def test_what_can_be_no_vector_is_payload(value, written):
    fields = {"id": 1, "title": "t", "text": "x", "vector": value}
    row = Row("a", fields, {"done": 1}, written=written)
    found = parse_row(row, TEXT)
    assert isinstance(found, Record)
    assert (found.vectors, found.texts) == ({}, {"": "t\nx"})
    without = {key: kept for key, kept in fields.items() if key != "vector"}
    assert found.fields == (without if written and value == "" else fields)
    assert brought_names(row, TEXT) == set()


@pytest.mark.parametrize("value", ["[1, 0, 0]", ' {"": [1, 0, 0]} '])
def test_a_vector_may_be_written_as_json_where_a_source_knows_text_only(value):
    fields = {"id": 1, "text": "x", "vector": value}
    found = parse_row(Row("a", fields, {"done": 1}, written=True), ONE)
    assert isinstance(found, Record)
    assert (found.vectors[""].tolist(), found.fields) == ([1, 0, 0], {"id": 1, "text": "x"})
    assert good(RecordRules(dense=ONE.dense, templates={"": "{text}"}), **fields).fields == fields


@pytest.mark.parametrize("value", ["[1, 0", "{1}"])
def test_a_vector_that_was_cut_off_is_no_text(value):
    found = parse_row(
        Row("a", {"id": 1, "title": "t", "text": "x", "vector": value}, {"done": 1}, written=True),
        TEXT,
    )
    assert isinstance(found, BadRecord)
    assert (found.field, "begins like JSON" in found.why) == ("vector", True)


def test_text_that_is_json_of_something_else_stays_as_it_was_written():
    fields = {"id": 1, "title": "t", "text": "x", "vector": '["flea",  "tick"]'}
    found = parse_row(Row("a", fields, {"done": 1}, written=True), TEXT)
    assert isinstance(found, Record)
    assert found.fields == fields


def test_another_field_may_bring_the_vector_and_then_vector_is_payload():
    rules = RecordRules(dense=ONE.dense, templates={"": "{text}"}, vector_field="embedding")
    record = good(rules, id=1, text="x", vector=[9, 9], embedding=[1, 0, 0])
    assert (record.vectors[""].tolist(), record.texts) == ([1, 0, 0], {})
    assert record.fields == {"id": 1, "text": "x", "vector": [9, 9]}
    assert good(rules, id=1, text="x", vector=[9, 9]).texts == {"": "x"}
    assert bad(rules, id=1, text="x", embedding=[1, 0]).field == "embedding"
    assert "vector_field names it" in bad(rules, id=1, text="x", embedding="influenza").why


def test_no_field_need_bring_a_vector():
    rules = RecordRules(dense=ONE.dense, templates={"": "{text}"}, vector_field=None)
    assert good(rules, id=1, text="x", vector=[1, 0, 0]).fields == {
        "id": 1,
        "text": "x",
        "vector": [1, 0, 0],
    }


@pytest.mark.parametrize(
    "value", ["theirs", None, {}, {"n": "1"}, {"n": 1, "team": "search"}, {"hash": "h"}, [1]]
)
def test_a_field_that_is_called_as_our_own_mark_is_never_dropped_in_silence(value):
    found = bad(id=1, title="t", text="x", **{MARK_KEY: value})
    assert (found.field, "payload key of this program" in found.why) == (MARK_KEY, True)
    assert read_mark({MARK_KEY: value}) == {}


def test_a_zero_vector_is_fine_where_direction_does_not_matter():
    assert good(RecordRules(dense={"": VectorRule(2)}), id=1, vector=[0, 0]).vectors[""] is not None


def test_a_plain_list_is_the_only_named_vector():
    record = good(RecordRules(dense={"a": VectorRule(2)}), id=1, vector=[1, 2])
    assert record.vectors["a"].tolist() == [1, 2]


def test_a_plain_list_is_bad_where_there_are_several_vectors():
    found = bad(NAMED, id=1, vector=[1, 2])
    assert "'a', 'b', 's'" in found.why


def test_named_and_sparse_vectors_are_taken_together():
    sparse = {"indices": [5, 1], "values": [0.5, 2]}
    record = good(NAMED, id=1, vector={"a": [1, 2], "s": sparse})
    assert record.vectors["a"].tolist() == [1, 2]
    assert record.vectors["s"]["indices"] == [5, 1]
    assert record.vectors["s"]["values"].tolist() == [0.5, 2]


def test_the_unnamed_vector_may_be_written_as_an_object():
    assert isinstance(good(ONE, id=1, vector={"": [1, 2, 3]}).vectors[""], np.ndarray)


@pytest.mark.parametrize(
    ("vector", "field"),
    [
        ({"b": [1, 2]}, "vector.b"),
        ({"a": [1, NAN]}, "vector.a[1]"),
        ({"s": [1, 2]}, "vector.s"),
        ({"s": {"indices": [1]}}, "vector.s"),
        ({"s": {"indices": [1, 1], "values": [1, 2]}}, "vector.s"),
        ({"s": {"indices": [1], "values": [1, 2]}}, "vector.s"),
        ({"s": {"indices": [-1], "values": [1]}}, "vector.s.indices"),
        ({"s": {"indices": [2**32], "values": [1]}}, "vector.s.indices"),
        ({"s": {"indices": [1.0], "values": [1]}}, "vector.s.indices"),
        ({"s": {"indices": 1, "values": [1]}}, "vector.s.indices"),
        ({"s": {"indices": [1], "values": [NAN]}}, "vector.s.values[0]"),
    ],
)
def test_a_named_vector_that_does_not_fit_is_bad_under_its_name(vector, field):
    assert bad(NAMED, id=1, vector=vector).field == field


def test_a_multivector_is_rows_of_its_size():
    rules = RecordRules(dense={"": VectorRule(2, cosine=True, rows=True)})
    record = good(rules, id=1, vector=[[1, 0], [0, 1], [1, 1]])
    assert isinstance(record.vectors[""], np.ndarray)
    assert record.vectors[""].shape == (3, 2)
    assert bad(rules, id=1, vector=[1, 0]).field == "vector[0]"
    assert bad(rules, id=1, vector=[[1, 0], [1]]).field == "vector[1]"
    assert bad(rules, id=1, vector=[]).field == "vector"


# --- what can be stored ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "field", "why"),
    [
        (NAN, "extra", "is nan, and JSON has no such number"),
        ([1, {"deep": -INF}], "extra[1].deep", "is -inf"),
        (2**64, "extra", "beyond the 64-bit integers"),
        ({"n": -(2**63) - 1}, "extra.n", "beyond the 64-bit integers"),
        ("\ud800", "extra", "surrogate"),
        ({"\udc00": 1}, "extra", "surrogate"),
        ({1, 2}, "extra", "is a set"),
    ],
)
def test_a_field_that_json_or_qdrant_cannot_hold_is_bad_and_named(value, field, why):
    found = bad(id=1, title="t", text="x", extra=value)
    assert found.field == field
    assert why in found.why


def test_python_reads_nan_from_json_and_the_record_is_still_bad():
    assert bad(**json.loads('{"id": 1, "title": "t", "text": "x", "score": NaN}')).field == "score"


def test_nesting_beyond_what_qdrant_reads_is_bad():
    deep: object = 1
    for _ in range(200):
        deep = [deep]
    assert "nested deeper than 100" in bad(id=1, title="t", text="x", extra=deep).why


def test_many_short_lists_and_long_digits_in_text_are_no_fault():
    good(id=1, title="t", text="12345678901234567890123", extra=[[[n]] for n in range(500)])


def test_a_report_can_always_be_written_as_utf8():
    for found in (bad(id="\ud800", title="t", text="x"), bad(NAMED, id=1, vector={"\ud800": [1]})):
        assert str(found).encode()


def test_a_huge_wrong_value_makes_a_short_report():
    assert len(str(bad(id=["x" * 100] * 1000, title="t", text="x"))) < 300


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8), json_values, max_size=5
    ),
    ids,
)
def test_every_finite_json_object_with_an_id_and_text_is_a_record_whose_payload_is_the_object(
    fields, record_id
):
    fields = {**fields, "id": record_id, "title": "t", "text": "x"}
    fields.pop("vector", None)
    fields.pop(MARK_KEY, None)
    stored = build_payload(good(**fields), {"": "h"}, 5)
    assert stored.pop(MARK_KEY) == {"n": 5, "hash": {"": "h"}}
    assert stored == fields
    json.dumps(stored, allow_nan=False).encode()


# --- payload and hash -----------------------------------------------------------------------------


def test_the_mark_of_an_earlier_build_is_not_carried_on():
    record = good(id=1, title="t", text="x", **{MARK_KEY: {"hash": "old", "n": 9}})
    assert MARK_KEY not in record.fields
    assert build_payload(record, {}, 0)[MARK_KEY] == {"n": 0}


def test_a_payload_is_a_copy_that_leaves_the_record_alone():
    record = good(id=1, title="t", text="x")
    build_payload(record, {"": "h"}, 1)["new"] = 1
    assert MARK_KEY not in record.fields
    assert "new" not in record.fields


def test_a_content_hash_tells_model_from_text_and_never_changes():
    assert content_hash("model", "text") == "9086c4cab0a4f02d3eb6bbd4845a077d"
    different = {
        content_hash("m", "t"),
        content_hash("m2", "t"),
        content_hash("m", "t2"),
        content_hash("mt", ""),
    }
    assert len(different) == 4


def test_the_hashes_of_a_stored_point_are_read_by_vector_name_in_both_forms():
    assert stored_hashes({MARK_KEY: {"n": 1, "hash": {"a": "h", "s": "i"}}}) == {"a": "h", "s": "i"}
    assert stored_hashes({MARK_KEY: {"n": 1, "hash": "h"}}, "a") == {"a": "h"}
    assert (
        stored_hashes({MARK_KEY: {"n": 1}})
        == stored_hashes({})
        == stored_hashes({MARK_KEY: 3})
        == {}
    )


# --- several vectors ------------------------------------------------------------------------------

HYBRID = RecordRules(
    dense={"dense": VectorRule(2)},
    sparse=frozenset({"bm25"}),
    templates={"dense": "{title}", "bm25": "{text}"},
)
GIVEN = RecordRules(
    dense={"dense": VectorRule(2), "image": VectorRule(2)},
    templates={"dense": "{title}"},
    required=frozenset({"image"}),
)


def test_each_made_vector_has_the_text_of_its_own_template():
    assert good(HYBRID, id=1, title="t", text="x").texts == {"dense": "t", "bm25": "x"}


def test_a_vector_that_the_record_brings_is_not_made():
    record = good(HYBRID, id=1, title="t", text="x", vector={"dense": [1, 2]})
    assert record.texts == {"bm25": "x"}
    assert record.vectors.keys() == {"dense"}


def test_a_record_without_a_given_vector_is_bad_under_the_vectors_name():
    found = bad(GIVEN, id=1, title="t")
    assert (found.field, "optional" in found.why) == ("vector.image", True)
    assert good(GIVEN, id=1, title="t", vector={"image": [1, 2]}).texts == {"dense": "t"}


# --- rules from a schema --------------------------------------------------------------------------


def test_rules_follow_the_collections_schema():
    schema = {
        "params": {
            "vectors": {
                "a": {"size": 2, "distance": "Cosine"},
                "m": {
                    "size": 4,
                    "distance": "Dot",
                    "multivector_config": {"comparator": "max_sim"},
                },
            },
            "sparse_vectors": {"s": {}},
        }
    }
    plan = VectorPlan(made={"a": EmbeddingSpec(model="m", text="{t}")}, given=frozenset({"s"}))
    rules = RecordRules.of(plan, schema)
    assert rules.dense == {"a": VectorRule(2, cosine=True), "m": VectorRule(4, rows=True)}
    assert rules.sparse == {"s"}
    assert rules.templates == {"a": "{t}"}
    assert rules.required == {"s"}


def test_rules_of_an_unnamed_vector_without_model():
    rules = RecordRules.of(VectorPlan(), {"params": {"vectors": {"size": 5, "distance": "Euclid"}}})
    assert rules == RecordRules(dense={"": VectorRule(5)})
