"""The decision (docs/notes/experiments.md section 7): the first rule that applies, and missing data
never ship."""

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.statistics.comparison import Stratum, compare
from qdrant_rollouts.core.statistics.decision import Action, Limits, Quality, decide
from qdrant_rollouts.core.statistics.metric import Metric
from qdrant_rollouts.core.statistics.moments import Moments, Unclear

CLICKS = Metric("clicks", "ratio", "primary", 1, 0.02, relative=True)
LOG_LATENCY = Metric("latency", "ratio", "guardrail", -1, math.log(1.05), unit="log_ms")
ERRORS = Metric("errors", "ratio", "guardrail", -1, 0.001, unit="share")
LATENCY = Metric("latency", "quantile", "guardrail", -1, 0.10, relative=True, level=0.95)
DEPTH = Metric("depth", "mean", "secondary", 1, 0.1)
METRICS = (CLICKS, LATENCY, DEPTH)
GOOD = Quality(srm_p=0.4, crossover=0.0, orphans=0.0, changed="")


def told(
    metric: Metric,
    effect: float,
    error: float = 0.005,
    variant: str = "treatment",
    goal="superiority",
):
    """A comparison of about this relative effect and standard error."""
    arms = (Moments(5000, value, (error * value) ** 2 / 2) for value in (1.0, 1 + effect))
    stage = Stratum(5000, *arms)
    return compare(
        metric, [stage], units=(5000, 5000), n_star=10_000, alpha=0.05, variant=variant, goal=goal
    )


def nothing(metric: Metric, variant: str = "treatment"):
    stage = Stratum(5000, Unclear("no_data"), Unclear("no_data"))
    return compare(metric, [stage], units=(5000, 5000), n_star=10_000, alpha=0.05, variant=variant)


BETTER = (told(CLICKS, 0.1), told(LATENCY, 0.0), told(DEPTH, 0.0))
SHIPS = {
    "metrics": METRICS,
    "quality": GOOD,
    "now": BETTER,
    "closed": BETTER,
    "days": 7.0,
    "units": (5000, 5000),
    "conversions": 400,
    "limits": Limits(),
}


def decided(**changes):
    return decide(**SHIPS | changes)


# --- any input ------------------------------------------------------------------------------------

effects = st.sampled_from([-0.3, -0.05, -0.015, 0.0, 0.015, 0.1])
comparisons = st.builds(
    told, st.sampled_from(METRICS), effects, st.sampled_from([0.002, 0.05])
) | st.builds(nothing, st.sampled_from(METRICS))
reads = st.lists(comparisons, max_size=5)
shares = st.none() | st.sampled_from([0.0, 0.005, 0.02, math.nan])
qualities = st.builds(
    Quality,
    st.none() | st.sampled_from([1e-5, 0.4, math.nan]),
    shares,
    shares,
    st.sampled_from([None, "", "the model"]),
)
inputs = st.fixed_dictionaries(
    {
        "metrics": st.lists(st.sampled_from(METRICS), unique=True),
        "quality": qualities,
        "now": reads,
        "closed": reads,
        "days": st.none() | st.floats(0, 60) | st.just(math.nan),
        "units": st.none() | st.tuples(st.integers(0, 300), st.integers(0, 300)),
        "conversions": st.none() | st.integers(0, 300),
        "limits": st.builds(Limits, goal=st.sampled_from(["superiority", "replacement"])),
    }
)
INVALID = {
    "srm_p": 0.0009,
    "crossover": 0.011,
    "orphans": 0.011,
    "changed": "the collection behind the treatment",
}


@given(inputs, st.sampled_from(sorted(INVALID)))
def test_invalid_beats_every_verdict(given_, what):
    quality = replace(given_["quality"], **{what: INVALID[what]})
    found = decide(**given_ | {"quality": quality, "units": (300, 300)})
    assert (found.action, found.variant) == (Action.INVALID, None)


@given(inputs, st.sampled_from([told(CLICKS, -0.1), told(LATENCY, 0.3)]), st.integers(0, 5))
def test_certain_harm_beats_everything_but_invalid(given_, harm, place):
    now = [*given_["now"][:place], harm, *given_["now"][place:]]
    found = decide(**given_ | {"quality": GOOD, "now": now})
    assert found.action == Action.ROLLBACK
    assert found.variant == "treatment"


