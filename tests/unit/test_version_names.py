"""How people name a version of an index."""

import pytest

from qdrant_rollouts.core.collections.version_names import choose_version

NUMBERS = {"docs_a": 1, "docs_b": 2, "docs_c": 12}


@pytest.mark.parametrize(
    ("named", "collection"),
    [
        ("1", "docs_a"),
        ("v2", "docs_b"),
        ("12", "docs_c"),
        ("docs_c", "docs_c"),
        ("live", "docs_b"),
    ],
)
def test_a_version_is_named_by_number_by_collection_or_as_what_serves(named, collection):
    assert choose_version(NUMBERS, named, "docs_b") == collection


@pytest.mark.parametrize("named", ["3", "vv2", "v", "", "02", "V2", "docs", "LIVE", "None"])
def test_any_other_word_names_none(named):
    assert choose_version(NUMBERS, named, "docs_b") is None


def test_a_collection_of_others_is_named_while_it_serves():
    assert choose_version(NUMBERS, "theirs", "theirs") == "theirs"
    assert choose_version(NUMBERS, "live", "theirs") == "theirs"
    assert choose_version(NUMBERS, "theirs", "docs_b") is None


def test_where_nothing_serves_nothing_is_live():
    assert choose_version(NUMBERS, "live", None) is None


def test_a_collection_that_is_called_like_a_number_or_like_what_serves_comes_first():
    numbers = {"docs_a": 1, "1": 2, "v1": 3, "live": 4}
    assert [choose_version(numbers, named, "docs_a") for named in ("1", "v1", "live")] == [
        "1",
        "v1",
        "live",
    ]
