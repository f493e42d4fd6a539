"""The formulas of the gate, compared with answers from elsewhere or computed by hand."""

import itertools
import math
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from qdrant_rollouts.core.statistics.intervals import (
    Interval,
    judge_side,
    mean_interval,
    paired_interval,
    ratio_of_percentiles,
    share_interval,
)
from qdrant_rollouts.core.statistics.ranking import (
    average_precision,
    expected_holes,
    expected_ndcg,
    expected_recall,
    expected_reciprocal_rank,
    found_of_best,
    hits_at_least,
    hole_share,
    ndcg,
    precision,
    rbo_ext,
    recall,
    reciprocal_rank,
    settle_ties,
    top_overlap,
)
from qdrant_rollouts.core.statistics.shifts import chance_floor, ks_distance, mcnemar_greater

# K23 of experiments.md, section 12 (AmenRa/ranx, terrierteam/ir_measures, by hand)
GRADES = {"q1": {"d1": 3, "d2": 2, "d3": 1, "d9": 3}, "q2": {"d4": 1}}
RUN = {"q1": ["d1", "d5", "d2", "d6", "d3"], "q2": ["d7", "d8", "d4"]}

finite = st.floats(-1e6, 1e6)
lists = st.lists(st.integers(0, 20), max_size=15, unique=True)


def over_all(measure, run):
    """How a caller averages: over the judged queries, so that one missing from the run counts as
    0."""
    return sum(measure(run.get(query, []), grades) for query, grades in GRADES.items()) / len(
        GRADES
    )


# --- one ranked list ------------------------------------------------------------------------------


def test_a_run_has_the_ndcg_with_linear_gain_that_other_libraries_give():
    assert over_all(ndcg, RUN) == pytest.approx(0.5968709195992397, abs=5e-17, rel=1e-15)


def test_with_gains_of_two_to_the_grade_it_has_the_other_published_ndcg():
    def exponential(found, grades):
        return ndcg(found, {id: 2**grade - 1 for id, grade in grades.items()})

    assert over_all(exponential, RUN) == pytest.approx(0.5829111313875495, abs=5e-17, rel=1e-15)


def test_a_run_has_the_reciprocal_rank_and_recall_that_other_libraries_give():
    assert over_all(reciprocal_rank, RUN) == pytest.approx(0.6666667, abs=5e-8)
    assert over_all(lambda found, grades: recall(found, grades, k=10), RUN) == pytest.approx(
        0.875, abs=5e-4
    )


def test_a_run_has_the_precision_and_average_precision_that_other_libraries_give():
    assert over_all(average_precision, RUN) == pytest.approx(0.45, abs=5e-16)
    assert over_all(lambda found, grades: precision(found, grades, k=5), RUN) == pytest.approx(
        0.4, abs=5e-16
    )
    with pytest.raises(ValueError, match="no relevant document"):
        average_precision(["d1"], {"d1": 0})


@pytest.mark.parametrize("measure", [ndcg, reciprocal_rank, recall])
def test_a_judged_query_missing_from_the_run_counts_as_nothing_found(measure):
    assert over_all(measure, {"q2": ["d4"]}) == 0.5


def test_a_document_found_twice_counts_once_and_takes_no_second_rank():
    grades = {1: 1.0, 2: 1.0}
    assert ndcg([1, 1, 2], grades) == ndcg([1, 2], grades) == 1.0
    assert ndcg([1, 1], grades, k=2) < 1.0
    assert reciprocal_rank([9, 9, 1], grades) == 0.5
    assert recall([1, 1, 2], grades, k=2) == 1.0
    assert hole_share([1, 1, 9], grades) == 0.5


def test_what_lies_below_the_depth_is_not_seen():
    found = [7, 8, 1]
    grades = {1: 1.0}
    assert (
        ndcg(found, grades, k=2)
        == reciprocal_rank(found, grades, k=2)
        == recall(found, grades, k=2)
        == 0.0
    )
    assert hole_share([1, 8, 9], grades, k=1) == 0.0


def test_the_ideal_holds_no_more_documents_than_the_depth():
    assert ndcg([1, 2], {1: 1.0, 2: 1.0, 3: 1.0}, k=2) == 1.0


