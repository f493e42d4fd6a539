"""How many users and days: known answers and laws (docs/notes/experiments.md sections 8 and 12)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.statistics.planning import (
    days,
    days_left,
    detectable,
    detectable_in_sequence,
    diluted_users,
    n_star,
    users_for_mean,
    users_for_rate,
)

some = st.floats(0.01, 100)


def test_k18_plans_are_those_of_the_notes():
    assert users_for_mean(1.0, 0.1) == pytest.approx(1569.776, abs=5e-4)
    assert users_for_rate(0.10, 0.11) == pytest.approx(14748.045, abs=5e-4)


def test_a_planned_experiment_finds_its_effect_as_often_as_planned():
    rng = np.random.default_rng(8)
    n = math.ceil(users_for_mean(3.0, 0.5))
    found = 0
    for _ in range(1500):
        a = rng.normal(10, 3, n)
        b = rng.normal(10.5, 3, n)
        found += abs(b.mean() - a.mean()) > 1.959964 * math.sqrt(
            a.var(ddof=1) / n + b.var(ddof=1) / n
        )
    assert found / 1500 == pytest.approx(0.8, abs=0.035)


@given(some, some)
def test_only_the_effect_in_standard_deviations_counts_and_not_its_sign(deviation, effect):
    assert users_for_mean(deviation, effect) == pytest.approx(
        users_for_mean(1, -effect / deviation)
    )


@given(some)
def test_half_the_effect_needs_four_times_the_users(effect):
    assert users_for_mean(1, effect / 2) == pytest.approx(4 * users_for_mean(1, effect))


@given(st.integers(0, 9))
def test_each_guardrail_may_miss_with_its_part_only(guardrails):
    alone = users_for_mean(1, 0.1, power=1 - 0.2 / (guardrails + 1))
    assert users_for_mean(1, 0.1, power=0.8, guardrails=guardrails) == pytest.approx(alone)
    assert users_for_rate(0.1, 0.2, guardrails=guardrails) <= users_for_rate(
        0.1, 0.2, guardrails=guardrails + 1
    )


def test_two_primaries_at_half_the_level_need_more():
    assert users_for_mean(1, 0.1, alpha=0.025) == pytest.approx(200 * (2.241403 + 0.841621) ** 2)


def test_the_sequence_is_made_for_one_and_three_quarters_of_both_arms():
    assert n_star(1000) == 3500
    assert n_star(1569.776) == 5495


def test_what_can_be_found_now_is_what_was_planned_for():
    n = users_for_mean(3.0, 0.5)
    assert detectable(3.0 * math.sqrt(2 / n)) == pytest.approx(0.5)
    assert detectable(1.0) == pytest.approx(2.80, abs=0.005)
    assert detectable_in_sequence(1.0, 3.0) == pytest.approx(3.842, abs=5e-4)


def test_a_tenth_of_the_users_affected_needs_a_hundred_times_as_many():
    assert diluted_users(1500, 0.1) == pytest.approx(150_000)
    assert diluted_users(1500, 1) == 1500


def test_days_are_users_over_users_per_day():
    assert days(3500, 1000) == 3.5


def test_an_interval_twice_too_wide_needs_three_times_the_days_already_gone():
    assert days_left(7, half_width=0.2, target=0.1) == pytest.approx(21)
    assert days_left(7, half_width=0.1, target=0.1) == 0
    assert days_left(7, half_width=0.05, target=0.1) == 0


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda: users_for_mean(1, 0), "effect of 0 cannot"),
        (lambda: users_for_mean(1, math.nan), "effect of nan cannot"),
        (lambda: users_for_mean(0, 0.1), "standard deviation of 0 is not"),
        (lambda: users_for_mean(math.inf, 0.1), "standard deviation of inf is not"),
        (lambda: users_for_mean(1, 0.1, alpha=0), "alpha 0 is not"),
        (lambda: users_for_mean(1, 0.1, power=1), "power 1 is not"),
        (lambda: users_for_mean(1, 0.1, power=0.2), "power 0.2 is not"),
        (lambda: users_for_mean(1, 0.1, guardrails=-1), "-1 guardrails is below 0"),
        (lambda: users_for_rate(0.1, 0.1), "effect of 0 cannot"),
        (lambda: users_for_rate(1.2, 0.1), "control's rate of 1.2 is not from 0 to 1"),
        (lambda: users_for_rate(0.1, -0.1), "treatment's rate of -0.1 is not from 0 to 1"),
        (lambda: n_star(0), "users per arm of 0 is not"),
        (lambda: diluted_users(100, 0), "share of 0 affected"),
        (lambda: diluted_users(100, 1.5), "share of 1.5 affected"),
        (lambda: detectable(0), "standard error of 0 is not"),
        (lambda: detectable_in_sequence(1, math.inf), "half an interval's width of inf is not"),
        (lambda: days(100, 0), "users per day of 0 is not"),
        (lambda: days_left(3, 0.1, 0), "target of 0 is not"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_value_and_the_next_act(asked, words):
    with pytest.raises(Refused, match=f"{words}.*: "):
        asked()
