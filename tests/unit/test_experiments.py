"""Statistics of two arms: known answers and properties (docs/notes/experiments.md sections 11 and
12)."""

import math
import random
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.simulation import Case, run
from qdrant_rollouts.core.config.index_file import BreakersSpec, CanarySpec
from qdrant_rollouts.core.deployments.canary_breakers import Look, find_tripped_breaker
from qdrant_rollouts.core.deployments.canary_judgment import judge_canary, margin_scale
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.statistics import histogram, moments, sequence
from qdrant_rollouts.core.statistics.assignment import (
    BASIS,
    bucket,
    canary_ranges,
    group_of_unit,
    share_of,
)
from qdrant_rollouts.core.statistics.moments import Unclear
from qdrant_rollouts.core.statistics.traffic_sketch import GROUPS, TrafficSketch

shares = st.integers(0, BASIS)


def searched(
    count: int, *, ms: float = 20.0, errors: float = 0.0, seed: int = 1, groups: int = GROUPS
) -> TrafficSketch:
    rng = random.Random(seed)
    tally = TrafficSketch()
    for number in range(count):
        tally.add(
            number % groups, rng.lognormvariate(0, 0.4) * ms / 1000, error=rng.random() < errors
        )
    return tally


# --- assignment -----------------------------------------------------------------------------------


def test_k22_buckets_are_those_of_the_notes():
    assert (bucket("exp-1", "user-42"), bucket("exp-1", "user-43")) == (4358, 4795)


def test_a_group_says_nothing_of_the_bucket():
    users = [str(number) for number in range(20_000)]
    low = [group_of_unit("salt", user) for user in users if bucket("salt", user) < BASIS // 2]
    assert abs(np.mean(low) - (GROUPS - 1) / 2) < 5
    assert set(low) == set(range(GROUPS))


def inside(ranges, place: int) -> bool:
    return any(start <= place < end for start, end in ranges)


@given(shares, shares, st.integers(0, BASIS - 1))
def test_raising_the_share_moves_nobody_back(one, other, place):
    lower, higher = sorted((one, other))
    assert not inside(canary_ranges(lower)[1], place) or inside(canary_ranges(higher)[1], place)


@given(shares)
def test_the_canary_has_its_share_and_control_as_much_while_that_can_be(share):
    control, canary = canary_ranges(share)
    sizes = [sum(end - start for start, end in ranges) for ranges in (control, canary)]
    assert sizes == [share if share <= BASIS // 2 else 0, share]
    assert not any(inside(control, place) and inside(canary, place) for place in range(0, BASIS, 7))


@pytest.mark.parametrize("percentage", [0.001, -1, 100.01, 33.333])
def test_a_share_that_is_no_whole_number_of_basis_points_is_refused(percentage):
    with pytest.raises(Refused, match=r"multiple of 0\.01"):
        share_of(percentage)
    assert [share_of(good) for good in (0, 0.29, 5, 99.99, 100)] == [0, 29, 500, 9999, 10_000]


# --- tallies --------------------------------------------------------------------------------------


@given(st.floats(1e-5, 120))
def test_a_bucket_holds_its_value_and_is_narrower_than_two_percent(seconds):
    low, high = histogram.bucket_bounds(histogram.bucket_index(seconds))
    assert low <= seconds <= high
    assert (high - low) / 2 <= 0.01 * seconds


def taken(rounds: int) -> int:
    """Bytes of a tally of so many times the same 20,000 searches."""
    rng = random.Random(2)
    searches = [(rng.randrange(GROUPS), rng.lognormvariate(-4, 0.4)) for _ in range(20_000)]
    tracemalloc.start()
    tally = TrafficSketch()
    for _ in range(rounds):
        for cluster, seconds in searches:
            tally.add(cluster, seconds)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tally.calls == rounds * 20_000
    return size


def test_a_tally_takes_no_more_memory_when_there_are_more_searches():
    assert taken(5) <= 1.01 * taken(1)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, 1e9])
def test_what_no_clock_measures_counts_at_the_end_it_passed(seconds):
    assert histogram.bucket_index(seconds) in (0, histogram.BUCKETS - 1)