def test_a_grade_of_nothing_or_less_is_not_relevant():
    grades = {1: 0.0, 2: -2.0, 3: 1.0}
    assert ndcg([2, 1, 3], grades) == pytest.approx(0.5)
    assert reciprocal_rank([1, 2, 3], grades) == pytest.approx(1 / 3)
    assert recall([1, 2], grades) == 0.0


@pytest.mark.parametrize("measure", [ndcg, recall])
def test_without_a_relevant_document_there_is_no_measure(measure):
    with pytest.raises(ValueError, match="no relevant document"):
        measure([1], {1: 0.0})


def test_a_grade_of_nothing_is_a_judgment_and_no_hole():
    assert hole_share([1, 2, 3, 4], {1: 1.0, 2: 0.0}) == 0.5
    assert hole_share([], {1: 1.0}) == 0.0


# --- two ranked lists -----------------------------------------------------------------------------


def test_the_overlap_is_a_share_of_the_longer_list():
    assert top_overlap([1, 2, 3, 4], [4, 3, 8, 9]) == 0.5
    assert top_overlap([1, 2, 3, 4], [1, 2]) == 0.5
    assert top_overlap([1, 2, 9], [3, 4, 9], k=2) == 0.0
    assert top_overlap([], [1]) == 0.0
    assert top_overlap([], []) == 1.0


def test_rank_biased_overlap_is_what_the_hand_works_out():
    # X = 0, 2 at depths 1 and 2: (2/2)(.25) + (.5/.5)(0 * .5 + 2/2 * .25)
    assert rbo_ext([1, 2], [2, 1], p=0.5) == pytest.approx(0.5)
    # X = 0, 1, 2, 4, 5 at the depths: .59049 + (.1/.9)(.405 + .486 + .6561 + .59049)
    assert rbo_ext([1, 2, 3, 4, 5], [2, 3, 4, 1, 5]) == pytest.approx(0.828)
    # X = 1, 1: (1/2)(.25) + 1 * (.5 + 1/2 * .25): the shorter list finds nothing at rank 2
    assert rbo_ext([1, 2], [1], p=0.5) == pytest.approx(0.75)


def test_rank_biased_overlap_weighs_early_ranks_more():
    late = [1, 2, 3, 9]
    early = [9, 2, 3, 4]
    assert rbo_ext([1, 2, 3, 4], late) > rbo_ext([1, 2, 3, 4], early)


@pytest.mark.parametrize(("k", "p"), [(0, 0.9), (-1, 0.9), (10, 0.0), (10, 1.0), (10, math.nan)])
def test_overlap_to_no_depth_or_with_a_weight_that_is_none_is_refused(k, p):
    with pytest.raises(ValueError, match="take k from 1 up, and p between 0 and 1"):
        rbo_ext([1, 2], [2, 1], k, p)


def test_rank_biased_overlap_stops_at_the_depth():
    assert rbo_ext([1, 2, 3], [1, 2, 4], k=2) == pytest.approx(1.0)
    assert rbo_ext([], []) == 1.0
    assert rbo_ext([], [1]) == 0.0


@given(lists, lists)
def test_agreement_is_symmetric_and_between_none_and_all(one, other):
    for measure in (top_overlap, rbo_ext):
        assert measure(one, other) == measure(other, one)
        assert -1e-12 <= measure(one, other) <= 1 + 1e-12
        assert measure(one, one) == pytest.approx(1.0)


# --- recall with ties -----------------------------------------------------------------------------


def test_another_document_with_the_same_score_is_a_hit():
    assert hits_at_least([0.9, 0.8, 0.8], [0.9, 0.8, 0.8], k=2) == 1.0
    assert hits_at_least([0.9, 0.8 - 5e-7], [0.9, 0.8], k=2) == 1.0
    assert hits_at_least([0.9, 0.8 - 5e-6], [0.9, 0.8], k=2) == 0.5


def test_the_tolerance_grows_with_large_scores_only():
    assert hits_at_least([1000.0 - 5e-4], [1000.0]) == 1.0
    assert hits_at_least([1e-3 - 5e-7], [1e-3]) == 1.0
    assert hits_at_least([1000.0 - 5e-3], [1000.0]) == 0.0