@given(inputs)
def test_only_what_is_shown_ships_and_only_where_all_was_looked_at(given_):
    found = decide(**given_)
    assert found.reason
    assert found.days_left is None or 0 <= found.days_left < math.inf
    if found.action != Action.SHIP:
        return
    quality = given_["quality"]
    limits = given_["limits"]
    assert quality.srm_p >= 0.001
    assert max(quality.crossover, quality.orphans) <= 0.01
    assert quality.changed == ""
    assert given_["days"] >= limits.min_days
    assert min(given_["units"]) >= limits.min_units
    assert given_["conversions"] >= limits.min_conversions
    deciding = [metric for metric in given_["metrics"] if metric.role != "secondary"]
    assert deciding
    for metric in deciding:
        closed, now = (
            [one for one in given_[read] if one.metric == metric.name] for read in ("closed", "now")
        )
        wanted = (
            "better" if metric.role == "primary" and limits.goal == "superiority" else "not_worse"
        )
        assert closed
        assert all(getattr(one, wanted) for one in closed)
        assert now
        assert not any(one.reason for one in now)


def without(name: str):
    """What each input looks like when it is missing."""
    if name in {"srm_p", "crossover", "orphans", "changed"}:
        return lambda have: have | {"quality": replace(have["quality"], **{name: None})}
    if name in {"now", "closed", "metrics"}:
        return lambda have: have | {name: ()}
    return lambda have: have | {name: None}


MISSING = (
    "srm_p",
    "crossover",
    "orphans",
    "changed",
    "now",
    "closed",
    "metrics",
    "days",
    "units",
    "conversions",
)


def holes(read):
    """One deciding comparison is away, or is there without a number."""
    for place, one in enumerate(read):
        if one.role != "secondary":
            yield (*read[:place], *read[place + 1 :])
            yield (*read[:place], nothing(METRICS[place]), *read[place + 1 :])


@pytest.mark.parametrize("goal", ["superiority", "replacement"])
def test_no_subset_of_missing_inputs_ever_ships(goal):
    assert decided(limits=Limits(goal=goal)).action == Action.SHIP
    for size in range(1, len(MISSING) + 1):
        for names in itertools.combinations(MISSING, size):
            have = SHIPS | {"limits": Limits(goal=goal)}
            for name in names:
                have = without(name)(have)
            for days in (have["days"], *([99.0] if have["days"] else [])):
                assert decide(**have | {"days": days}).action not in {
                    Action.SHIP,
                    Action.INVALID,
                }, names


@pytest.mark.parametrize("read", ["now", "closed"])
def test_a_metric_that_is_away_or_has_no_number_keeps_it_running_and_is_named(read):
    for hole in holes(BETTER):
        found = decided(**{read: hole})
        assert found.action == Action.KEEP_RUNNING
        assert "(no_data)" in found.reason
        assert decided(**{read: hole}, days=28.0).action == Action.STOP_INCONCLUSIVE


@pytest.mark.parametrize("name", ["srm_p", "crossover", "orphans"])
def test_what_is_no_number_is_not_known(name):
    found = decided(quality=replace(GOOD, **{name: math.nan}))
    assert found.action == Action.KEEP_RUNNING
    assert found.reason.startswith("not known yet: ")
    assert decided(days=math.nan).action == Action.KEEP_RUNNING


# --- the list, one by one -------------------------------------------------------------------------


@pytest.mark.parametrize("what", sorted(INVALID))
def test_a_fault_of_the_experiment_is_named(what):
    found = decided(quality=replace(GOOD, **{what: INVALID[what]}))
    words = {
        "srm_p": "p 0.0009",
        "crossover": "1.10% of the units",
        "orphans": "1.10% of the observations",
        "changed": "collection",
    }
    assert found.action == Action.INVALID
    assert words[what] in found.reason


def test_a_sample_ratio_of_fewer_than_a_hundred_units_proves_nothing():
    bad = replace(GOOD, srm_p=1e-9)
    assert decided(quality=bad, units=(80, 19)).action == Action.KEEP_RUNNING
    assert decided(quality=bad, units=(80, 20)).action == Action.INVALID
    assert decided(quality=bad, units=None).action == Action.INVALID


@pytest.mark.parametrize(("share", "action"), [(0.01, Action.SHIP), (0.0101, Action.INVALID)])
def test_one_percent_of_crossovers_is_tolerated(share, action):
    assert decided(quality=replace(GOOD, crossover=share)).action == action
    assert decided(quality=replace(GOOD, orphans=share)).action == action


