"""Where a rollback leads, from the moves of an alias alone."""

import pytest

from qdrant_rollouts.core.collections.serving_history import ROLLBACK, ServingHistory, follow_moves

DEPLOYS = [("blue_green", None, "v1"), ("blue_green", "v1", "v2"), ("canary", "v2", "v3")]


def back(left: str, reached: str) -> tuple[str, str, str]:
    return (ROLLBACK, left, reached)


def target(live: str, *moves: tuple[str, str | None, str], bad: tuple[str, ...] = ()) -> str | None:
    way = follow_moves([*DEPLOYS, *moves])
    history = ServingHistory(frozenset({"v1", "v2", "v3", "v4"}), way, frozenset(bad))
    return history.find_default(live)


def test_a_rollback_leads_to_the_version_before() -> None:
    assert target("v3") == "v2"


def test_the_next_rollback_leads_further_back_and_never_to_what_was_left() -> None:
    assert target("v2", back("v3", "v2")) == "v1"
    assert target("v1", back("v3", "v2"), back("v2", "v1")) is None


def test_what_a_rollback_went_past_is_left_too() -> None:
    assert target("v1", back("v3", "v1")) is None
    assert target("v4", back("v3", "v1"), ("blue_green", "v1", "v4")) == "v1"


def test_a_version_that_is_deployed_again_is_on_the_way_back_again() -> None:
    again = [back("v3", "v2"), ("blue_green", "v2", "v3"), ("blue_green", "v3", "v4")]
    assert target("v4", *again) == "v3"


def test_who_goes_forward_again_by_a_rollback_has_left_the_older_one() -> None:
    assert target("v3", back("v3", "v2"), back("v2", "v3")) == "v1"


@pytest.mark.parametrize(("bad", "found"), [(("v2",), "v1"), (("v1", "v2"), None)])
def test_a_bad_version_is_passed_over(bad: tuple[str, ...], found: str | None) -> None:
    assert target("v3", bad=bad) == found


def test_a_collection_that_a_person_moved_the_alias_to_is_on_the_way_once_it_was_replaced() -> None:
    assert target("theirs") is None
    assert target("v4", ("blue_green", "theirs", "v4")) == "theirs"
    assert target("v4", ("blue_green", "v1", "v4")) == "v1"