def test_for_distances_the_nearer_is_the_hit():
    assert hits_at_least([0.1, 0.2, 0.9], [0.1, 0.2, 0.3], k=3, rising=False) == pytest.approx(
        2 / 3
    )
    assert hits_at_least([0.1, 0.2, 0.9], [0.3, 0.2, 0.1], k=3) == 1.0


def test_fewer_exact_hits_than_the_depth_are_all_there_is_to_find():
    assert hits_at_least([0.9, 0.8, 0.8], [0.9, 0.8]) == 1.0
    assert hits_at_least([0.9], [0.9, 0.8]) == 0.5
    assert hits_at_least([], [0.9]) == 0.0
    assert hits_at_least([0.5], []) == 1.0


def test_hits_beyond_the_depth_do_not_help():
    assert hits_at_least([0.1, 0.9, 0.9], [0.9, 0.9], k=2) == 0.5


def test_an_exact_score_that_is_no_number_says_nothing():
    assert math.isnan(hits_at_least([0.9, 0.8], [0.9, math.nan]))
    assert hits_at_least([0.9, math.nan], [0.9, 0.8]) == 0.5


# --- intervals ------------------------------------------------------------------------------------


def test_the_interval_of_a_mean_is_what_the_hand_works_out():
    found = mean_interval([1.0, 2.0, 3.0])
    assert (found.value, found.low, found.high) == pytest.approx(
        (2.0, 2 - 1.645 / 3**0.5, 2 + 1.645 / 3**0.5)
    )


@pytest.mark.parametrize("value", [1.0, 0.95, 0.1])
@pytest.mark.parametrize(
    "interval", [mean_interval, lambda values: paired_interval(values, seed=1)]
)
def test_equal_values_have_an_interval_of_no_width_and_meet_their_own_value_as_a_bound(
    interval, value
):
    found = interval([value] * 300)
    assert found == Interval(value, value, value)
    assert judge_side(found, value) == judge_side(found, value, at_least=False) == "pass"


@pytest.mark.parametrize(
    "interval", [mean_interval, lambda values: paired_interval(values, seed=1)]
)
def test_a_single_value_says_nothing_of_its_spread(interval):
    assert interval([0.7]) == Interval(0.7, -math.inf, math.inf)


@pytest.mark.parametrize(
    "interval", [mean_interval, lambda values: paired_interval(values, seed=1)]
)
def test_without_values_there_is_no_interval(interval):
    with pytest.raises(ValueError, match="no values"):
        interval([])


@given(st.lists(finite, min_size=2, max_size=30))
def test_a_mean_lies_within_its_interval(values):
    found = mean_interval(values)
    assert found.low <= found.value <= found.high


def test_paired_differences_have_an_interval_near_the_normal_one():
    differences = np.random.default_rng(3).normal(0.02, 0.1, 300)
    ours = paired_interval(differences, seed=1)
    normal = mean_interval(differences)
    assert ours.value == pytest.approx(normal.value)
    assert (ours.low, ours.high) == pytest.approx((normal.low, normal.high), abs=0.002)


def test_the_same_seed_gives_the_same_interval():
    differences = list(np.random.default_rng(3).normal(0, 0.1, 40))
    assert paired_interval(differences, seed=1) == paired_interval(differences, seed=1)
    assert paired_interval(differences, seed=1) != paired_interval(differences, seed=2)


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.0, 0.5]), min_size=2, max_size=8))
def test_few_or_lopsided_differences_have_a_finite_interval(differences):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = paired_interval(differences, seed=1)
    assert math.isfinite(found.low)
    assert found.low <= found.high


def test_differences_too_small_for_bca_have_the_plain_interval_and_no_warning():
    # The squares and cubes that BCa takes of them are all 0.
    assert paired_interval([0.0, 1e-200], seed=1) == Interval(5e-201, 0.0, 1e-200)


def test_a_difference_that_is_no_number_decides_nothing():
    for made in (
        paired_interval([0.1, math.nan, 0.2], seed=1),
        mean_interval([0.1, math.nan, 0.2]),
        mean_interval([math.nan] * 3),
    ):
        assert math.isnan(made.value)
        assert judge_side(made, 0.0) == judge_side(made, 0.0, at_least=False) == "inconclusive"


