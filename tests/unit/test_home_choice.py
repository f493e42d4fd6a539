"""What the list of indexes shows for a choice: which names, in which order and in which groups."""

import pytest

from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.operations.views.overview.home_choice import (
    PAGE_SIZE,
    HomeChoice,
    LightRow,
    count_states,
    cut_page,
    find_prefix,
    group_rows,
    order_rows,
)


def row(alias, *, rank=0, running=False, collection="c", model="", value=None):
    return LightRow(alias, rank, running, collection, model, value)


def names(rows):
    return [one.alias for one in rows]


def listed(blocks):
    return [(block.prefix, block.aliases) for block in blocks]


@pytest.mark.parametrize(
    ("alias", "prefix"),
    [
        ("shop-en", "shop"),
        ("shop_en-v2", "shop"),
        ("shop.en", "shop"),
        ("shop/en", "shop"),
        ("shop:en", "shop"),
        ("shop", ""),
        ("-shop", ""),
        ("größe-1", "größe"),
    ],
)
def test_a_prefix_ends_before_the_first_separator(alias, prefix):
    assert find_prefix(alias) == prefix


@pytest.mark.parametrize(
    ("text", "found"),
    [("SHOP", True), ("2026", True), ("minilm", True), ("op-d", True), ("other", False)],
)
def test_text_is_found_anywhere_in_name_collection_and_model(text, found):
    shop = row("shop-de", collection="shop-de_20261102", model="sentence-transformers/all-MiniLM")
    assert shop.contains(text) is found


def test_an_index_may_be_in_several_states():
    rows = [
        row("calm"),
        row("busy", rank=2, running=True),
        row("bad", rank=4, running=True),
        row("new", rank=1, collection=None),
    ]
    assert count_states(rows) == {"attention": 1, "running": 2, "serves": 3, "unbuilt": 1}


def test_attention_comes_first_and_names_decide_between_equals():
    rows = [row("b"), row("c", rank=4), row("a"), row("d", rank=3)]
    assert names(order_rows(rows, "attention")) == ["c", "d", "a", "b"]
    assert names(order_rows(rows, "name")) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [("points", "bca-"), ("since", "bca-"), ("last", "bca-"), ("next", "acb-")],
)
def test_the_largest_or_the_soonest_comes_first_and_the_unknown_last(sort, order):
    rows = [row("-"), row("a", value=1), row("b", value=20), row("c", value=3)]
    assert "".join(names(order_rows(rows, sort))) == order


def test_a_group_stands_where_its_first_index_would():
    rows = [row(alias) for alias in ("x", "shop-en", "a-1", "y", "shop_de", "b")]
    groups = group_rows(rows)
    assert [(group.prefix, names(group.rows)) for group in groups] == [
        ("", ["x"]),
        ("shop", ["shop-en", "shop_de"]),
        ("", ["a-1"]),
        ("", ["y"]),
        ("", ["b"]),
    ]
    assert listed(cut_page(groups, 1)) == [
        ("", ["x"]),
        ("shop", ["shop-en", "shop_de"]),
        ("", ["a-1", "y", "b"]),
    ]


def test_a_group_goes_on_over_pages_with_the_counts_of_the_whole():
    rows = [row("alone"), *(row(f"shop-{number:02}") for number in range(PAGE_SIZE + 4))]
    groups = group_rows(rows)
    first, second = cut_page(groups, 1), cut_page(groups, 2)
    assert [len(block.aliases) for block in (*first, *second)] == [1, PAGE_SIZE - 1, 5]
    assert [block.continues for block in (*first, *second)] == [False, False, True]
    assert {block.size for block in (first[1], second[0])} == {PAGE_SIZE + 4}
    assert second[0].counts["serves"] == PAGE_SIZE + 4
    assert cut_page(groups, 3) == []


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"state": "ill"}, "state 'ill' is not known; known: attention, running, serves, unbuilt"),
        ({"sort": "size"}, "sort 'size' is not known; known: attention, name, since"),
        ({"group": "yes"}, "group 'yes' is not known; known: prefix"),
    ],
)
def test_an_unknown_choice_is_refused_with_those_that_are_known(choice, said):
    with pytest.raises(Malformed, match=said):
        HomeChoice(**choice)
