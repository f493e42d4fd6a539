"""Who gets a place among the rebuilds, in which order, and what the others are told."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from qdrant_rollouts.core.answers.deployments import Queued
from qdrant_rollouts.core.deployments.places import Limits, Rebuild, Standing

NIGHT = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
MODELS = ("a", "b", "c")

waiting = st.builds(
    Rebuild,
    id=st.uuids().map(str),
    alias=st.sampled_from(["docs", "faq", "blog"]),
    models=st.frozensets(st.sampled_from(MODELS), max_size=2),
    begun=st.booleans(),
    scheduled=st.booleans(),
    asked_at=st.integers(0, 600).map(lambda seconds: NIGHT + timedelta(seconds=seconds)),
    records=st.integers(0, 5),
)
limits = st.builds(Limits, st.integers(1, 4), st.integers(1, 3))


def one(name: str, *models: str, **facts: object) -> Rebuild:
    base = Rebuild(
        name, name, frozenset(models), begun=False, scheduled=True, asked_at=NIGHT, records=0
    )
    return replace(base, **facts)


def standing(
    taken: list[Rebuild], line: list[Rebuild], rebuilds: int = 4, per_model: int = 2
) -> Standing:
    return Standing(tuple(taken), tuple(line), Limits(rebuilds, per_model))


def names(rebuilds: list[Rebuild]) -> list[str]:
    return [rebuild.id for rebuild in rebuilds]


def order(*line: Rebuild) -> list[str]:
    return names(standing([], list(line), rebuilds=len(line)).next_ones())


def describe(found: Standing) -> Mapping[str, Queued]:
    """Returns what everybody in the line is told."""
    line = sorted(found.waiting, key=lambda one: one.order)
    return found.describe_queue(dict(enumerate(line, start=1)), len(line))


def test_what_has_begun_comes_first_then_a_persons_then_the_older_then_the_smaller():
    later = NIGHT + timedelta(minutes=5)
    line = [
        one("large", records=900),
        one("small", records=10),
        one("later-and-smaller", asked_at=later, records=1),
        one("a-persons", scheduled=False, asked_at=later, records=5000),
        one("begun", begun=True, asked_at=later + timedelta(hours=1), records=9000),
    ]
    assert order(*line) == ["begun", "a-persons", "small", "large", "later-and-smaller"]


def test_the_older_is_told_by_minutes_so_that_of_one_night_the_smaller_comes_first():
    assert order(
        one("first", asked_at=NIGHT, records=7),
        one("seconds-later", asked_at=NIGHT + timedelta(seconds=59), records=6),
    ) == ["seconds-later", "first"]


def test_equals_have_an_order_too():
    assert order(one("b"), one("a")) == ["a", "b"]
    assert order(one("a", asked_at=NIGHT + timedelta(seconds=2)), one("b")) == ["b", "a"]


def test_one_whose_model_has_no_place_left_lets_another_model_pass():
    found = standing([one("x", "m"), one("y", "m")], [one("first", "m"), one("second", "n")])
    assert names(found.next_ones()) == ["second"]


def test_every_model_of_an_index_counts_and_one_without_a_model_counts_as_a_rebuild_alone():
    taken = [one("x", "m", "n"), one("y", "n")]
    line = [one("both", "m", "n"), one("none"), one("m", "m")]
    assert names(standing(taken, line).next_ones()) == ["m", "none"]


def test_what_is_being_chosen_counts_for_who_comes_next():
    assert names(standing([], [one(name, "m") for name in "abc"]).next_ones()) == ["a", "b"]
    assert names(standing([], [one(name) for name in "abcdef"]).next_ones()) == ["a", "b", "c", "d"]


def test_a_limit_that_was_lowered_takes_no_place_away_and_gives_none():
    assert standing([one(name) for name in "abcd"], [one("e")], rebuilds=2).next_ones() == []


def test_everybody_is_told_a_place_and_what_it_waits_for():
    taken = [one("docs", "m"), one("faq", "m"), one("blog"), one("shop")]
    told = describe(standing(taken, [one("first", "m"), one("second")]))
    assert told["first"] == {
        "place": 1,
        "of": 2,
        "since": "2026-11-02T02:00:00.000Z",
        "text": "place 1 of 2; waits for 4 rebuilds (docs, faq, blog, …)",
    }
    assert told["second"]["text"] == "place 2 of 2; waits for 4 rebuilds (docs, faq, blog, …)"


def test_who_waits_for_a_model_is_told_which():
    taken = [one("docs", "m"), one("faq", "m")]
    told = describe(standing(taken, [one("first", "m"), one("second")]))
    assert told["first"]["text"] == "place 1 of 2; waits for 2 rebuilds with m (docs, faq)"
    assert told["second"]["text"] == "place 2 of 2; begins now"


def test_who_comes_after_the_next_waits_for_it_too():
    told = describe(standing([], [one("a"), one("b")], rebuilds=1))
    assert [told[name]["text"] for name in "ab"] == [
        "place 1 of 2; begins now",
        "place 2 of 2; waits for 1 rebuild (a)",
    ]


@given(
    st.lists(waiting, max_size=6, unique_by=lambda one: one.id),
    st.lists(waiting, max_size=12),
    limits,
)
def test_nobody_is_given_a_place_above_a_limit_and_none_stays_free_that_somebody_could_have(
    taken, line, limits
):
    start = Standing((), tuple(taken), limits).next_ones()
    found = Standing(tuple(start), tuple(line), limits)
    all_ = [*start, *found.next_ones()]
    assert len(all_) <= limits.rebuilds
    assert all(sum(model in one.models for one in all_) <= limits.per_model for model in MODELS)
    left = [one for one in line if one not in all_]
    full = {
        model for model in MODELS if sum(model in one.models for one in all_) == limits.per_model
    }
    assert len(all_) == limits.rebuilds or all(one.models & full for one in left)


@given(
    st.lists(waiting, min_size=1, max_size=12, unique_by=lambda one: one.id), limits, st.randoms()
)
def test_the_order_does_not_depend_on_how_the_rows_come(line, limits, random):
    shuffled = random.sample(line, len(line))
    found = describe(Standing((), tuple(line), limits))
    assert found == describe(Standing((), tuple(shuffled), limits))
    assert sorted(told["place"] for told in found.values()) == list(range(1, len(line) + 1))