@given(st.lists(st.floats(1e-4, 10), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_a_quantile_is_right_to_one_percent(values, level):
    tally = TrafficSketch()
    for value in values:
        tally.add(0, value)
    ordered = sorted(values)
    exact = ordered[max(0, math.ceil(level * len(values) - 1e-9) - 1)]
    assert tally.quantile(level) == pytest.approx(exact, rel=0.02)


def test_tallies_add_up_and_survive_being_written_down():
    one = searched(300, seed=1, errors=0.1)
    other = searched(200, seed=2)
    other.add(3, 0.01, results=0, anonymous=True)
    other.add_pair(0.9, 0.1)
    both = TrafficSketch.from_json(one.to_json())
    both.merge(TrafficSketch.from_json(other.to_json()))
    assert both.calls == 501
    assert both.errors == one.errors
    assert (both.zeros, both.anonymous, both.pairs) == (1, 1, 1)
    assert both.seconds == pytest.approx(one.seconds + other.seconds)
    assert TrafficSketch.from_json(TrafficSketch().to_json()).calls == 0


# --- estimates ------------------------------------------------------------------------------------


def test_k10_a_ratio_has_the_variance_of_the_delta_method():
    clicks = np.array([1.0, 0, 3, 2, 0, 4])
    queries = np.array([2.0, 1, 5, 4, 3, 5])
    assert moments._ratio_variance(clicks, queries) == pytest.approx(0.015)


@pytest.mark.parametrize(
    ("tally", "reason"),
    [
        (TrafficSketch(), "no_data"),
        (searched(99), "too_few_units"),
        (searched(5000, groups=20), "too_few_units"),
    ],
)
def test_without_support_there_is_no_number_but_a_reason(tally, reason):
    for found in (moments.error_rate(tally), moments.latency_quantile(tally, 0.95)):
        assert found == Unclear(reason)


def test_a_few_groups_that_search_most_are_few():
    tally = searched(600)
    for number in range(20_000):
        tally.add(number % 5, 0.02)
    assert moments.error_rate(tally) == Unclear("too_few_units")


@pytest.mark.parametrize("rate", [0.0005, 0.002, 0.02])
def test_the_variance_of_an_error_rate_covers_what_happens_even_when_no_search_failed(rate):
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        tally = TrafficSketch()
        for number, failed in enumerate(rng.random(1500) < rate):
            tally.add(number % GROUPS, 0.01, error=bool(failed))
        found = moments.error_rate(tally)
        covered += abs(found.estimate - rate) <= 3 * math.sqrt(found.variance)
    assert covered >= 185


@pytest.mark.parametrize("clustered", [False, True])
def test_the_variance_of_a_p95_is_that_of_repeated_samples(clustered):
    rng = np.random.default_rng(7)
    found = []
    for _ in range(120):
        tally = TrafficSketch()
        speed = rng.lognormal(0, 0.4 if clustered else 0, GROUPS)
        for number, noise in enumerate(rng.lognormal(0, 0.3, 4096)):
            tally.add(number % GROUPS, 0.02 * speed[number % GROUPS] * noise)
        found.append(moments.latency_quantile(tally, 0.95))
    spread = np.std([one.estimate for one in found])
    told = np.sqrt(np.mean([one.variance for one in found]))
    assert told == pytest.approx(spread, rel=0.25)


def test_swapping_the_arms_negates_the_difference_and_keeps_its_error():
    one = moments.error_rate(searched(2000, errors=0.02))
    other = moments.error_rate(searched(2000, errors=0.05, seed=3))
    there = moments.difference(one, other)
    back = moments.difference(other, one)
    assert (there.estimate, there.variance) == (-back.estimate, back.variance)


def test_one_stage_stratified_is_that_stage():
    effect = moments.difference(
        moments.error_rate(searched(2000)), moments.error_rate(searched(2000, errors=0.05))
    )
    assert moments.stratified_effect([(10.0, effect)]) == effect
    assert moments.stratified_effect([(10.0, effect), (5.0, Unclear("no_data"))]) == effect
    assert moments.stratified_effect([]) == Unclear("no_data")


# --- the sequence ---------------------------------------------------------------------------------


def test_k7_the_normal_mixture_is_the_published_one():
    rho_squared = sequence._rho_squared(0.05, 100)
    assert 100 * rho_squared == pytest.approx(100 / 12.60056, rel=1e-5)
    assert 100 * sequence.half_two_sided(0.1, 100, 100, 0.05) == pytest.approx(30.35209, abs=1e-4)


@given(st.floats(0.01, 0.1), st.integers(200, 100_000), st.integers(1000, 50_000))
def test_an_effect_at_the_edge_of_the_interval_has_p_alpha(error, n, n_star):
    half = sequence.half_two_sided(error, n, n_star, 0.05)
    assert sequence.p_value(half, error, n, n_star, 0.05) == pytest.approx(0.05)


def test_a_sequence_that_is_looked_at_often_errs_no_more_than_it_says():
    rng = np.random.default_rng(2)
    crossed = 0
    for _ in range(400):
        values = rng.standard_normal(4000).cumsum()
        looks = np.arange(100, 4001, 50)
        halves = [sequence.half_one_sided(1 / math.sqrt(n), n, 2000, 0.05) for n in looks]
        crossed += bool(np.any(values[looks - 1] / looks > halves))
    assert crossed <= 20


def test_a_bound_from_a_start_errs_no_more_than_it_says_and_hardly_less():
    rng = np.random.default_rng(3)
    looks = np.arange(100, 10_001)
    heights = np.array([sequence.half_from_start(1.0, n, 100, 0.05) for n in looks])
    crossed = 0
    for _ in range(600):
        walk = rng.standard_normal(10_000).cumsum()[looks - 1] / np.sqrt(looks)
        crossed += bool(np.any(walk > heights))
    assert 6 <= crossed <= 30


def test_a_bound_is_not_valid_before_its_start():
    assert sequence.half_from_start(1.0, 100, 100, 0.05) == pytest.approx(2.503, abs=1e-3)
    with pytest.raises(ValueError, match="valid from 100 on"):
        sequence.half_from_start(1.0, 99, 100, 0.05)


# --- the canary -----------------------------------------------------------------------------------


def test_a_canary_like_blue_with_enough_searches_is_healthy():
    found = judge_canary([(searched(6000, seed=1), searched(6000, seed=2))], CanarySpec())
    assert found.verdict == "healthy", found.words


@pytest.mark.parametrize(
    ("canary", "metric"),
    [({"ms": 30.0}, "p95"), ({"errors": 0.03}, "error rate")],
)
def test_certain_harm_beyond_the_margin_is_unhealthy_and_said_in_numbers(canary, metric):
    found = judge_canary([(searched(6000, seed=1), searched(6000, seed=2, **canary))], CanarySpec())
    assert found.verdict == "unhealthy"
    assert found.words.startswith(metric)
    assert "tolerated, n 12000" in found.words


def test_certain_but_trivial_harm_does_not_roll_back():
    found = judge_canary(
        [(searched(60_000, seed=1), searched(60_000, seed=2, ms=21.0))], CanarySpec()
    )
    assert found.comparisons[0].low > 0
    assert found.verdict == "healthy"


@pytest.mark.parametrize("searches", [0, 1, 99, 150])
def test_too_little_is_never_healthy_and_says_how_much_is_missing(searches):
    found = judge_canary([(searched(searches), searched(searches, seed=2))], CanarySpec())
    assert found.verdict == "unknown"
    assert found.missing >= 200 - searches


def test_no_control_is_never_healthy():
    assert judge_canary([(TrafficSketch(), searched(9000))], CanarySpec()).verdict == "unknown"
    assert judge_canary([], CanarySpec()).verdict == "unknown"


def test_a_smaller_share_needs_less_certainty():
    assert (
        margin_scale(500) > margin_scale(2500) > margin_scale(5000) == margin_scale(10_000) == 1.0
    )


#: As much as a stage of 5 % sees in 40 minutes with two searches a second.
FEW = 240


def test_a_canary_with_little_traffic_passes_by_what_is_excluded():
    found = judge_canary([(searched(FEW, seed=1), searched(FEW, seed=2))], CanarySpec(), 500)
    assert (found.verdict, found.passes, found.missing) == ("no_harm", True, 0)
    assert re.match(
        r"no harm seen; excluded: p95 worse by more than \d+ %, errors by more than \d\.\d points",
        found.words,
    )
    p95, errors = found.comparisons
    assert p95.effect < p95.excluded <= 1.0
    assert errors.effect < errors.excluded <= 0.02


def test_a_person_decides_on_little_traffic_if_the_index_says_so():
    spec = CanarySpec(undecided="pause")
    found = judge_canary([(searched(FEW, seed=1), searched(FEW, seed=2))], spec, 5000)
    assert (found.verdict, found.passes) == ("unknown", False)
    assert found.missing > FEW
    assert "excluded" not in found.words


@pytest.mark.parametrize(
    ("canary", "said"),
    [
        ({"ms": 36.0}, "p95 worse by more than 1"),
        ({"errors": 0.025}, "errors by more than"),
    ],
)
def test_what_may_be_as_bad_as_the_bound_does_not_pass_and_the_bound_is_named(canary, said):
    found = judge_canary([(searched(FEW, seed=1), searched(FEW, seed=3, **canary))], CanarySpec())
    assert found.verdict == "unknown", found.words
    assert said in found.words
    assert "must be" in found.words


def test_nothing_is_excluded_before_both_sides_have_the_minimum():
    found = judge_canary([(searched(150, seed=1), searched(210, seed=2))], CanarySpec())
    assert not found.passes
    assert [one.excluded for one in found.comparisons] == [None, None]


def test_too_few_users_exclude_nothing():
    few = [searched(9000, seed=seed, groups=90) for seed in (1, 2)]
    found = judge_canary([(few[0], few[1])], CanarySpec())
    assert (found.verdict, found.passes) == ("unknown", False)


def test_what_is_excluded_is_rounded_against_the_canary_and_never_below_nothing():
    better = judge_canary(
        [(searched(6000, seed=1, ms=40.0), searched(6000, seed=2))], CanarySpec()
    ).comparisons[0]
    assert better.excluded < 0
    assert better.bound == "p95 worse by more than 0 %"
    found = judge_canary([(searched(FEW, seed=1), searched(FEW, seed=2))], CanarySpec())
    for metric, size in zip(found.comparisons, (1, 0.1), strict=True):
        told = float(re.search(r"([\d.]+) (%|points)$", metric.bound)[1])
        assert 0 <= told - metric.excluded * 100 < size


def test_traffic_that_drifts_from_stage_to_stage_is_no_difference():
    early = {"ms": 20.0}
    late = {"ms": 60.0}
    stages = [
        (searched(600, seed=1, **early), searched(600, seed=2, **early)),
        (searched(6000, seed=3, **late), searched(6000, seed=4, **late)),
    ]
    assert judge_canary(stages, CanarySpec()).verdict == "healthy"


@pytest.mark.parametrize(
    ("calls", "errors", "trips"),
    [
        (200, 10, False),
        (200, 11, True),
        (199, 11, False),
        (100, 20, True),
        (1000, 50, False),
        (1000, 51, True),
    ],
)
def test_errors_trip_beyond_five_percent_once_enough_was_seen(calls, errors, trips):
    tally = TrafficSketch()
    for number in range(calls):
        tally.add(number % GROUPS, 0.01, error=number < errors)
    assert bool(find_tripped_breaker(tally, [], BreakersSpec())) == trips


def test_too_many_errors_count_beside_those_of_blue_and_both_are_named():
    tally = TrafficSketch()
    for number in range(1000):
        tally.add(number % GROUPS, 0.01, error=number < 160)

    def found(blue, limits=BreakersSpec()):  # noqa: B008 - frozen
        return find_tripped_breaker(tally, [], limits, blue_errors=blue)

    assert not found(0.15), "the server did not answer either of them"
    assert found(0.10) == (
        "160 of 1000 searches failed, 16.0%; 15.0% are tolerated, 1.5 times blue's; of blue's "
        "10.0% failed"
    )
    assert found(0.002).endswith("5.0% are tolerated; of blue's 0.2% failed")
    assert found(None).endswith("5.0% are tolerated")
    assert found(0.15, BreakersSpec(times_blue=0)), "blue does not matter"


def test_green_that_answers_nothing_trips_beside_a_blue_that_answers_something():
    tally = TrafficSketch()
    for number in range(1000):
        tally.add(number % GROUPS, 0.01, error=True)
    said = find_tripped_breaker(tally, [], BreakersSpec(), blue_errors=0.7)
    assert "85.0% are tolerated, half of blue's answers; of blue's 70.0% failed" in said
    assert not find_tripped_breaker(tally, [], BreakersSpec(), blue_errors=1.0)


def test_a_slow_mean_trips_over_ten_looks_with_searches_and_not_before():
    slow = [Look(3.0, 10)] * 9
    assert not find_tripped_breaker(TrafficSketch(), [*slow, Look(0.0, 0)], BreakersSpec())
    assert "300 ms" in find_tripped_breaker(
        TrafficSketch(), [Look(0.0, 0), *slow, Look(3.0, 10)], BreakersSpec()
    )
    assert not find_tripped_breaker(TrafficSketch(), [*slow, Look(0.1, 500)], BreakersSpec())


def test_a_few_searches_of_some_seconds_among_few_trip_nothing_and_many_do():
    """Two of 60 took five seconds: twice what such an index has on average."""

    def found(slow: int) -> str:
        tally = TrafficSketch()
        for number in range(60):
            tally.add(number, 5.0 if number < slow else 0.05)
        return find_tripped_breaker(tally, [Look(tally.seconds / 10, 6)] * 10, BreakersSpec())

    assert not found(2)
    assert "ms is the mean latency of the last 10 looks" in found(20)


def found_slow(green: float, blue: float | None, limits: BreakersSpec, before=None) -> str:
    """Means in milliseconds, over ten looks; without ``blue`` it answered nobody meanwhile."""
    beside = (0.0, 0) if blue is None else (blue / 1000 * 30, 30)
    return find_tripped_breaker(
        TrafficSketch(), [Look(green / 1000 * 10, 10, *beside)] * 10, limits, before
    )


def test_a_version_is_too_slow_only_beside_blue_and_both_are_named():
    assert not found_slow(688, 1062, BreakersSpec())
    assert not found_slow(1590, 1062, BreakersSpec())
    assert found_slow(1600, 1062, BreakersSpec()) == (
        "1,600 ms is the mean latency of the last 10 looks, 1,593 ms are tolerated, 1.5 times "
        "blue's; blue took 1,062 ms at the same time"
    )
    assert found_slow(250, 20, BreakersSpec()) == (
        "250 ms is the mean latency of the last 10 looks, 200 ms are tolerated; blue took 20 ms at "
        "the same time"
    )


def test_where_blue_answers_nobody_its_latency_so_far_counts():
    assert not found_slow(1500, None, BreakersSpec(), before=1.062)
    assert "blue took 1,062 ms before" in found_slow(1600, None, BreakersSpec(), before=1.062)
    assert "blue's latency is not known" in found_slow(250, None, BreakersSpec())


def test_a_limit_that_somebody_declared_alone_holds_whatever_blue_takes():
    declared = BreakersSpec(mean_latency_ms=500)
    assert "500 ms are tolerated; blue took 1,062 ms" in found_slow(688, 1062, declared)
    both = BreakersSpec(mean_latency_ms=500, times_blue=1.5)
    assert not found_slow(688, 1062, both)


@pytest.mark.proof
def test_of_200_healthy_canaries_at_most_one_is_rolled_back(effort):
    runs = effort(40, 200)
    ends = [run(Case(look_minutes=15), seed).how for seed in range(runs)]
    assert ends.count("rolled back") <= 1
    assert ends.count("promoted") >= 0.9 * runs


@pytest.mark.proof
@pytest.mark.parametrize(
    "case", [Case(slower=1.5, look_minutes=15), Case(failing=0.05, look_minutes=15)]
)
def test_no_canary_that_does_much_harm_is_promoted(effort, case):
    ends = [run(case, seed).how for seed in range(effort(20, 200))]
    assert ends.count("promoted") == 0
    assert ends.count("rolled back") >= 0.9 * len(ends)


@pytest.mark.proof
def test_with_two_searches_a_second_healthy_canaries_pass_without_a_person(effort):
    runs = effort(10, 200)
    ends = [run(Case(rate=2), seed).how for seed in range(runs)]
    assert ends.count("promoted") >= 0.9 * runs
    assert ends.count("rolled back") == 0


@pytest.mark.proof
@pytest.mark.parametrize(
    "case", [Case(rate=2, slower=1.5), Case(rate=2, failing=0.02), Case(rate=2, failing=0.05)]
)
def test_with_two_searches_a_second_no_canary_that_does_much_harm_is_promoted(effort, case):
    ends = [run(case, seed).how for seed in range(effort(10, 200))]
    assert ends.count("promoted") == 0
