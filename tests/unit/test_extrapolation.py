"""From a sample to the whole: known answers, and what a sample cannot know."""

import math
import random

import pytest

from qdrant_rollouts.core.deployments.past_plans import compare_figure
from qdrant_rollouts.core.statistics.extrapolation import (
    Measured,
    Place,
    count_records,
    estimate_seconds,
    estimate_share,
    estimate_sum,
    exactly,
    multiply,
)
from qdrant_rollouts.core.statistics.intervals import Interval


def alike(amount, places=25, records=20):
    return [Place(records, amount)] * places


def test_records_that_all_take_as_much_are_counted():
    assert count_records(1000, [Place(10, 100)] * 2) == exactly(100)


def test_records_of_different_sizes_have_the_interval_of_the_means_of_their_places():
    found = count_records(10_000, [Place(10, 80), Place(10, 120)] * 50)
    half = 1.9842 * math.sqrt(100 / 99 * 100 * 20**2) / 1000  # t * s of a ratio
    assert found.value == 1000
    assert (found.low, found.high) == pytest.approx(
        (10_000 / (10 + half), 10_000 / (10 - half)), rel=1e-4
    )


def test_there_are_at_least_as_many_records_as_were_read_at_one_place():
    assert count_records(10, [Place(3, 30)]).low == 3


def test_a_single_place_says_nothing_of_the_rest():
    found = count_records(1000, [Place(10, 100)])
    assert (found.value, found.low, found.high) == (100, 10, math.inf)
    assert estimate_share(exactly(1000), [Place(500, 10)]) == Interval(20, 0, 1000)
    assert estimate_share(exactly(1000), [Place(500, 0)]) == Interval(0, 0, 1000)


def test_a_sample_that_took_nothing_is_no_evidence():
    with pytest.raises(ValueError, match="took nothing"):
        count_records(1000, [Place(2, 0)])
    with pytest.raises(ValueError, match="took nothing"):
        count_records(1000, [])


def test_a_share_is_exact_if_the_sample_is_everything():
    assert estimate_share(exactly(200), [Place(150, 3), Place(50, 1)]) == exactly(4)


def test_scattered_hits_say_nearly_as_much_as_independent_records():
    found = estimate_share(exactly(10_000), [*alike(1, 10), *alike(0, 15)])
    assert (found.value, round(found.low), round(found.high)) == (200, 106, 375)


def test_hits_that_lie_together_say_no_more_than_their_places():
    together = estimate_share(exactly(10_000), [*alike(20, 10), *alike(0, 15)])
    scattered = estimate_share(exactly(10_000), alike(8))
    assert together.value == scattered.value == pytest.approx(4000)
    assert together.high - together.low > 3 * (scattered.high - scattered.low)
    assert (round(together.low, -2), round(together.high, -2)) == (2200, 6100)


def test_no_hit_in_a_sample_does_not_mean_that_there_is_none():
    found = estimate_share(exactly(10_000), alike(0))
    assert (found.value, found.low) == (0, 0)
    assert 1300 < found.high < 1400
    found = estimate_share(exactly(10_000), alike(20))
    assert (found.value, found.high) == (10_000, 10_000)
    assert 8600 < found.low < 8700


def test_a_sum_is_the_mean_times_the_number_and_exact_if_all_were_seen():
    assert estimate_sum(exactly(3), [1, 2, 6], complete=True) == exactly(9)
    found = estimate_sum(Interval(100, 90, 110), [4] * 10)
    assert (found.value, found.low, found.high) == (400, 360, 440)


def test_a_sum_over_a_sample_that_is_not_spread_has_no_upper_end():
    found = estimate_sum(exactly(100), [4] * 10, spread=False)
    assert (found.value, found.low, found.high) == (400, 0, math.inf)


def test_nothing_of_something_without_a_bound_is_nothing():
    assert multiply(exactly(0), Interval(1, 0, math.inf)) == exactly(0)


def read_at_places(values, draw):
    """What is read of 20 records each at 25 places, one drawn in each part, as of a source."""
    starts = [int(len(values) * (part + draw.random()) / 25) for part in range(25)]
    return [Place(len(read), sum(read)) for at in starts if (read := values[at : at + 20])]


def in_neighbourhoods(draw, make_value):
    return [value for _ in range(100) for value in make_value(draw)]


def sizes_of_neighbours(draw):
    usual = draw.randint(50, 400)
    return [draw.randint(usual // 2, usual * 2) for _ in range(200)]


def changes_of_neighbours(draw):
    return [int(draw.random() < 0.3)] * 200


def test_the_true_number_is_in_the_interval_19_times_of_20_though_neighbours_are_alike():
    draw = random.Random(7)
    inside = dict.fromkeys(("records", "hits"), 0)
    for _ in range(300):
        sizes = in_neighbourhoods(draw, sizes_of_neighbours)
        found = count_records(sum(sizes), read_at_places(sizes, draw))
        inside["records"] += found.low <= len(sizes) <= found.high
        changed = in_neighbourhoods(draw, changes_of_neighbours)
        found = estimate_share(exactly(len(changed)), read_at_places(changed, draw))
        inside["hits"] += found.low <= sum(changed) <= found.high
    assert min(inside.values()) / 300 > 0.92, inside


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
