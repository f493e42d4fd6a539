"""How answers have moved from one version to another, and what is shown of them."""

import pytest

from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.operations.asking.bounds import check_query, check_reason
from qdrant_rollouts.core.operations.asking.excerpts import (
    excerpt_text,
    excerpt_title,
    find_document,
    find_record_id,
)
from qdrant_rollouts.core.operations.asking.moves import (
    compare_ranks,
    count_moves,
    describe_counts,
)
from qdrant_rollouts.core.ports import Hit
from qdrant_rollouts.core.ports.naming import chunk_id, point_id


def ranked(ids, *scores):
    return list(zip(ids, scores or [1 - 0.1 * at for at in range(len(ids))], strict=True))


def marks(left, right):
    return {id: move.mark for id, move in compare_ranks(left, right).items()}


def test_a_record_has_moved_as_many_ranks_as_lie_between_its_places():
    assert marks(ranked("abcd"), ranked("dabc")) == {"d": "↑3", "a": "↓1", "b": "↓1", "c": "↓1"}
    assert marks(ranked("ab"), ranked("ab")) == {"a": "same", "b": "same"}
    assert marks(ranked("ab"), ranked("bx")) == {"a": "only here", "b": "↑1", "x": "only here"}


def test_a_place_among_equal_scores_is_no_move():
    before = ranked("abc", 0.9, 0.5, 0.5)
    assert marks(before, ranked("acb", 0.9, 0.5, 0.4)) == {"a": "same", "b": "tied", "c": "tied"}
    assert marks(before, ranked("bac", 0.9, 0.8, 0.7)) == {"a": "↓1", "b": "↑1", "c": "same"}


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        ("abcdefghij", "bacdefgh__", "8 of 10 in both, 2 of them moved, 2 only in live"),
        ("abc", "abc", "3 of 3 in both, none of them moved"),
        ("ab", "cd", "0 of 2 in both, 2 only in live, 2 only in v2"),
        ("", "ab", "0 of 2 in both, 2 only in v2"),
        ("", "", "Neither finds anything"),
    ],
)
def test_one_sentence_says_how_two_answers_differ(left, right, said):
    counts = count_moves(compare_ranks(ranked(left), ranked(right.replace("_", ""))))
    assert describe_counts(counts, "live", "v2") == said


@pytest.mark.parametrize(
    "id", [7, "sku-7", "0a8e9f9c-27e5-4e0c-8f4e-6ec5d3f5b5a1", chunk_id("a", 0)]
)
def test_a_judgment_names_a_record_by_the_id_that_leads_to_its_point(id):
    assert find_record_id(Hit(point_id(id), 1.0, {"id": id})) == id


@pytest.mark.parametrize("named", ["sku-7", True, None, [1], 7.0])
def test_a_payload_that_does_not_name_the_point_is_not_its_id(named):
    assert find_record_id(Hit(7, 1.0, {"id": named})) == 7


def test_a_chunk_tells_its_document():
    assert find_document(Hit(1, 1.0, {"chunk": {"document": "a", "number": 0}})) == "a"
    assert find_document(Hit(1, 1.0, {"chunk": "of cheese"})) is None


def test_the_title_stands_once_and_long_texts_are_cut():
    payload = {"title": " Queues ", "text": "FIFO\n and LIFO", "other": "x y z"}
    assert excerpt_title(payload) == "Queues"
    assert excerpt_text({"": "{title}\n{text}"}, payload) == "FIFO and LIFO"
    assert excerpt_text({"": "{title}"}, payload) == "FIFO and LIFO"
    assert excerpt_text({"": "{missing}"}, {"text": "a b " * 200}).endswith("b…")
    assert excerpt_text({}, {}) == ""


@pytest.mark.parametrize(
    ("query", "said"),
    [(" \n", "query is empty"), ("x" * 1001, "at most 1,000"), ("a\0b", "NUL"), ("\ud800", "half")],
)
def test_a_query_out_of_bounds_is_refused_with_the_bound(query, said):
    with pytest.raises(Malformed, match=said):
        check_query(query)


def test_a_judgment_needs_a_reason_of_bounded_length():
    assert check_reason(" it fits ") == "it fits"
    for reason, said in (("  ", "has a reason"), ("x" * 501, "at most 500")):
        with pytest.raises(Malformed, match=said):
            check_reason(reason)
