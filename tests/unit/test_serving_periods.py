"""When each collection served an alias, from the moves of the alias."""

from datetime import UTC, datetime

from qdrant_rollouts.core.collections.serving_history import Period, build_periods


def day(number):
    return datetime(2026, 11, number, 2, 10, tzinfo=UTC)


def test_a_collection_serves_until_the_alias_moves_on():
    found = build_periods([(day(24), "a", None, "one"), (day(25), "b", "one", "two")])
    assert found == {
        "one": [Period(day(24), day(25), "a")],
        "two": [Period(day(25), None, "b")],
    }


def test_a_collection_that_was_there_before_served_from_an_unknown_time():
    found = build_periods([(day(24), "a", "theirs", "one")])
    assert found["theirs"] == [Period(None, day(24))]


def test_a_collection_that_a_rollback_brings_back_has_two_periods():
    moves = [
        (day(24), "a", None, "one"),
        (day(25), "b", "one", "two"),
        (day(26), "c", "two", "one"),
    ]
    found = build_periods(moves)
    assert found["one"] == [Period(day(24), day(25), "a"), Period(day(26), None, "c")]
    assert found["two"] == [Period(day(25), day(26), "b")]
