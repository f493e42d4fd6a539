"""One metric of a treatment compared with the control: the result, and how often it is wrong."""

import json
import math
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.trials import METRICS, Arm, Trial, even_looks, first_rejection, fixed_rejects, ramp
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.statistics.comparison import Stratum, compare
from qdrant_rollouts.core.statistics.metric import Metric
from qdrant_rollouts.core.statistics.moments import Moments, Unclear, difference
from qdrant_rollouts.core.statistics.quantiles import clustered_quantile
from qdrant_rollouts.core.statistics.sequence import confidence_sequence, sequential_p
from qdrant_rollouts.core.statistics.sums import Sums

#: Of 500 experiments at alpha .05: 25 and three standard errors.
RUNS = 500
MOST = 39
KINDS = tuple(METRICS)
USERS = {"quantile": 600}

seeds = st.integers(0, 2**32)


def trial(kind: str, **changes) -> Trial:
    users = USERS.get(kind, 1500)
    return Trial(**{"metric": METRICS[kind], "users": users, "looks": even_looks(users)} | changes)


def last(arms: tuple[Arm, Arm], kind: str, **changes):
    found = trial(kind, **changes)
    return found.look(arms, (found.users, found.users))


def numbers(found) -> list[float]:
    return [found.difference, found.standard_error, found.low, found.high, found.p, found.t_test.p]


def stage(control: Moments | Unclear, treatment: Moments | Unclear, weight: float = 500) -> Stratum:
    return Stratum(weight, control, treatment)


def told(metric: Metric, *stages: Stratum, units=(500, 500), **changes):
    return compare(metric, stages, **{"units": units, "n_star": 1000, "alpha": 0.05} | changes)


MEAN = Metric("visits", "mean", "primary", 1, 0.1)


# --- how often it is wrong ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_two_arms_alike_are_told_apart_no_more_often_than_alpha_however_often_one_looks(kind):
    runs = [trial(kind).run(seed) for seed in range(RUNS)]
    assert len(runs[0]) == 28
    assert sum(first_rejection(looks) is not None for looks in runs) <= MOST
    assert sum(fixed_rejects(looks[-1]) for looks in runs) <= MOST
    # The test beside it, which is valid for one planned look only, is wrong far more often when
    # looked at as often.
    assert sum(any(map(fixed_rejects, looks)) for looks in runs) > 2 * MOST


@pytest.mark.parametrize("kind", ["mean", "ratio"])
def test_relative_effects_are_wrong_no_more_often(kind):
    metric = replace(METRICS[kind], relative=True)
    runs = [trial(kind, metric=metric).run(seed) for seed in range(RUNS, 2 * RUNS)]
    assert sum(first_rejection(looks) is not None for looks in runs) <= MOST


@pytest.mark.parametrize("kind", ["proportion", "ratio"])
def test_a_harm_of_just_the_margin_passes_a_guardrail_no_more_often_than_alpha(kind):
    metric = replace(METRICS[kind], role="guardrail", relative=True, margin=0.1)
    runs = [trial(kind, metric=metric, effect=-0.1).run(seed) for seed in range(RUNS)]
    assert sum(any(found.not_worse for found in looks) for looks in runs) <= MOST


def test_a_guardrail_of_arms_alike_is_found_worse_no_more_often_than_alpha():
    metric = replace(METRICS["mean"], role="guardrail")
    runs = [trial("mean", metric=metric).run(seed) for seed in range(RUNS)]
    assert sum(any(found.worse for found in looks) for looks in runs) <= MOST


def test_rare_errors_are_no_alarm():
    """Two arms with one error in 2 000 searches, most looks of which have seen none in one of
    them."""
    metric = Metric("error rate", "ratio", "guardrail", -1, 0.001, binary=True)
    wrong = 0
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        searches = 1 + rng.poisson(3, (2, 2000))
        errors = rng.binomial(searches, 0.0005)
        looks = [
            [metric.estimate(Sums.of(e[:n], s[:n])) for e, s in zip(errors, searches, strict=True)]
            for n in even_looks(2000)
        ]
        wrong += any(
            told(metric, stage(*arms), units=(n, n), n_star=4000).worse
            for n, arms in zip(even_looks(2000), looks, strict=True)
        )
    assert wrong <= MOST


