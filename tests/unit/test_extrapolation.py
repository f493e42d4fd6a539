"""From a sample to the whole: known answers, and what a sample cannot know."""

import math
import random

import pytest

from qdrant_rollouts.core.deployments.past_plans import compare_figure
from qdrant_rollouts.core.statistics.extrapolation import (
    Measured,
    count_records,
    estimate_seconds,
    estimate_share,
    estimate_sum,
    exactly,
    multiply,
)
from qdrant_rollouts.core.statistics.intervals import Interval


def test_records_that_all_take_as_much_are_counted():
    assert count_records(1000, [10] * 20) == exactly(100)


def test_records_of_different_sizes_have_the_interval_of_their_mean():
    found = count_records(10_000, [8, 12] * 50)
    half = 1.96 * math.sqrt(100 * 4 / 99) / 10  # z * s / sqrt(n)
    assert found.value == 1000
    assert (found.low, found.high) == pytest.approx((10_000 / (10 + half), 10_000 / (10 - half)))


def test_there_are_at_least_as_many_records_as_were_read():
    assert count_records(10, [5, 10, 15]).low == 3


def test_a_single_record_says_nothing_about_the_spread():
    found = count_records(1000, [10])
    assert (found.value, found.low, found.high) == (100, 1, math.inf)


def test_a_sample_that_took_nothing_is_no_evidence():
    with pytest.raises(ValueError, match="took nothing"):
        count_records(1000, [0, 0])


def test_a_share_is_exact_if_the_sample_is_everything_and_wilsons_otherwise():
    assert estimate_share(exactly(200), 3, 200) == exactly(3)
    found = estimate_share(exactly(10_000), 10, 500)
    assert (found.value, round(found.low), round(found.high)) == (200, 109, 364)


def test_no_hit_in_a_sample_does_not_mean_that_there_is_none():
    found = estimate_share(exactly(10_000), 0, 500)
    assert (found.value, found.low) == (0, 0)
    assert 70 < found.high < 80


def test_a_sum_is_the_mean_times_the_number_and_exact_if_all_were_seen():
    assert estimate_sum(exactly(3), [1, 2, 6], complete=True) == exactly(9)
    found = estimate_sum(Interval(100, 90, 110), [4] * 10)
    assert (found.value, found.low, found.high) == (400, 360, 440)


def test_nothing_of_something_without_a_bound_is_nothing():
    assert multiply(exactly(0), Interval(1, 0, math.inf)) == exactly(0)


def test_the_true_number_is_in_the_interval_19_times_of_20():
    draw = random.Random(7)
    sizes = [draw.randint(50, 400) for _ in range(20_000)]
    inside = 0
    for _ in range(400):
        found = count_records(sum(sizes), draw.sample(sizes, 300))
        inside += found.low <= len(sizes) <= found.high
    assert inside / 400 > 0.92


FULL = [Measured(1000, 1000, 100.0), Measured(2000, 2000, 300.0)]
REUSING = [Measured(1000, 0, 10.0), Measured(1000, 10, 20.0)]


def test_embedding_takes_as_long_per_text_as_it_took():
    found = estimate_seconds([*FULL, *REUSING], exactly(4000), exactly(4000))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((500, 400, 600))


def test_reuse_takes_as_long_per_record_as_it_took():
    found = estimate_seconds([*FULL, *REUSING], exactly(4000), exactly(40))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((60, 40, 80))


def test_reuse_that_was_never_seen_lies_between_its_texts_and_all_records():
    found = estimate_seconds(FULL, exactly(4000), exactly(40))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((4, 600))


def test_a_single_deployment_gives_a_value_and_no_interval():
    found = estimate_seconds(FULL[:1], exactly(500), exactly(500))
    assert found is not None
    assert (found.value, found.low, found.high) == (50, 0, math.inf)


def test_reuse_alone_says_nothing_of_embedding_and_nothing_says_nothing():
    assert estimate_seconds(REUSING, exactly(500), exactly(500)) is None
    assert estimate_seconds([], exactly(500), exactly(0)) is None


def test_what_was_planned_is_compared_with_what_it_took():
    planned = {"value": 110.0, "low": 90.0, "high": 130.0}
    assert compare_figure(planned, 100) == {
        "planned": 110.0,
        "took": 100,
        "error": pytest.approx(0.1),
        "within": True,
    }
    assert compare_figure({**planned, "high": None}, 1000)["within"] is True
    assert compare_figure(planned, 0)["error"] is None
    assert compare_figure({"value": 0.0, "low": 0.0, "high": 0.0}, 0)["error"] == 0
    assert compare_figure(None, 7) == {"planned": None, "took": 7, "error": None, "within": None}
