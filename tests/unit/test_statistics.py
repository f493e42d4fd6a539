"""Laws of the estimators, of the sequence and of the sample-ratio check (docs/notes/experiments.md
section 11)."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_rollouts.core import experiments, statistics
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.statistics import comparison, moments, ranking
from qdrant_rollouts.core.statistics.assignment import BASIS, assign, bucket_ranges, weights_of
from qdrant_rollouts.core.statistics.balance import (
    concentration_for,
    is_mismatched,
    srm_chi_square,
    srm_sequential,
)
from qdrant_rollouts.core.statistics.metric import Metric
from qdrant_rollouts.core.statistics.moments import Moments, Unclear, difference
from qdrant_rollouts.core.statistics.quantiles import (
    clustered_quantile,
    clustered_quantile_difference,
)
from qdrant_rollouts.core.statistics.sequence import confidence_sequence, sequential_p
from qdrant_rollouts.core.statistics.sums import Sums, delta_ratio, mean, mean_from_sums
from qdrant_rollouts.core.statistics.traffic_sketch import GROUPS, TrafficSketch
from qdrant_rollouts.core.statistics.welch import welch_from_moments

coverages = st.integers(0, BASIS)
splits = st.lists(st.integers(0, BASIS), min_size=1, max_size=4).map(
    lambda cuts: [
        end - start for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), BASIS], strict=True)
    ]
)
users = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), min_size=3, max_size=40)


def summed(pairs) -> Sums:
    return Sums.of([s for s, _ in pairs], [n for _, n in pairs])


def close(one, other) -> bool:
    if isinstance(one, Unclear) or isinstance(other, Unclear):
        return one == other
    return (one.units, one.estimate, one.variance) == (
        other.units,
        pytest.approx(other.estimate, rel=1e-9, abs=1e-12),
        pytest.approx(other.variance, rel=1e-6),
    )


# --- assignment -----------------------------------------------------------------------------------


def test_the_ranges_are_those_of_the_notes():
    assert bucket_ranges((9000, 1000), 2000) == ((0, 1800), (9000, 9200))
    assert bucket_ranges((9000, 1000), 3000) == ((0, 2700), (9000, 9300))
    assert bucket_ranges((5000, 2500, 2500)) == ((0, 5000), (5000, 7500), (7500, 10_000))


@given(splits, coverages, coverages, st.text(max_size=8))
def test_growing_coverage_never_changes_an_enrolled_units_arm(weights, one, other, unit):
    narrow, wide = (
        assign("salt", unit, bucket_ranges(weights, coverage)) for coverage in sorted((one, other))
    )
    assert narrow is None or narrow == wide
    assert assign("salt", unit, bucket_ranges(weights)) is not None


def test_another_process_puts_everybody_in_the_same_arm():
    told = "from qdrant_rollouts.core.statistics.assignment import assign, bucket_ranges; "
    told += "r = bucket_ranges((6000, 4000), 7000); "
    told += "print([assign('exp-1', f'user-{n}', r) for n in range(50)])"
    answers = {
        subprocess.run(
            [sys.executable, "-c", told],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    ranges = bucket_ranges((6000, 4000), 7000)
    assert answers == {f"{[assign('exp-1', f'user-{number}', ranges) for number in range(50)]}\n"}


def test_arms_get_their_shares_and_the_rest_is_not_enrolled():
    ranges = bucket_ranges((8000, 2000), 5000)
    arms = [assign("exp-1", str(number), ranges) for number in range(20_000)]
    assert [arms.count(arm) / 20_000 for arm in (0, 1, None)] == pytest.approx(
        [0.4, 0.1, 0.5], abs=0.01
    )


@pytest.mark.parametrize(
    "weights", [(5000, 4999), (5000, 5001), (10_001, -1), (3333.3, 6666.7), ()]
)
def test_weights_that_are_no_shares_of_all_are_refused(weights):
    with pytest.raises(Refused, match="sum to 10000"):
        bucket_ranges(weights)


@pytest.mark.parametrize("coverage", [-1, 10_001, 0.5])
def test_a_coverage_that_is_no_share_is_refused(coverage):
    with pytest.raises(Refused, match="from 0 to 10000"):
        bucket_ranges((5000, 5000), coverage)


@pytest.mark.parametrize("split", [0.0, 1.0, -0.1, 1.5, 0.00005, 1 / 3, math.nan, math.inf])
def test_a_split_without_two_arms_of_whole_basis_points_is_refused(split):
    with pytest.raises(Refused, match=r"multiple of 0\.0001"):
        weights_of(split)
    assert [weights_of(good) for good in (0.5, 0.29, 0.0001)] == [
        (5000, 5000),
        (7100, 2900),
        (9999, 1),
    ]


# --- means and ratios -----------------------------------------------------------------------------


@given(users, st.data())
def test_two_sets_of_users_that_are_merged_are_analysed_as_their_union(pairs, data):
    cut = data.draw(st.integers(0, len(pairs)))
    merged = summed(pairs[:cut]) + summed(pairs[cut:])
    assert merged == summed(pairs)
    assert close(delta_ratio(merged), delta_ratio(summed(pairs)))
    assert close(mean(merged), mean(summed(pairs)))


@given(users)
def test_a_ratio_of_one_event_a_user_is_the_mean(pairs):
    found = Sums.of([s for s, _ in pairs])
    assert close(delta_ratio(found), mean(found))


@given(users)
def test_both_forms_of_the_ratios_variance_agree(pairs):
    s, n = np.array(pairs, dtype=float).T
    found = delta_ratio(summed(pairs))
    residuals = np.var(s - s.sum() / n.sum() * n, ddof=1) / (len(s) * n.mean() ** 2)
    told = 0.0 if isinstance(found, Unclear) else found.variance
    assert told == pytest.approx(residuals, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (mean(Sums()), "no_data"),
        (delta_ratio(Sums()), "no_data"),
        (delta_ratio(Sums.of([0, 0], [0, 0])), "no_data"),
        (mean(Sums.of([3])), "too_few_units"),
        (delta_ratio(Sums.of([3], [4])), "too_few_units"),
        (mean(Sums.of([3, 3, 3])), "variance_not_positive"),
        (mean(Sums.of([0.1] * 10)), "variance_not_positive"),
        (delta_ratio(Sums.of([2, 4], [1, 2])), "variance_not_positive"),
        (mean_from_sums(10, math.inf, math.inf), "variance_not_positive"),
        (mean_from_sums(10, math.nan, 1.0), "variance_not_positive"),
        (mean_from_sums(10, 1e200, 1e308 * 10), "variance_not_positive"),
    ],
)
def test_without_support_there_is_no_number_but_a_reason(found, reason):
    assert found == Unclear(reason)


@pytest.mark.parametrize("everybody", [0, 1])
def test_where_nobody_or_everybody_did_the_next_one_is_not_excluded(everybody):
    proportion = mean(Sums.of([everybody] * 1000), binary=True)
    rate = delta_ratio(Sums.of([everybody * 4] * 250, [4] * 250), binary=True)
    assert (proportion.estimate, rate.estimate) == (everybody, everybody)
    assert math.sqrt(proportion.variance) == pytest.approx(1 / 1000, rel=0.01)
    assert rate.variance == proportion.variance


def test_one_event_seen_has_about_the_variance_of_none_seen():
    none = [0] * 1000
    one = [1] + [0] * 999
    found = [mean(Sums.of(values), binary=True).variance for values in (none, one)]
    assert found[0] == pytest.approx(found[1], rel=0.01)
    assert delta_ratio(Sums.of(none, [1] * 1000)) == Unclear("variance_not_positive")


def test_a_ratio_that_rests_on_a_few_users_has_no_number():
    metric = Metric("clicks", "ratio", "primary", 1, 0.02)
    rng = np.random.default_rng(1)
    alike = rng.integers(1, 6, 500)
    heavy = np.where(np.arange(500) < 5, 5000, alike)
    clicks = [rng.binomial(searches, 0.3) for searches in (alike, heavy)]
    assert isinstance(metric.estimate(Sums.of(clicks[0], alike)), Moments)
    assert metric.estimate(Sums.of(clicks[1], heavy)) == Unclear("too_few_units")


# --- Welch ----------------------------------------------------------------------------------------


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.01, 2), st.floats(0.01, 2))
def test_swapping_the_arms_negates_the_difference_and_keeps_its_error(a, b, variance_a, variance_b):
    one = Moments(50, a, variance_a)
    other = Moments(90, b, variance_b)
    there = welch_from_moments(one, other)
    back = welch_from_moments(other, one)
    assert (there.difference, there.standard_error) == (-back.difference, back.standard_error)
    assert (there.low, there.high, there.p, there.df) == pytest.approx(
        (-back.high, -back.low, back.p, back.df)
    )


@given(st.floats(0.001, 0.2))
def test_welchs_interval_ends_where_its_p_is_alpha(alpha):
    one = Moments(20, 1.0, 0.04)
    other = Moments(30, 2.0, 0.09)
    found = welch_from_moments(one, other, alpha)
    half = found.high - found.difference
    assert welch_from_moments(one, Moments(30, 1.0 + half, 0.09)).p == pytest.approx(alpha)


def test_welch_says_why_it_has_no_number():
    good = Moments(100, 1.0, 0.01)
    assert welch_from_moments(Unclear("no_data"), good) == Unclear("no_data")
    assert welch_from_moments(Moments(1, 1.0, 0.01), good) == Unclear("too_few_units")
    assert welch_from_moments(Moments(9, 1.0, 0.0), Moments(9, 1.0, 0.0)) == Unclear(
        "variance_not_positive"
    )
    assert welch_from_moments(Moments(9, 1.0, 0.1), good, relative=True) == Unclear(
        "control_too_noisy"
    )


# --- quantiles ------------------------------------------------------------------------------------


def latencies(seed: int, clustered: bool, searches: int = 8, count: int = 400):
    rng = np.random.default_rng(seed)
    whose = np.repeat(np.arange(count), searches)
    speed = rng.lognormal(0, 0.5 if clustered else 0.0, count)[whose]
    return 0.02 * speed * rng.lognormal(0, 0.4, len(whose)), whose


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("clustered", [False, True])
def test_the_variance_of_a_quantile_is_that_of_repeated_samples(level, clustered):
    found = [clustered_quantile(*latencies(seed, clustered), level) for seed in range(300)]
    spread = np.std([one.estimate for one in found])
    assert math.sqrt(np.mean([one.variance for one in found])) == pytest.approx(spread, rel=0.12)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_a_quantile_is_that_of_the_tally_within_the_histograms_error(level):
    values, whose = latencies(3, True, searches=20, count=GROUPS)
    tally = TrafficSketch()
    for value, group in zip(values, whose, strict=True):
        tally.add(int(group), float(value))
    exact = clustered_quantile(values, whose, level)
    told = moments.latency_quantile(tally, level)
    assert exact.estimate == pytest.approx(told.estimate, rel=0.016)
    assert math.sqrt(exact.variance) == pytest.approx(math.sqrt(told.variance), rel=0.1)
    assert exact.units == told.units


def test_merged_tallies_have_the_quantile_of_their_union():
    values, whose = latencies(4, True)
    tallies = TrafficSketch(), TrafficSketch(), TrafficSketch()
    for value, group in zip(values, whose, strict=True):
        for tally in (tallies[int(group) % 2], tallies[2]):
            tally.add(int(group), float(value))
    tallies[0].merge(tallies[1])
    assert close(
        moments.latency_quantile(tallies[0], 0.95), moments.latency_quantile(tallies[2], 0.95)
    )


def test_users_that_are_merged_have_the_quantile_of_their_union_in_any_order():
    values, whose = latencies(5, True)
    order = np.random.default_rng(1).permutation(len(values))
    one = clustered_quantile(values, whose, 0.95)
    assert close(clustered_quantile(values[order], whose[order], 0.95), one)
    assert close(
        clustered_quantile(values, np.array([f"user-{user}" for user in whose]), 0.95), one
    )


def test_with_one_event_a_user_the_clusters_change_nothing():
    values, _ = latencies(6, False, searches=1, count=5000)
    n = 5000
    level = 0.95
    found = clustered_quantile(values, np.arange(n), level)
    half = 1.959964 * math.sqrt(level * (1 - level) / n)
    ordered = np.sort(values)
    low = ordered[math.floor(n * (level - half)) - 1]
    high = ordered[math.ceil(n * (level + half)) - 1]
    assert found.estimate == ordered[4749]
    assert found.variance == pytest.approx(((high - low) / (2 * 1.959964)) ** 2, rel=0.01)


@pytest.mark.parametrize(("level", "least"), [(0.95, 73), (0.99, 381), (0.05, 73)])
def test_a_quantile_needs_as_many_events_as_the_notes_say(level, least):
    rng = np.random.default_rng(2)
    wanted = max(least, 100)
    assert isinstance(clustered_quantile(rng.random(wanted), np.arange(wanted), level), Moments)
    if least > 100:
        assert clustered_quantile(rng.random(380), np.arange(380), level) == Unclear(
            "quantile_unresolved"
        )


@pytest.mark.parametrize(
    ("values", "whose", "reason"),
    [
        ([], [], "no_data"),
        (np.arange(9900.0), np.arange(9900) % 99, "too_few_units"),
        (np.ones(5000), np.arange(5000), "quantile_unresolved"),
    ],
)
def test_a_quantile_without_support_has_a_reason(values, whose, reason):
    assert clustered_quantile(values, whose, 0.95) == Unclear(reason)
    other = latencies(1, False)
    assert clustered_quantile_difference((values, whose), other, 0.95) == Unclear(reason)


def test_a_difference_of_quantiles_is_treatment_less_control():
    one = latencies(1, True)
    other = latencies(2, True)
    arms = [clustered_quantile(*arm, 0.95) for arm in (one, other)]
    assert clustered_quantile_difference(one, other, 0.95) == difference(*arms)
    relative = clustered_quantile_difference(one, other, 0.95, relative=True)
    assert relative.estimate == pytest.approx(arms[1].estimate / arms[0].estimate - 1)


@pytest.mark.parametrize(
    ("values", "whose", "level"),
    [([1.0, math.nan], [1, 2], 0.5), ([1.0], [1, 2], 0.5), ([1.0], [1], 1.0)],
)
def test_a_quantile_of_what_is_no_number_is_refused(values, whose, level):
    with pytest.raises(Refused, match="finite values"):
        clustered_quantile(values, whose, level)


# --- the sequence ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [-1, 1])
@given(
    st.floats(0.01, 0.1),
    st.integers(200, 100_000),
    st.integers(1000, 50_000),
    st.floats(0.001, 0.3),
)
def test_p_is_alpha_where_the_interval_ends(way, error, n, n_star, alpha):
    low, high = confidence_sequence(0.0, error, n, alpha, n_star)
    assert sequential_p(high if way > 0 else low, error, n, alpha, n_star) == pytest.approx(alpha)


@pytest.mark.parametrize(("sided", "ratios"), [(2, (1.72, 1.55, 1.60)), (1, (1.92, 1.69, 1.74))])
def test_the_sequence_is_as_much_wider_than_a_fixed_interval_as_the_notes_say(sided, ratios):
    fixed = {2: 1.959964, 1: 1.644854}[sided]
    found = [
        confidence_sequence(0.0, 1.0, n, 0.05, 1000, sided)[1] / fixed for n in (200, 1000, 4000)
    ]
    assert found == pytest.approx(list(ratios), abs=0.005)


@pytest.mark.parametrize(
    "change", [{"standard_error": 0.0}, {"n": 0}, {"n_star": -1}, {"alpha": 1.0}, {"alpha": 0.5}]
)
def test_a_sequence_without_variance_or_level_is_an_error_and_no_number(change):
    good = {"difference": 1.0, "standard_error": 0.1, "n": 100, "alpha": 0.05, "n_star": 1000}
    with pytest.raises(ValueError, match="positive"):
        confidence_sequence(**good | change, sided=1)


@pytest.mark.parametrize(
    ("change", "words"), [({"difference": math.nan}, "finite"), ({"sided": 3}, "expected 1 or 2")]
)
def test_a_sequence_around_nothing_or_with_other_sides_than_two_is_an_error(change, words):
    good = {"difference": 1.0, "standard_error": 0.1, "n": 100, "alpha": 0.05, "n_star": 1000}
    with pytest.raises(ValueError, match=words):
        confidence_sequence(**good | change)


def test_no_number_has_no_p():
    with pytest.raises(ValueError, match="finite"):
        sequential_p(math.nan, 0.1, 100, 0.05, 1000)


# --- the sample ratio -----------------------------------------------------------------------------


shares = st.lists(st.floats(0.05, 1), min_size=2, max_size=4)


@given(shares, st.data())
def test_the_bayes_factor_is_a_martingale(widths, data):
    """What the next unit is expected to make of it is what it is."""
    counts = data.draw(st.lists(st.integers(0, 300), min_size=len(widths), max_size=len(widths)))
    now, _ = srm_sequential(counts, widths, 100)
    after = 0.0
    for arm, width in enumerate(widths):
        grown = [count + (place == arm) for place, count in enumerate(counts)]
        after += width / sum(widths) * math.exp(srm_sequential(grown, widths, 100)[0] - now)
    assert after == pytest.approx(1.0)


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_an_arm_without_a_share_changes_nothing(one, other, none):
    for concentration in (100, (40.0, 60.0)):
        three = (*concentration, 5.0) if isinstance(concentration, tuple) else concentration
        found = srm_sequential([one, other, none], [0.4, 0.6, 0], three)
        assert found == pytest.approx(srm_sequential([one, other], [0.4, 0.6], concentration))
    assert srm_chi_square([one, other, none], [2, 3, 0]) == srm_chi_square([one, other], [2, 3])


def looks(chance: float, runs: int, seed: int) -> np.ndarray:
    """The treatment's units after each 100 of 20 000."""
    return np.random.default_rng(seed).binomial(100, chance, (runs, 200)).cumsum(axis=1)


