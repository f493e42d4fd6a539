"""Which vector of a new collection comes from where, and what refuses to be built."""

import pytest

from qdrant_rollouts.core.collections.vectors import plan_vectors
from qdrant_rollouts.core.config.index_file import IndexSpec, validate_as
from qdrant_rollouts.core.errors import Malformed, Refused

MODEL = {"model": "hashing:32", "text": "{title}\n{text}"}


def schema(*dense, sparse=()):
    vectors = {name: {"size": 4, "distance": "Cosine"} for name in dense}
    params = {"vectors": vectors[""] if dense == ("",) else vectors}
    if sparse:
        params["sparse_vectors"] = {name: {} for name in sparse}
    return {"params": params}


HYBRID = schema("dense", sparse=["bm25"])


def plan(spec, live=None, source=None, counts=None):
    counts = counts or {}
    return plan_vectors(
        validate_as(IndexSpec, spec, "file"), live, source, lambda name: counts.get(name, 300)
    )


# --- what is declared ---------------------------------------------------------------------------


def test_each_word_and_each_maker_is_kept_by_its_name():
    found = plan(
        {
            "vectors": {
                "dense": MODEL,
                "bm25": {"server": "qdrant/bm25", "text": "{text}"},
                "colbert": "given",
                "image": "optional",
                "legacy": "carried",
                "loose": {"carried": {"when_changed": "drop"}},
                "old": "dropped",
            }
        },
        live=schema("dense", "colbert", "image", "legacy", "loose", "old", sparse=["bm25"]),
    )
    assert found.made["dense"].text == "{title}\n{text}"
    assert found.made["dense"].vector == "dense"
    assert found.server_made["bm25"].server == "qdrant/bm25"
    assert (found.given, found.optional, found.dropped) == ({"colbert"}, {"image"}, {"old"})
    assert found.carried == {"legacy": "refuse", "loose": "drop"}
    assert found.kept == {"dense", "bm25", "colbert", "image", "legacy", "loose"}


def test_embedding_is_the_short_form_of_the_only_dense_vector():
    assert plan({"embedding": MODEL}, live=schema("words")).made.keys() == {"words"}
    assert plan({"embedding": MODEL}, live=schema("")).made.keys() == {""}
    assert plan({"embedding": MODEL}).made.keys() == {""}


def test_embedding_makes_the_dense_vector_that_vectors_leave_over():
    found = plan({"embedding": MODEL, "vectors": {"b": "carried"}}, live=schema("a", "b"))
    assert found.made.keys() == {"a"}


def test_embedding_that_could_mean_several_vectors_is_refused_with_their_names():
    with pytest.raises(Refused, match=r"vectors a, b; say which in embedding.vector"):
        plan({"embedding": MODEL}, live=schema("a", "b"))


def test_one_vector_declared_twice_is_refused():
    with pytest.raises(Malformed, match="declare one vector"):
        plan({"embedding": {**MODEL, "vector": "dense"}, "vectors": {"dense": "given"}})
    with pytest.raises(Refused, match="declared twice"):
        plan({"embedding": MODEL, "vectors": {"": "given"}}, live=schema(""))


def test_a_new_name_is_made_beside_those_that_live_has():
    found = plan({"vectors": {"": "carried", "bm25": {"server": "qdrant/bm25"}}}, live=schema(""))
    assert found.kept == {"", "bm25"}


# --- what live has ------------------------------------------------------------------------------


def test_a_name_that_nothing_accounts_for_is_refused_with_its_points_and_the_lines_to_write():
    with pytest.raises(Refused) as refused:
        plan({"embedding": {**MODEL, "vector": "dense"}}, live=HYBRID)
    said = str(refused.value)
    assert "bm25 (300 points)" in said
    assert "  vectors:\n    bm25: carried" in said
    assert '`bm25: {server: qdrant/bm25, text: "{title}\\n{text}"}`' in said


def test_every_lost_name_is_named_at_once():
    with pytest.raises(Refused, match=r"bm25 \(300 points\), image \(300 points\)"):
        plan({"vectors": {"dense": MODEL}}, live=schema("dense", "image", sparse=["bm25"]))


def test_a_name_that_no_point_of_live_has_stays_in_the_schema_and_stops_nobody():
    found = plan({"vectors": {"dense": MODEL}}, live=HYBRID, counts={"bm25": 0})
    assert found.optional == {"bm25"}


def test_a_dropped_name_is_accounted_for():
    found = plan({"vectors": {"dense": MODEL, "bm25": "dropped"}}, live=HYBRID)
    assert found.kept == {"dense"}


def test_without_any_declaration_points_keep_the_vectors_that_their_records_bring():
    assert plan({}, live=HYBRID).copied == {"dense", "bm25"}


# --- a collection as the source -------------------------------------------------------------------


def test_what_the_index_file_does_not_name_is_copied_from_the_source_s_own_points():
    found = plan({"embedding": {**MODEL, "vector": "dense"}}, live=HYBRID, source=HYBRID)
    assert found.copied == {"bm25"}
    assert found.made.keys() == {"dense"}


def test_a_name_that_the_source_collection_lacks_is_not_lost_in_silence():
    with pytest.raises(Refused, match="bm25"):
        plan({"embedding": {**MODEL, "vector": "dense"}}, live=HYBRID, source=schema("dense"))


def test_a_first_deployment_takes_the_names_of_the_source_collection():
    assert plan({}, source=HYBRID).copied == {"dense", "bm25"}