def test_a_share_has_wilsons_interval():
    # 8 of 10 at z = 1.96: .4901625, .9433178 (R: binom::binom.confint, method "wilson")
    found = share_interval(8, 10, z=1.959963985)
    assert (found.value, found.low, found.high) == pytest.approx(
        (0.8, 0.4901625, 0.9433178), abs=5e-8
    )


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_within_its_interval_and_that_between_none_and_all(counted):
    hits, n = counted
    found = share_interval(hits, n)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0


@pytest.mark.parametrize("n", [1, 3, 7, 49, 300, 598])
def test_all_hits_are_not_blocked_by_a_bound_of_all_nor_none_by_a_bound_of_none(n):
    assert judge_side(share_interval(n, n), 1.0) == "inconclusive"
    assert judge_side(share_interval(0, n), 0.0) == "pass"


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (2, 1), (-1, 3)])
def test_what_is_no_share_is_refused(hits, n):
    with pytest.raises(ValueError, match="no share"):
        share_interval(hits, n)


def test_a_side_that_is_slower_throughout_has_that_ratio_and_no_spread():
    live = list(np.random.default_rng(5).lognormal(1, 0.5, 200))
    found = ratio_of_percentiles([1.3 * took for took in live], live, 95, seed=1)
    assert (found.value, found.low, found.high) == pytest.approx((1.3, 1.3, 1.3))


def test_the_ratio_of_percentiles_has_an_interval_around_it_that_the_seed_repeats():
    rng = np.random.default_rng(5)
    new = rng.lognormal(1, 0.5, 300)
    old = rng.lognormal(1, 0.5, 300)
    found = ratio_of_percentiles(new, old, 50, seed=1, resamples=500)
    assert found.value == pytest.approx(np.median(new) / np.median(old))
    assert found.low < found.value < found.high
    assert found == ratio_of_percentiles(new, old, 50, seed=1, resamples=500)


def test_a_ratio_to_nothing_or_without_pairs_is_refused():
    with pytest.raises(ValueError, match="is 0"):
        ratio_of_percentiles([1.0, 2.0], [0.0, 0.0], 50, seed=1)
    with pytest.raises(ValueError, match="no pairs"):
        ratio_of_percentiles([1.0, 2.0], [1.0], 50, seed=1)
    with pytest.raises(ValueError, match="no values"):
        ratio_of_percentiles([], [], 50, seed=1)


def test_a_ratio_that_resampling_divides_by_nothing_decides_nothing():
    found = ratio_of_percentiles([1.0, 1.0, 1.0], [0.0, 1.0, 1.0], 50, seed=1)
    assert found.value == 1.0
    assert judge_side(found, 1.1, at_least=False) == "inconclusive"


# --- the side of a bound --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "at_least", "verdict"),
    [
        (0.5, 0.7, True, "pass"),
        (0.4, 0.5, True, "inconclusive"),
        (0.3, 0.49, True, "block"),
        (0.3, 0.5, False, "pass"),
        (0.5, 0.7, False, "inconclusive"),
        (0.51, 0.7, False, "block"),
        (0.4, 0.6, True, "inconclusive"),
        (0.4, 0.6, False, "inconclusive"),
    ],
)
def test_the_whole_interval_must_meet_or_miss_the_bound(low, high, at_least, verdict):
    assert judge_side(Interval((low + high) / 2, low, high), 0.5, at_least=at_least) == verdict


@given(st.tuples(*[st.sampled_from([-math.inf, 0.0, 1.0, math.inf, math.nan])] * 3), st.booleans())
def test_what_is_not_finite_neither_passes_nor_blocks(numbers, at_least):
    if not all(map(math.isfinite, numbers)):
        assert judge_side(Interval(*numbers), 0.5, at_least=at_least) == "inconclusive"


def test_a_bound_that_is_no_number_is_neither_met_nor_missed():
    assert judge_side(Interval(0.5, 0.5, 0.5), math.nan) == "inconclusive"


# --- shifts ---------------------------------------------------------------------------------------