def smallest_p(treated: np.ndarray, concentration: float) -> float:
    return min(
        srm_sequential([100 * look - int(found), int(found)], [0.5, 0.5], concentration)[1]
        for look, found in enumerate(treated, 1)
    )


def test_arms_without_fault_are_seldom_suspected_however_often_one_looks():
    runs = looks(0.5, 250, seed=1)
    suspected = [is_mismatched(smallest_p(run, 1000), 20_000) for run in runs]
    fixed = [
        any(srm_chi_square([100 * n - int(x), int(x)], [1, 1]) < 0.01 for n, x in enumerate(run, 1))
        for run in runs[:40]
    ]
    assert sum(suspected) <= 2
    assert sum(fixed) >= 3


def test_a_fault_of_three_percent_is_found_about_as_often_as_the_notes_say():
    runs = looks(0.515, 150, seed=2)
    for concentration, power in ((100, 0.75), (1000, 0.82)):
        found = np.mean([smallest_p(run, concentration) < 0.01 for run in runs])
        assert found == pytest.approx(power, abs=0.1)


def test_a_mismatch_needs_a_hundred_units():
    assert is_mismatched(0.0009, 100)
    assert not is_mismatched(0.0009, 99)
    assert not is_mismatched(0.001, 5000)
    assert (concentration_for(10_000), concentration_for(10_001)) == (100, 1000)