def test_harm_is_read_from_open_windows_and_rolls_back_on_the_first_day():
    found = decided(
        now=(told(CLICKS, 0.1), told(LATENCY, 0.3)),
        closed=BETTER,
        days=0.1,
        units=(120, 120),
        conversions=0,
    )
    assert found.action == Action.ROLLBACK
    assert found.reason.startswith("latency of treatment is worse: +30.00% [")
    assert "10.00% or more rolls back" in found.reason


def test_harm_in_closed_windows_alone_does_not_roll_back():
    assert (
        decided(closed=(told(CLICKS, 0.1), told(LATENCY, 0.3))).action == Action.STOP_INCONCLUSIVE
    )


def test_certain_but_trivial_harm_does_not_roll_back_and_can_ship():
    trivial = told(LATENCY, 0.04)
    assert trivial.worse
    assert trivial.not_worse
    assert decided(now=(BETTER[0], trivial), closed=(BETTER[0], trivial)).action == Action.SHIP


def test_a_secondary_metric_decides_nothing():
    awful = told(DEPTH, -0.9)
    assert awful.worse
    assert decided(now=(*BETTER[:2], awful), closed=(*BETTER[:2], awful)).action == Action.SHIP
    assert decided(now=BETTER[:2], closed=BETTER[:2]).action == Action.SHIP


@pytest.mark.parametrize(
    ("change", "words", "left"),
    [
        ({"days": 2.0}, "2.0 days of at least 3 days", 1.0),
        ({"days": 0.00154846}, "2 minutes of at least 3 days", 3 - 0.00154846),
        ({"days": 1 / 86_400}, "1 second of at least 3 days", 3 - 1 / 86_400),
        ({"days": None}, "an unknown time of at least 3 days", None),
        ({"units": (50, 400)}, "50 of at least 100 units in each arm", 7.0),
        ({"units": (0, 400)}, "0 of at least 100 units in each arm", None),
        ({"conversions": 100}, "100 of at least 150 conversions in one arm", 3.5),
        ({"conversions": None}, "an unknown number of at least 150 conversions in one arm", None),
    ],
)
def test_below_a_minimum_it_keeps_running_and_says_what_is_missing(change, words, left):
    found = decided(**change)
    assert (found.action, found.reason, found.days_left) == (Action.KEEP_RUNNING, words, left)


def test_where_nothing_converts_no_conversions_are_asked_for():
    assert decided(conversions=None, limits=Limits(min_conversions=0)).action == Action.SHIP


def test_a_shipping_decision_says_with_which_numbers():
    found = decided()
    assert (found.action, found.variant) == (Action.SHIP, "treatment")
    assert found.reason.startswith("clicks of treatment is better: +10.00% [+8.")
    assert "latency of treatment is not worse: +0.00% [" in found.reason


def test_every_primary_must_be_better_to_be_superior_and_not_worse_to_replace():
    alike = (told(CLICKS, 0.0), told(LATENCY, 0.0))
    assert decided(now=alike, closed=alike).action == Action.STOP_INCONCLUSIVE
    assert decided(now=alike, closed=alike, limits=Limits(goal="replacement")).action == Action.SHIP
    second = replace(CLICKS, name="finds")
    both = (*BETTER, told(second, 0.0))
    assert (
        decided(metrics=(*METRICS, second), now=both, closed=both).action
        == Action.STOP_INCONCLUSIVE
    )


def test_guardrails_alone_can_replace_but_never_be_superior():
    alike = (told(LATENCY, 0.0),)
    of = {"metrics": (LATENCY,), "now": alike, "closed": alike}
    assert decided(**of).action != Action.SHIP
    assert decided(**of, limits=Limits(goal="replacement")).action == Action.SHIP


def test_a_wide_interval_keeps_it_running_for_as_long_as_it_still_needs():
    wide = (told(CLICKS, 0.0, error=0.06), told(LATENCY, 0.0))
    half = (wide[0].high - wide[0].low) / 2
    found = decided(now=wide, closed=wide)
    assert found.action == Action.KEEP_RUNNING
    assert found.days_left == pytest.approx(7 * ((half / 0.10) ** 2 - 1))
    assert f"clicks of treatment is known to ±{half:.2%}, 10.00% is wanted: about" in found.reason
    assert decided(now=wide, closed=wide, days=28.0).action == Action.STOP_INCONCLUSIVE


