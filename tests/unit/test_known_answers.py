"""The statistics of experiments against answers known from elsewhere (docs/notes/experiments.md
section 12).

K22 stands in test_experiments.py; K23, K25 and K26, which are of ranked lists and paired outcomes,
in test_measures.py.
"""

import math

import numpy as np
import pytest
from scipy import stats

from qdrant_rollouts.core.statistics.balance import srm_chi_square, srm_sequential
from qdrant_rollouts.core.statistics.moments import Moments, Unclear, relative_difference
from qdrant_rollouts.core.statistics.multiplicity import adjust, holm
from qdrant_rollouts.core.statistics.sequence import confidence_sequence, sequential_p
from qdrant_rollouts.core.statistics.sums import Sums, delta_ratio, mean_from_sums
from qdrant_rollouts.core.statistics.welch import welch_from_moments


def digits(text: str) -> object:
    """The number as printed, to half a unit of its last digit."""
    return pytest.approx(
        float(text), rel=0, abs=0.5 * 10.0 ** -len(text.partition(".")[2]) * (1 + 1e-9)
    )


CONTROL = (3407, 1396.87, 52377.9767)
TREATMENT = (3461, 2422.7, 134698.29)


@pytest.mark.parametrize(
    ("counts", "shares", "p"),
    [
        ([1000, 1200], [0.5, 0.5], ".000020079"),
        ([135, 115], [0.5, 0.5], ".205903211"),
        ([310, 98], [0.75, 0.25], ".647434186"),
        ([500, 500, 600], [0.34, 0.33, 0.33], ".000592638"),
        ([0, 10, 10], [0.34, 0.33, 0.33], ".005790624"),
        ([1000, 1200, 900], [0.5, 0.5, 0], ".000020079"),
        ([500, 500], [0.5, 0.5], "1"),
    ],
)
def test_k1_the_sample_ratio_has_the_published_p(counts, shares, p):
    assert srm_chi_square(counts, shares) == digits(p)


@pytest.mark.parametrize(
    ("relative", "difference", "error", "low", "high", "p"),
    [
        (False, ".29", ".12478", ".04538", ".53462", ".02016"),
        (True, ".70732", ".37879", "-.03526", "1.44989", ".06191"),
    ],
)
def test_k2_welch_gives_the_published_interval(relative, difference, error, low, high, p):
    found = welch_from_moments(
        mean_from_sums(*CONTROL), mean_from_sums(*TREATMENT), relative=relative
    )
    assert (found.difference, found.standard_error) == (digits(difference), digits(error))
    assert (found.low, found.high, found.p) == (digits(low), digits(high), digits(p))


def test_k3_two_proportions_have_the_published_relative_effect():
    one, other = (Moments(n, s / n, s / n * (1 - s / n) / n) for s, n in ((14, 28), (16, 30)))
    found = welch_from_moments(one, other, relative=True)
    assert (found.difference, found.standard_error) == (digits(".06667"), digits(".2717"))
    assert (found.low, found.high, found.p) == (
        digits("-.47767"),
        digits(".61101"),
        digits(".80707"),
    )


def test_k4_the_sequence_gives_the_published_interval():
    control = mean_from_sums(3000, *CONTROL[1:])
    treatment = mean_from_sums(*TREATMENT)
    effect = relative_difference(control, treatment)
    look = effect.estimate, math.sqrt(effect.variance), 3000 + 3461, 0.05, 1000
    assert effect.estimate == digits(".50336")
    assert confidence_sequence(*look) == (digits("-.55844"), digits("1.56516"))
    assert sequential_p(*look) == 1


def test_k7_the_normal_mixture_is_the_published_one():
    low, high = confidence_sequence(0.1, 0.1, 100, 0.05, 100)
    assert (high - low) / 2 * 100 == digits("30.35209")
    # ln(1/p) is below 0 here, so p is capped; without the cap, where the evidence is stronger, p
    # itself is told
    assert sequential_p(0.1, 0.1, 100, 0.05, 100) == 1
    squared = 100 / 12.60056 / 100
    k = 100 * squared
    gained = (0.6**2 - 0.1**2) / 0.1**2 / 2 * k / (k + 1)
    assert -math.log(sequential_p(0.6, 0.1, 100, 0.05, 100)) - gained == pytest.approx(
        -0.6510052, abs=1e-6
    )


def test_k8_impossible_sums_and_an_empty_control_have_a_reason_and_no_number():
    impossible = mean_from_sums(2, 1396.87, 52377.9767)
    assert impossible == Unclear("variance_not_positive")
    assert welch_from_moments(impossible, mean_from_sums(*TREATMENT)) == impossible
    nothing = Moments(3000, 0.0, 0.01)
    assert welch_from_moments(nothing, mean_from_sums(*TREATMENT), relative=True) == Unclear(
        "control_not_positive"
    )


def test_k10_a_ratio_has_the_variance_worked_out_by_hand_in_both_forms():
    clicks = np.array([1.0, 0, 3, 2, 0, 4])
    queries = np.array([2.0, 1, 5, 4, 3, 5])
    found = delta_ratio(Sums.of(clicks, queries))
    assert (found.estimate, found.variance, math.sqrt(found.variance)) == (
        0.5,
        digits(".015"),
        digits(".1224745"),
    )
    residuals = np.var(clicks - found.estimate * queries, ddof=1)
    assert residuals / (6 * queries.mean() ** 2) == pytest.approx(found.variance)


def test_k12_the_bayes_factor_is_the_difference_of_the_published_marginals():
    log_factor, p = srm_sequential([20, 17, 9], [0.4, 0.4, 0.2], [1, 1, 1])
    assert log_factor == pytest.approx(-7.028201432058012 + 4.0776406466061985, abs=1e-12)
    assert p == 1


def test_k15_welch_is_that_of_the_scipy_documentation():
    found = welch_from_moments(Moments(11, 12, 39 / 11), Moments(13, 15, 87.5 / 13))
    assert (found.difference / found.standard_error, found.p) == (
        digits(".93584619"),
        digits(".35999819"),
    )


def test_k15_and_k16_hold_for_the_scipy_that_is_installed():
    pooled = stats.ttest_ind_from_stats(15, math.sqrt(87.5), 13, 12, math.sqrt(39), 11)
    assert (pooled.statistic, pooled.pvalue) == (digits(".90513581"), digits(".37519968"))
    ranks = stats.mannwhitneyu([19, 22, 16, 29, 24], [20, 11, 17, 12], method="exact")
    assert (ranks.statistic, ranks.pvalue) == (17, digits(".11111"))


def test_k16_a_die_is_as_even_as_scipy_says():
    assert srm_chi_square([16, 18, 16, 14, 12, 12], [1 / 6] * 6) == digits(".84914504")


def test_k17_secondary_metrics_are_corrected_as_statsmodels_does():
    assert adjust([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_k17_several_primaries_are_corrected_as_statsmodels_does_by_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_a_metric_without_a_number_is_not_counted_among_the_secondary_ones():
    assert adjust([0.01, None, 0.04, 0.03, None, 0.005]) == pytest.approx(
        [0.02, None, 0.04, 0.04, None, 0.02]
    )
    assert adjust([None, None]) == [None, None]
    assert adjust([]) == []