def test_where_one_arm_alone_has_a_share_there_is_nothing_to_compare():
    assert srm_chi_square([100, 0], [1, 0]) is None
    assert srm_chi_square([0, 0], [1, 1]) is None
    assert srm_sequential([100, 7], [1, 0], 100) == (
        pytest.approx(0.0, abs=1e-9),
        pytest.approx(1.0),
    )


def test_a_certain_fault_has_p_0_and_no_overflow():
    assert srm_sequential([1_000_000, 0], [0.5, 0.5], 1000)[1] == 0.0
    assert srm_sequential([5_000_000, 5_000_000], [0.5, 0.5], 1000)[1] == 1.0


@pytest.mark.parametrize(
    "arguments",
    [([1, 2], [1], 100), ([1, 2], [0, 0], 100), ([1, 2], [-1, 2], 100), ([-1, 2], [1, 1], 100)],
)
def test_shares_that_are_none_are_refused(arguments):
    with pytest.raises(Refused, match="one share for each count"):
        srm_sequential(*arguments)
    with pytest.raises(Refused, match="concentration"):
        srm_sequential([1, 2], [1, 1], 0)
    with pytest.raises(Refused, match="for 2 arms"):
        srm_sequential([1, 2], [1, 1], [1, 1, 1])


# --- the package ----------------------------------------------------------------------------------


def test_every_statistic_may_be_imported_from_the_room_of_experiments():
    folder = Path(statistics.__path__[0])
    beside = {
        "extrapolation",
        "groups",
        "histogram",
        "intervals",
        "reasons",
        "sampling",
        "search_counts",
        "shifts",
        "spans",
        "traffic_sketch",
        "__init__",
    }
    assert {path.stem for path in folder.glob("*.py")} - beside == set(experiments._STATISTICS)
    for names in experiments._STATISTICS.values():
        assert all(hasattr(experiments, name) for name in names)
    assert experiments.compare is comparison.compare
    assert experiments.rbo_ext is ranking.rbo_ext
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        experiments.nothing  # noqa: B018 - the access is the test


def test_whoever_only_assigns_users_loads_no_scipy():
    told = (
        "import sys, qdrant_rollouts.core.config.index_file; from qdrant_rollouts.core.experiments "
        "import assign; "
    )
    told += "print('scipy' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", told],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "False\n"