def test_traffic_that_drifts_over_the_stages_is_no_difference():
    runs = [ramp(seed) for seed in range(RUNS)]
    assert sum(fixed_rejects(stratified) for stratified, _ in runs) <= MOST
    assert sum(stratified.better or stratified.worse for stratified, _ in runs) <= MOST
    assert sum(fixed_rejects(pooled) for _, pooled in runs) > 0.9 * RUNS


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_effect_is_found_early_and_in_its_direction(kind):
    for effect, better in ((0.4, METRICS[kind].direction > 0), (-0.4, METRICS[kind].direction < 0)):
        looks = trial(kind, effect=effect).run(1)
        place = first_rejection(looks)
        assert place is not None
        assert (looks[place].better, looks[place].worse) == (better, not better)
        assert place < 20


# --- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(seeds)
def test_swapping_the_arms_flips_every_sign(kind, seed):
    arms = trial(kind, effect=0.1).arms(seed)
    there = last(arms, kind)
    back = last(arms[::-1], kind)
    assert (there.control, there.treatment) == (back.treatment, back.control)
    assert there.difference == -back.difference
    assert there.standard_error == back.standard_error
    assert (there.low, there.high, there.p) == pytest.approx((-back.high, -back.low, back.p))
    assert (there.t_test.low, there.t_test.high) == pytest.approx(
        (-back.t_test.high, -back.t_test.low)
    )
    assert (there.better, there.worse) == (back.worse, back.better)
    assert np.sign(there.relative.effect) == -np.sign(back.relative.effect)


@pytest.mark.parametrize("kind", KINDS)
@given(seeds, st.floats(0.01, 100))
def test_another_unit_of_measurement_changes_no_p(kind, seed, factor):
    arms = trial(kind, effect=0.1).arms(seed)
    scaled = tuple(
        replace(
            arm,
            totals=arm.totals * factor,
            events=None if arm.events is None else arm.events * factor,
        )
        for arm in arms
    )
    for metric in (METRICS[kind], replace(METRICS[kind], relative=True)):
        one = last(arms, kind, metric=metric)
        other = last(scaled, kind, metric=metric)
        assert (other.p, other.t_test.p) == pytest.approx(
            (one.p, one.t_test.p), rel=1e-6, abs=1e-12
        )