def test_the_distance_of_distributions_is_the_largest_gap():
    assert ks_distance([1, 2, 3], [1, 2, 3]) == 0.0
    assert ks_distance([1, 2], [3, 4]) == 1.0
    assert ks_distance([1, 2, 3, 4], [3, 4, 5, 6]) == 0.5


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=30),
    st.lists(st.integers(0, 9), min_size=1, max_size=30),
)
def test_the_distance_is_that_of_scipy_with_or_without_ties(one, other):
    with np.errstate(all="ignore"):
        expected = stats.ks_2samp(one, other, method="asymp").statistic
    assert ks_distance(one, other) == pytest.approx(expected, abs=1e-12)


def test_a_sample_with_a_nan_has_no_known_distance():
    assert math.isnan(ks_distance([1.0, math.nan], [1.0, 2.0]))


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_p_of_paired_outcomes_is_that_of_scipy(b, c):
    assume(b + c)
    expected = stats.binomtest(b, b + c, alternative="greater").pvalue
    assert mcnemar_greater(b, c) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("one", "other"), [([], [1.0]), ([1.0], [])])
def test_an_empty_sample_has_no_distance(one, other):
    with pytest.raises(ValueError, match="empty"):
        ks_distance(one, other)


def test_paired_outcomes_have_the_exact_p_that_is_known():
    assert mcnemar_greater(9, 2) == pytest.approx(0.03271484, abs=5e-9)  # K26
    assert mcnemar_greater(2, 9) == pytest.approx(1 - 12 / 2**11)
    assert mcnemar_greater(0, 0) == 1.0
    # K26 from both sides: the coin is fair, so each side alone is half of it
    assert 2 * mcnemar_greater(9, 2) == pytest.approx(0.06542969, abs=5e-9)


def test_the_best_of_so_many_random_directions_reaches_the_floor_once_in_a_hundred_times():
    rng = np.random.default_rng(11)
    unit = rng.normal(size=(500, 64)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    floor = chance_floor((unit[:200] @ unit[200:].T).ravel(), 1000)
    best = [
        float((unit[at] @ (many / np.linalg.norm(many, axis=1, keepdims=True)).T).max())
        for at, many in _crowds(rng)
    ]
    assert 0 <= sum(one >= floor for one in best) <= 6  # of 200, two are expected
    assert chance_floor((unit[:200] @ unit[200:].T).ravel(), 10) < floor


def _crowds(rng):
    return [(at, rng.normal(size=(1000, 64))) for at in range(200)]


def test_what_is_related_after_all_does_not_lift_the_floor():
    rng = np.random.default_rng(3)
    plain = rng.normal(size=10_000)
    some = np.concatenate([plain, np.full(500, 9.0)])
    assert chance_floor(some, 1000) == pytest.approx(chance_floor(plain, 1000), abs=0.2)


@pytest.mark.parametrize(("scores", "size"), [([], 5), ([0.5], 0)])
def test_a_floor_without_scores_or_documents_is_refused(scores, size):
    with pytest.raises(ValueError, match="a floor needs"):
        chance_floor(np.asarray(scores, dtype=np.float32), size)


# --- ties -----------------------------------------------------------------------------------------


def _over_all_orders(measure, found, grades, k):
    """The definition: the mean of the measure over every order of what ties."""
    scores = sorted({score for _, score in found}, reverse=True)
    groups = [[id for id, score in found if score == one] for one in scores]
    orders = [
        list(itertools.chain(*each))
        for each in itertools.product(*map(itertools.permutations, groups))
    ]
    return sum(measure(order, grades, k) for order in orders) / len(orders)


@pytest.mark.parametrize(
    ("expected", "measure"),
    [
        (expected_ndcg, ndcg),
        (expected_reciprocal_rank, reciprocal_rank),
        (expected_recall, recall),
        (expected_holes, hole_share),
    ],
)
@pytest.mark.parametrize("k", [1, 3, 5, 10])
def test_ties_count_as_the_mean_over_all_their_orders(expected, measure, k):
    rng = np.random.default_rng(8)
    for _ in range(30):
        ids = rng.permutation(8)[:6].tolist()
        found = [
            (id, score)
            for id, score in zip(
                ids, sorted(rng.integers(1, 4, 6).tolist(), reverse=True), strict=True
            )
        ]
        grades = {
            int(id): float(grade)
            for id, grade in zip(rng.permutation(8)[:4], (2, 1, 1, 0), strict=True)
        }
        assert expected(found, grades, k) == pytest.approx(
            _over_all_orders(measure, found, grades, k)
        )


def test_scores_that_differ_by_a_rounding_tie_and_others_do_not():
    relevant = {1: 1.0}
    assert expected_reciprocal_rank([(0, 0.7), (1, 0.6999999)], relevant) == pytest.approx(0.75)
    assert expected_reciprocal_rank([(0, 0.7), (1, 0.699)], relevant) == 0.5


# --- cost -----------------------------------------------------------------------------------------


def test_ranking_does_not_pay_for_scipy():
    asked = "import sys, core.statistics.ranking; sys.exit('scipy' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", asked], cwd=Path(__file__).parents[2], check=False
        ).returncode
        == 0
    )


