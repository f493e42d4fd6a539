"""The test of interleaving: known answers, the laws of docs/notes/experiments.md section 11, and
what it finds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.statistics.preference import (
    e_process,
    measure_preference,
    preference_share,
    vote_of_user,
    win_rate_interval,
)

counts = st.integers(0, 5000)
sizes = st.sampled_from([1.0, 10.0, 100.0])


@pytest.mark.parametrize(
    ("wins", "losses", "a", "e", "digits"),
    [(9, 1, 1, 1024 / 110, 5e-7), (10, 0, 1, 1024 / 11, 5e-7), (600, 500, 100, 18.46664, 5e-6)],
)
def test_k14_the_e_process_is_that_of_the_closed_form(wins, losses, a, e, digits):
    assert e_process(wins, losses, a) == pytest.approx(e, abs=digits, rel=0)
    assert math.exp(measure_preference(wins, losses, a).log_e) == pytest.approx(
        e, abs=digits, rel=0
    )


@given(counts, counts, sizes)
def test_the_next_fair_toss_leaves_the_evidence_what_it_is_on_average(wins, losses, a):
    now = measure_preference(wins, losses, a).log_e
    ahead = np.logaddexp(
        measure_preference(wins + 1, losses, a).log_e, measure_preference(wins, losses + 1, a).log_e
    ) - math.log(2)
    assert ahead == pytest.approx(now, abs=1e-7)


@given(counts, counts, sizes)
def test_swapping_the_arms_keeps_the_evidence_and_turns_the_direction(wins, losses, a):
    there = measure_preference(wins, losses, a)
    back = measure_preference(losses, wins, a)
    assert there.log_e == pytest.approx(back.log_e, abs=1e-9)
    assert there.direction == -back.direction


@given(sizes)
def test_nothing_seen_is_no_evidence(a):
    found = measure_preference(0, 0, a)
    assert (found.log_e, found.p, found.rejects, found.direction) == (0.0, 1.0, False, 0)


def test_it_rejects_from_one_over_alpha_on_and_says_who_wins():
    assert not measure_preference(9, 1, a=1, alpha=0.05).rejects
    assert measure_preference(9, 1, a=1, alpha=0.11).rejects
    assert not measure_preference(600, 500).rejects
    assert measure_preference(600, 500, alpha=1 / 18.4).rejects
    assert measure_preference(700, 500).direction == 1
    assert measure_preference(500, 700).direction == -1
    assert measure_preference(600, 500).p == pytest.approx(1 / 18.46664, rel=1e-6)


@given(counts, counts, sizes)
def test_one_half_is_outside_the_interval_exactly_where_it_rejects(wins, losses, a):
    low, high = win_rate_interval(wins, losses, a)
    assert 0 <= low <= high <= 1
    assert (low > 0.5 or high < 0.5) == measure_preference(wins, losses, a).rejects
    mirrored = win_rate_interval(losses, wins, a)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_the_interval_is_everything_before_anything_is_seen_and_shrinks_to_the_rate():
    assert win_rate_interval(0, 0) == (0.0, 1.0)
    assert win_rate_interval(54_000, 46_000) == pytest.approx((0.54, 0.54), abs=0.01)


def walks(rate: float, runs: int, users: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    wins = (np.random.default_rng(seed).random((runs, users)) < rate).cumsum(axis=1)
    return wins, np.arange(1, users + 1) - wins


def log_e(wins: np.ndarray, losses: np.ndarray, a: float = 100) -> np.ndarray:
    """The formula of the notes once more, on arrays; the next test ties it to the function."""
    return (
        special.betaln(a + wins, a + losses) - special.betaln(a, a) + (wins + losses) * math.log(2)
    )


def test_the_simulated_evidence_is_the_functions():
    wins, losses = walks(0.52, 3, 400, seed=1)
    for one, other in zip(wins.flat, losses.flat, strict=True):
        assert float(log_e(one, other)) == pytest.approx(
            measure_preference(int(one), int(other)).log_e, abs=1e-9
        )


def test_a_look_after_each_of_3000_users_errs_no_more_than_it_says():
    wins, losses = walks(0.5, 2000, 3000, seed=10)
    errs = float(np.mean((log_e(wins, losses) >= math.log(20)).any(axis=1)))
    assert 0.01 < errs <= 0.05


def test_a_win_share_of_54_percent_is_nearly_always_found_in_3000_users():
    wins, losses = walks(0.54, 2000, 3000, seed=11)
    crossed = log_e(wins, losses) >= math.log(20)
    assert float(np.mean(crossed.any(axis=1))) == pytest.approx(0.945, abs=0.02)
    first = crossed.argmax(axis=1)[crossed.any(axis=1)]
    rows = np.flatnonzero(crossed.any(axis=1))
    assert float(np.mean(wins[rows, first] > losses[rows, first])) > 0.999


def test_the_interval_holds_the_truth_at_all_looks_at_once():
    wins, losses = walks(0.54, 300, 1500, seed=12)
    looks = np.arange(49, 1500, 50)
    missed = 0
    for won, lost in zip(wins[:, looks], losses[:, looks], strict=True):
        intervals = [win_rate_interval(int(w), int(n)) for w, n in zip(won, lost, strict=True)]
        missed += not all(low <= 0.54 <= high for low, high in intervals)
    assert missed / 300 <= 0.05


@pytest.mark.parametrize(
    ("wins", "ties", "losses", "said"),
    [(10, 0, 0, 0.5), (0, 0, 3, -0.5), (30, 40, 10, 0.125), (0, 9, 0, 0.0)],
)
def test_a_tie_is_half_a_user(wins, ties, losses, said):
    assert preference_share(wins, ties, losses) == pytest.approx(said)


def test_nobody_has_no_share():
    assert preference_share(0, 0, 0) is None


@pytest.mark.parametrize(("signs", "vote"), [([1, 1, -1], 1), ([-1, 0], -1), ([1, -1], 0), ([], 0)])
def test_a_user_votes_once_however_often_they_search(signs, vote):
    assert vote_of_user(signs) == vote


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda: measure_preference(-1, 0), "-1 wins is below 0"),
        (lambda: measure_preference(math.nan, 1), "nan wins is no number"),
        (lambda: measure_preference(0, -2), "-2 losses is below 0"),
        (lambda: measure_preference(1, 1, a=0), "a = 0 is not"),
        (lambda: measure_preference(1, 1, a=math.inf), "a = inf is not"),
        (lambda: measure_preference(1, 1, alpha=1), "alpha = 1 is not"),
        (lambda: win_rate_interval(1, 1, alpha=math.nan), "alpha = nan is not"),
        (lambda: preference_share(1, -1, 1), "-1 ties is below 0"),
    ],
)
def test_what_is_no_count_and_no_level_is_refused(asked, words):
    with pytest.raises(Refused, match=words):
        asked()