@pytest.mark.parametrize("kind", KINDS)
@given(seeds, st.floats(-10, 10))
def test_a_constant_added_to_every_event_changes_no_p_of_a_difference(kind, seed, constant):
    arms = trial(kind, effect=0.1).arms(seed)
    moved = tuple(
        replace(
            arm,
            totals=arm.totals + constant * arm.counts,
            events=None if arm.events is None else arm.events + constant,
        )
        for arm in arms
    )
    one = last(arms, kind)
    other = last(moved, kind)
    assert (other.p, other.t_test.p) == pytest.approx((one.p, one.t_test.p), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", ["mean", "proportion", "ratio"])
@given(seeds, st.integers(1, 1499))
def test_merging_two_partitions_of_users_equals_analysing_the_union(kind, seed, cut):
    arms = trial(kind, effect=0.1).arms(seed)
    merged = [
        METRICS[kind].estimate(
            Sums.of(arm.totals[:cut], arm.counts[:cut])
            + Sums.of(arm.totals[cut:], arm.counts[cut:])
        )
        for arm in arms
    ]
    assert numbers(
        told(METRICS[kind], stage(*merged), units=(1500, 1500), n_star=3000)
    ) == pytest.approx(numbers(last(arms, kind)))


@given(seeds)
def test_merging_the_events_of_two_partitions_equals_analysing_the_union(seed):
    arms = trial("quantile", effect=0.1).arms(seed)
    users = 600
    half = 300
    merged = []
    for arm in arms:
        whose = np.repeat(np.arange(users), arm.counts.astype(int))
        parts = [(arm.events[chosen], whose[chosen]) for chosen in (whose >= half, whose < half)]
        merged.append(
            clustered_quantile(*(np.concatenate(part) for part in zip(*parts, strict=True)), 0.95)
        )
    found = told(METRICS["quantile"], stage(*merged), units=(users, users), n_star=1200)
    assert numbers(found) == pytest.approx(numbers(last(arms, "quantile")))


@given(st.floats(0.5, 2), st.floats(0.5, 2), st.floats(1e-5, 0.01), st.floats(1, 1e6))
def test_one_stage_is_that_stage_and_stages_alike_are_one(a, b, variance, weight):
    control = Moments(500, a, variance)
    treatment = Moments(500, b, variance)
    one = told(MEAN, stage(control, treatment, weight))
    assert (one.difference, one.standard_error) == (
        b - a,
        math.sqrt(difference(control, treatment).variance),
    )
    halves = [stage(Moments(250, a, 2 * variance), Moments(250, b, 2 * variance), weight / 2)] * 2
    assert numbers(told(MEAN, *halves))[:5] == pytest.approx(numbers(one)[:5])


def test_stages_weigh_as_many_users_of_the_treatment_as_they_have():
    early = stage(Moments(100, 1.0, 0.04), Moments(100, 1.2, 0.05), 100)
    late = stage(Moments(300, 2.0, 0.01), Moments(300, 2.6, 0.02), 300)
    found = told(MEAN, early, late, units=(400, 400))
    assert found.difference == pytest.approx(0.25 * 0.2 + 0.75 * 0.6)
    assert found.standard_error == pytest.approx(math.sqrt(0.25**2 * 0.09 + 0.75**2 * 0.03))
    assert (found.control, found.treatment) == pytest.approx((1.75, 2.25))


# --- what is told ---------------------------------------------------------------------------------


def test_the_interval_and_p_are_those_of_the_sequence_in_the_metrics_scale():
    found = told(MEAN, stage(Moments(500, 2.0, 0.0004), Moments(500, 2.2, 0.0005)))
    assert (found.low, found.high) == confidence_sequence(
        2.2 - 2.0, math.sqrt(0.0009), 1000, 0.05, 1000
    )
    assert found.p == sequential_p(2.2 - 2.0, math.sqrt(0.0009), 1000, 0.05, 1000)
    assert (found.bound_low, found.bound_high) == (found.low, found.high)
    relative = told(
        replace(MEAN, relative=True), stage(Moments(500, 2.0, 0.0004), Moments(500, 2.2, 0.0005))
    )
    assert relative.difference == pytest.approx(0.1)
    assert (
        (relative.low, relative.high)
        == (relative.relative.low, relative.relative.high)
        == (found.relative.low, found.relative.high)
    )


@pytest.mark.parametrize(
    ("role", "goal", "sided"),
    [
        ("primary", "superiority", 2),
        ("primary", "replacement", 1),
        ("guardrail", "superiority", 1),
        ("guardrail", "replacement", 1),
        ("secondary", "superiority", 2),
        ("secondary", "replacement", 2),
    ],
)
def test_guardrails_and_replacements_are_judged_by_one_bound_at_a_time(role, goal, sided):
    found = told(
        replace(MEAN, role=role), stage(Moments(500, 2.0, 0.01), Moments(500, 2.2, 0.01)), goal=goal
    )
    bounds = confidence_sequence(found.difference, found.standard_error, 1000, 0.05, 1000, sided)
    assert (found.bound_low, found.bound_high) == bounds
    assert (found.low, found.high) == confidence_sequence(
        found.difference, found.standard_error, 1000, 0.05, 1000
    )


@pytest.mark.parametrize(
    ("effect", "better", "worse", "not_worse", "verdict"),
    [
        (0.50, True, False, True, "better"),
        (0.00, False, False, True, "not_worse"),
        (-0.05, False, True, True, "worse"),
        (-0.09, False, True, False, "worse"),
        (-0.50, False, True, False, "worse"),
    ],
)
@pytest.mark.parametrize("direction", [1, -1])
def test_the_verdict_is_read_from_the_benefit(direction, effect, better, worse, not_worse, verdict):
    metric = replace(MEAN, direction=direction)
    found = told(
        metric, stage(Moments(500, 2.0, 5e-5), Moments(500, 2.0 + direction * effect, 5e-5))
    )
    assert (found.better, found.worse, found.not_worse, found.verdict) == (
        better,
        worse,
        not_worse,
        verdict,
    )


def test_what_is_neither_shown_nor_excluded_is_unclear():
    assert told(MEAN, stage(Moments(500, 2.0, 1.0), Moments(500, 2.1, 1.0))).verdict == "unclear"


@pytest.mark.parametrize(
    ("stages", "units", "reason"),
    [
        ([], (500, 500), "no_data"),
        ([stage(Unclear("no_data"), Moments(500, 1.0, 0.1))], (500, 500), "no_data"),
        (
            [stage(Moments(500, 1.0, 0.1), Unclear("quantile_unresolved"))],
            (500, 500),
            "quantile_unresolved",
        ),
        ([stage(Moments(500, 1.0, 0.1), Moments(1, 1.0, 0.1))], (500, 500), "too_few_units"),
        ([stage(Moments(500, 1.0, 0.1), Moments(500, 1.0, 0.1), 0)], (500, 500), "no_data"),
        (
            [stage(Moments(500, 1.0, 0.0), Moments(500, 1.0, 0.0))],
            (500, 500),
            "variance_not_positive",
        ),
        (
            [stage(Moments(500, 1.0, math.inf), Moments(500, 1.0, 0.1))],
            (500, 500),
            "variance_not_positive",
        ),
        ([stage(Moments(500, 1.0, 1e-4), Moments(500, 9.0, 1e-4))], (99, 5000), "too_few_units"),
        ([stage(Moments(99, 1.0, 1e-4), Moments(500, 9.0, 1e-4))], (500, 500), "too_few_units"),
    ],
)
@pytest.mark.parametrize("relative", [False, True])
def test_without_support_there_is_no_verdict_but_a_reason(relative, stages, units, reason):
    found = told(replace(MEAN, relative=relative), *stages, units=units)
    assert (found.reason, found.relative.reason) == (reason, reason)
    assert (found.low, found.high, found.bound_low, found.bound_high, found.p, found.t_test) == (
        None,
    ) * 6
    assert (found.better, found.worse, found.not_worse, found.verdict) == (
        False,
        False,
        False,
        "unclear",
    )


@pytest.mark.parametrize(
    ("control", "reason"),
    [
        (Moments(500, -1.0, 0.01), "control_not_positive"),
        (Moments(500, 0.4, 0.01), "control_too_noisy"),
    ],
)
def test_a_difference_without_a_relative_effect_says_why_there_is_none(control, reason):
    treatment = Moments(500, 2.0, 0.01)
    absolute = told(MEAN, stage(control, treatment))
    assert (absolute.relative.effect, absolute.relative.reason, absolute.reason) == (
        None,
        reason,
        "",
    )
    assert absolute.verdict == "better"
    relative = told(replace(MEAN, relative=True), stage(control, treatment))
    assert (relative.difference, relative.reason, relative.verdict) == (None, reason, "unclear")


def test_a_stage_that_contributes_nothing_is_listed():
    good = stage(Moments(500, 1.0, 0.01), Moments(500, 1.5, 0.01))
    found = told(
        MEAN,
        stage(Unclear("no_data"), Moments(5, 1.0, 0.1)),
        good,
        stage(Moments(1, 7.0, 0.1), Moments(2, 1.0, 0.1)),
    )
    assert found.left_out == ((0, "no_data"), (2, "too_few_units"))
    assert replace(found, left_out=()) == told(MEAN, good)


def test_an_arm_is_shown_even_where_the_other_has_no_number():
    found = told(MEAN, stage(Moments(500, 1.0, 0.01), Unclear("no_data")))
    assert (found.control, found.treatment, found.difference) == (1.0, None, None)


@pytest.mark.parametrize(
    "stages",
    [
        [],
        [stage(Moments(500, 1.0, 0.01), Moments(500, 1.5, 0.01))],
        [stage(Moments(500, 1.0, 0.01), Moments(500, 1e300, 1e300))],
        [stage(Moments(500, 0.0, 0.01), Moments(500, 1.5, math.inf))],
        [stage(Moments(500, math.nan, 0.01), Moments(500, 1.5, 1.0))],
    ],
)
def test_all_that_is_told_can_be_written_as_json_and_is_finite(stages):
    for metric in (MEAN, replace(MEAN, relative=True, role="guardrail")):
        written = json.dumps(asdict(told(metric, *stages)), allow_nan=False)
        assert json.loads(written)["metric"] == "visits"


def test_the_fixed_test_says_what_it_is_valid_for():
    found = told(MEAN, stage(Moments(500, 1.0, 0.01), Moments(500, 1.5, 0.01)))
    assert found.t_test.valid == "for one planned look only"
    assert found.low < found.t_test.low < found.t_test.high < found.high


def test_the_example_on_the_page_runs_and_ships():
    page = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(example.replace("\ndecide(", "\ndecision = decide("), names)  # noqa: S102 - our own page, as a reader runs it
    assert names["found"].verdict == "better"
    assert names["decision"].action == "SHIP"


# --- metrics --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "median"},
        {"role": "main"},
        {"direction": 0},
        {"margin": 0.0},
        {"margin": math.nan},
        {"margin": math.inf},
        {"min_effect": -0.1},
        {"target": 0.0},
        {"level": 0.95},
        {"kind": "quantile"},
        {"kind": "quantile", "level": 1.0},
        {"kind": "quantile", "level": math.nan},
    ],
)
def test_a_metric_that_makes_no_sense_is_refused_by_name(change):
    with pytest.raises(Refused, match="metric visits"):
        replace(MEAN, **change)


def test_harm_counts_from_the_margin_on_unless_told_otherwise():
    assert (MEAN.harm, replace(MEAN, min_effect=0.3).harm) == (0.1, 0.3)


def test_sums_hold_no_quantile():
    with pytest.raises(ValueError, match="quantile"):
        METRICS["quantile"].estimate(Sums())
