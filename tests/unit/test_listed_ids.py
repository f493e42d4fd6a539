"""People are told of twenty points at the most."""

from qdrant_rollouts.core.deployments.steps.listed_ids import join_ids, keep_first


def test_the_first_twenty_are_kept_in_the_order_in_which_they_were_found():
    assert keep_first([1, "a"], [2]) == [1, "a", 2]
    assert keep_first(range(15), range(100, 110)) == [*range(15), *range(100, 105)]


def test_no_more_than_twenty_are_named():
    assert join_ids([3, "a"]) == "3, a"
    assert join_ids(range(1000)).split(", ")[-1] == "19"