def test_a_guardrail_that_is_not_known_yet_is_waited_for():
    unsure = (told(CLICKS, 0.2), told(LATENCY, 0.0, error=0.05))
    assert not unsure[1].not_worse
    found = decided(now=unsure, closed=unsure)
    assert found.action == Action.KEEP_RUNNING
    assert "latency" in found.reason
    assert decided(now=unsure, closed=unsure, days=28.0).action == Action.STOP_INCONCLUSIVE


def test_what_is_shown_already_needs_no_more_time():
    wide = (told(CLICKS, 0.5, error=0.1), told(LATENCY, 0.0, error=0.05))
    assert wide[0].better
    assert "latency" in decided(now=wide, closed=wide).reason


def test_what_takes_longer_than_there_is_time_is_said_to():
    wide = (told(CLICKS, 0.0, error=0.15), told(LATENCY, 0.0))
    assert decided(now=wide, closed=wide).reason.endswith(
        "more, of which the experiment has 21.0 days"
    )


@pytest.mark.parametrize(
    ("metric", "target"),
    [
        (replace(CLICKS, target=0.03), 0.03),
        (replace(CLICKS, relative=False, margin=0.02), 0.10),  # ten percent of a control of 1.0
        (replace(CLICKS, role="guardrail"), 0.01),
    ],
)
def test_the_target_is_the_metrics_own_or_a_share_of_control_or_half_a_guardrails_margin(
    metric, target
):
    wide = told(metric, 0.0, error=0.06)
    found = decided(metrics=(metric,), now=(wide,), closed=(wide,))
    half = (wide.bound_high - wide.bound_low) / 2
    assert found.days_left == pytest.approx(7 * ((half / target) ** 2 - 1))


def test_nothing_found_keeps_control():
    alike = (told(CLICKS, 0.001), told(LATENCY, 0.0))
    found = decided(now=alike, closed=alike)
    assert found.action == Action.STOP_INCONCLUSIVE
    assert found.reason.startswith(
        "control stays after 7.0 days: clicks of treatment is not worse: +0.10% ["
    )


# --- several treatments ---------------------------------------------------------------------------


def both(one: float, other: float, slow: float = 0.0):
    return (
        *(
            told(CLICKS, effect, variant=variant)
            for variant, effect in (("small", one), ("large", other))
        ),
        *(
            told(LATENCY, slow if variant == "large" else 0.0, variant=variant)
            for variant in ("small", "large")
        ),
    )


def test_the_best_of_several_treatments_that_pass_ships():
    read = both(0.08, 0.12)
    assert decided(now=read, closed=read).variant == "large"
    read = both(0.08, 0.0)
    assert decided(now=read, closed=read).variant == "small"


def test_a_treatment_that_does_harm_is_named_even_where_another_is_better():
    read = both(0.08, 0.12, slow=0.3)
    found = decided(now=read, closed=read)
    assert (found.action, found.variant) == (Action.ROLLBACK, "large")


def test_what_one_treatment_shows_is_no_evidence_for_another():
    read = both(0.08, 0.12)
    mixed = tuple(
        one
        for one in read
        if (one.metric, one.variant) in {("clicks", "large"), ("latency", "small")}
    )
    assert decided(now=read, closed=mixed).action != Action.SHIP


@pytest.mark.parametrize(
    "change",
    [
        {"min_days": 30},
        {"min_days": -1},
        {"max_days": math.inf},
        {"max_days": math.nan},
        {"min_units": -1},
        {"min_conversions": -1},
        {"target": 0},
        {"target": math.nan},
    ],
)
def test_limits_that_make_no_sense_are_refused(change):
    with pytest.raises(Refused):
        Limits(**change)


@pytest.mark.parametrize(
    ("metric", "difference", "words"),
    [
        (LOG_LATENCY, math.log(1.5), "latency of treatment is worse: +50."),
        (ERRORS, 0.2, "errors of treatment is worse: +20.00"),
    ],
)
def test_a_decision_tells_differences_in_units_of_people(metric, difference, words):
    harmed = told(metric, difference)
    found = decided(metrics=[CLICKS, metric], now=(BETTER[0], harmed), closed=(BETTER[0], harmed))
    assert found.action == Action.ROLLBACK
    assert found.reason.startswith(words)
    assert ("%" if metric is LOG_LATENCY else " points") in found.reason