def test_a_gate_without_judged_queries_does_not_pay_for_the_statistics_of_scipy():
    asked = (
        "import sys; from qdrant_rollouts.core.statistics import shifts; "
        "shifts.ks_distance([1.0], [2.0]); shifts.mcnemar_greater(1, 0); "
        "sys.exit('scipy.stats' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


# --- ties -----------------------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([0.9, 0.5, 0.5 + 1e-8, 0.1]), min_size=1, max_size=30), st.randoms()
)
def test_equal_scores_in_another_order_and_cut_off_elsewhere_are_no_difference(scores, random):
    ours, theirs = (list(enumerate(scores)) for _ in range(2))
    for found in (ours, theirs):
        random.shuffle(found)
        found.sort(key=lambda one: -round(one[1], 6))
    settled = settle_ties(ours[:11], theirs[:11])
    assert settled == [id for id, _ in theirs[:11]]


@given(
    st.lists(st.integers(0, 20), max_size=11, unique=True),
    st.lists(st.integers(0, 20), max_size=11, unique=True),
)
def test_without_ties_a_list_stays_as_it_is(one, other):
    def scored(ids, by):
        return [(id, 1 - at / 50 - by) for at, id in enumerate(ids)]

    assert settle_ties(scored(one, 0.001), scored(other, 0)) == one


@given(lists, lists)
def test_settled_ties_lose_no_place_and_double_no_item(one, other):
    settled = settle_ties([(id, 0.5) for id in one], [(id, 0.5) for id in other])
    assert len(settled) == len(set(settled)) == len(one)


@pytest.mark.parametrize(
    ("found", "best", "expected"),
    [
        ([(1, 0.9), (2, 0.8)], [(1, 0.9), (2, 0.8)], 1.0),
        ([(1, 0.9), (7, 0.8)], [(1, 0.9), (2, 0.8)], 1.0),  # a tie
        ([(1, 0.9), (7, 0.7)], [(1, 0.9), (2, 0.8)], 0.5),
        ([(1, 34.0), (7, 32.0)], [(1, 0.9), (2, 0.8)], 0.5),  # scores of another scale
        ([(7, 34.0), (8, 32.0)], [(1, 0.9), (2, 0.8)], 0.0),
        ([(7, 0.9), (8, 0.9)], [(1, 0.9), (2, 0.9)], 1.0),  # equal vectors, others of them
        ([(7, 0.5), (8, 0.4)], [(1, 0.9), (2, 0.8)], 0.0),
        ([], [(1, 0.9)], 0.0),
        ([], [], 1.0),
    ],
)
def test_recall_counts_ties_where_scores_are_of_one_scale_and_points_where_they_are_not(
    found: list[tuple[int, float]], best: list[tuple[int, float]], expected: float
) -> None:
    assert found_of_best(found, best, 2) == expected


def test_distances_are_better_where_they_are_less() -> None:
    assert found_of_best([(7, 0.1), (2, 0.3)], [(1, 0.1), (2, 0.3)], 2, rising=False) == 1.0
    assert found_of_best([(7, 0.01), (8, 0.02)], [(1, 0.1), (2, 0.3)], 2, rising=False) == 0.0
