"""The plan of an experiment, on SQLite and on PostgreSQL: what it takes from a person, from
experiments and from searches, and what it reports as unknown."""

import math

import numpy as np
import pytest
from sqlalchemy import func, select

from qdrant_rollouts.core.config.experiment_spec import ExperimentSpec
from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.experiments import commands
from qdrant_rollouts.core.experiments.planning import GivenFigures, plan_experiment
from qdrant_rollouts.core.routing import traffic
from qdrant_rollouts.core.routing.exposures import Ledger, UserSearches, unit_of_user
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.statistics import planning
from qdrant_rollouts.core.statistics.assignment import group_of_unit
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch
from tests.saved_worlds import SavedWorlds
from tests.world import World, texts

DAY = 86_400.0
RESTING = TrafficKey("docs", "", "live", "real", "docs_1")


def deploy_docs(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(5)), validation={"checks": {}})
    world.deploy("docs")
    world.run()


@pytest.fixture
def alias(world: World, saved_worlds: SavedWorlds) -> World:
    saved_worlds.begin(world, deploy_docs)
    return world


def planned(
    world: World, *metrics, rate=None, deviation=None, users_per_day=None, split=0.5, **options
) -> dict:
    given = GivenFigures(rate, deviation, users_per_day)
    return plan_experiment(
        world.services, "docs", given, split=split, metrics=list(metrics) or None, options=options
    )


def metric(found: dict, name: str) -> dict:
    return next(one for one in found["metrics"] if one["name"] == name)


# --- given by hand --------------------------------------------------------------------------------


def test_a_rate_given_by_hand_needs_the_users_of_the_notes(alias):
    """K18: from 10 % to 11 %."""
    found = planned(alias, "clicks", rate=0.10)
    assert metric(found, "clicks")["users"] == {"control": 14_749, "treatment": 14_749}
    assert found["n_star"] == math.ceil(1.75 * 2 * 14_748.045) == metric(found, "clicks")["n_star"]
    assert "by hand" in metric(found, "clicks")["from"]


def test_a_mean_given_by_hand_is_planned_by_its_deviation(alias):
    found = planned(alias, "clicks", rate=2.0, deviation=2.0, target=0.1)
    assert metric(found, "clicks")["users"]["control"] == math.ceil(
        planning.users_for_mean(1.0, 0.1)
    )


def test_days_follow_from_the_users_that_take_part(alias):
    found = planned(alias, "clicks", rate=0.10, users_per_day=1000, coverage=5000)
    assert found["taking_part_per_day"] == 500
    assert found["days"] == found["n_star"] / 500
    assert planned(alias, "clicks", rate=0.10)["days"] is None


def test_what_the_longest_time_finds_is_what_it_would_need_to_be_found(alias):
    found = metric(
        planned(alias, "clicks", rate=0.2, deviation=0.4, users_per_day=500, max_days=20), "clicks"
    )
    assert planning.users_for_mean(0.4, found["fixed"]) == pytest.approx(500 * 20 / 2)
    assert found["fixed"] < found["sequential"] < 2 * found["fixed"]


def test_arms_of_different_size_need_more_users(alias):
    even, uneven = (
        planned(alias, "clicks", rate=0.2, deviation=0.4, split=split) for split in (0.5, 0.1)
    )
    users = metric(uneven, "clicks")["users"]
    assert users["control"] / users["treatment"] == pytest.approx(9, rel=1e-3)
    assert uneven["n_star"] / even["n_star"] == pytest.approx(0.25 / 0.09, rel=1e-3)


def test_two_primaries_share_alpha_and_guardrails_share_what_may_be_missed(alias):
    dwell = {"name": "dwell", "role": "primary"}
    one = planned(alias, "clicks", rate=0.2)
    two = planned(alias, "clicks", dwell, rate=0.2)
    assert metric(two, "clicks")["n_star"] > metric(one, "clicks")["n_star"]
    assert planned(alias, "clicks", "latency", rate=0.2)["n_star"] > one["n_star"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rate": 1.5}, "rate of 1.5"),
        ({"rate": 0.0}, "rate of 0"),
        ({"rate": 0.95}, "would be 1.045"),
        ({"deviation": 2.0}, "give the rate too"),
        ({"rate": 2.0, "deviation": -1.0}, "deviation of -1"),
        ({"users_per_day": 0.0}, "users a day of 0"),
        ({"users_per_day": math.inf}, "users a day of inf"),
        ({"split": 1.0}, "split of 1"),
        ({"colour": 1}, "colour"),
        ({"mode": "interleave"}, "interleaving"),
    ],
)
def test_what_makes_no_sense_is_refused(alias, given, words):
    with pytest.raises(Refused, match=words):
        planned(alias, "clicks", **given)


def test_an_alias_that_does_not_exist_is_refused_with_those_that_do(alias):
    with pytest.raises(Refused, match="docs"):
        plan_experiment(alias.services, "nowhere", GivenFigures(0.1))


# --- not known ------------------------------------------------------------------------------------


def test_what_nobody_knows_is_not_planned_and_says_what_to_give(alias):
    found = planned(alias)
    assert (found["n_star"], found["days"], found["users_per_day"]) == (None, None, None)
    assert found["missing"] == ["latency", "clicks"]
    assert "--rate" in metric(found, "clicks")["missing"]
    assert "--users-per-day" in found["users_from"]
    with alias.services.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Experiment)) == 0


def test_what_is_not_known_is_named_beside_what_is_planned(alias):
    found = planned(alias, "clicks", "latency", "dwell", rate=0.10)
    assert found["missing"] == ["latency"]
    assert found["n_star"] == metric(found, "clicks")["n_star"]
    assert metric(found, "dwell")["missing"]


# --- from searches --------------------------------------------------------------------------------


def searched(
    world: World,
    users: int,
    key: TrafficKey = RESTING,
    *,
    salt: str = "",
    anonymous: int = 0,
    each: int = 8,
) -> float:
    """Each user has a speed of his own; returns the standard deviation of a user's mean ln(ms)."""
    rng = np.random.default_rng(5)
    tally = TrafficSketch()
    speeds = rng.normal(3.0, 0.3, users)
    logs = speeds[:, None] + rng.normal(0, 0.4, (users, each))
    for user, mine in enumerate(logs):
        for log_ms in mine:
            tally.add(
                group_of_unit(salt, str(user)), math.exp(log_ms) / 1000, error=rng.random() < 0.02
            )
    for _ in range(anonymous):
        tally.add(int(rng.integers(512)), 0.02, anonymous=True)
    traffic.write_tallies(
        world.services.sessions, world.clock, f"{key.stage} {key.variant}", 1, {key: tally}
    )
    return float(logs.mean(axis=1).std(ddof=1))


def test_latency_is_planned_from_the_searches_of_a_day(alias):
    deviation = searched(alias, 900)
    found = planned(alias, "clicks", "latency", "latency_p95", "errors", rate=0.2)
    latency = metric(found, "latency")
    assert found["users_per_day"] == pytest.approx(900, rel=0.10)
    assert latency["control"] == pytest.approx(3.0, abs=0.05)
    assert latency["deviation"] == pytest.approx(deviation, rel=0.20)
    assert latency["effect"] == pytest.approx(math.log(1.05))
    assert metric(found, "errors")["control"] == pytest.approx(0.02, abs=0.005)
    assert metric(found, "latency_p95")["control"] == pytest.approx(
        math.exp(3 + 1.645 * 0.5) / 1000, rel=0.1
    )
    assert found["missing"] == []
    assert "last 24 hours" in latency["from"]
    assert "last 24 hours" in found["users_from"]


def test_searches_without_a_user_are_no_users(alias):
    searched(alias, 400, anonymous=300)
    assert planned(alias)["users_per_day"] == pytest.approx(400, rel=0.15)


def test_users_beyond_counting_are_asked_for(alias):
    searched(alias, 6000, each=1)
    found = planned(alias, "latency")
    assert found["users_per_day"] is None
    assert found["missing"] == ["latency"]
    assert "--users-per-day" in metric(found, "latency")["missing"]
    assert planned(alias, "latency", users_per_day=6000)["missing"] == []


def test_searches_of_yesterday_and_of_experiments_are_left_out(alias):
    searched(alias, 300)
    alias.clock.move(DAY + 1)
    assert planned(alias)["users_per_day"] is None
    for variant in ("live", "control", "treatment"):
        searched(
            alias,
            300,
            TrafficKey("docs", "experiment/abc/1", variant, "real", "docs_1"),
            salt=variant,
        )
    assert planned(alias)["users_per_day"] is None


def test_a_few_searches_tell_nothing(alias):
    searched(alias, 20)
    assert "too_few_units" in metric(planned(alias, "latency"), "latency")["missing"]


# --- from experiments -----------------------------------------------------------------------------


def experiment(world: World, *metrics, **options) -> str:
    control = world.store.aliases()["docs"]
    given = {"window_hours": 1, **options}
    return commands.create_experiment(
        world.services,
        "before",
        control,
        [control],
        actor="anna",
        metrics=list(metrics),
        options=given,
    )


def clicked(world: World, experiment: str, users: int) -> np.ndarray:
    """As many users in each arm, four searches each; returns control's clicks by user."""
    rng = np.random.default_rng(3)
    with world.services.sessions.begin() as session:
        spec = ExperimentSpec.model_validate(session.get_one(Experiment, experiment).spec)
        ledger = Ledger(session, experiment, spec)
        clicks = {}
        for variant in ("control", "treatment"):
            people = {
                unit_of_user(experiment, f"{variant} {user}"): seen(variant, rng)
                for user in range(users)
            }
            ledger.write(world.clock.now(session), people)
            clicks[variant] = rng.binomial(4, rng.beta(2, 6, users))
            reported = {
                unit: (0.0, float(n)) for unit, n in zip(people, clicks[variant], strict=True)
            }
            ledger.add("clicks", reported, ledger.find_exposures(people))
    return clicks["control"]


def seen(variant: str, rng: np.random.Generator) -> UserSearches:
    return UserSearches(variant, 1, "collection", 1, 1, searches=4, log_ms=float(rng.normal(12, 1)))


def test_a_metric_and_the_users_are_taken_from_the_last_experiment(alias):
    before = experiment(alias, "clicks", "latency", coverage=5000)
    clicks = clicked(alias, before, 1000)
    alias.clock.move(4 * DAY)
    commands.stop_experiment(alias.services, before, actor="anna")
    alias.clock.move(4 * DAY)
    found = planned(alias, "clicks", "latency")
    assert metric(found, "clicks")["control"] == pytest.approx(clicks.mean() / 4)
    assert metric(found, "clicks")["deviation"] == pytest.approx(clicks.std(ddof=1) / 4, rel=1e-6)
    assert metric(found, "latency")["deviation"] == pytest.approx(0.25, rel=0.1)
    assert found["users_per_day"] == pytest.approx(2000 / 2)
    assert before in metric(found, "clicks")["from"]
    assert before in found["users_from"]


def test_what_is_given_by_hand_comes_first(alias):
    clicked(alias, experiment(alias, "clicks"), 200)
    alias.clock.move(4 * DAY)
    found = planned(alias, "clicks", rate=0.3, users_per_day=77)
    assert metric(found, "clicks")["control"] == 0.3
    assert found["users_per_day"] == 77


def test_an_experiment_of_less_than_a_day_does_not_know_how_many_come(alias):
    clicked(alias, experiment(alias, "clicks"), 200)
    alias.clock.move(DAY / 2)
    found = planned(alias, "clicks")
    assert metric(found, "clicks")["control"] is not None
    assert found["users_per_day"] is None


def test_open_windows_know_nothing(alias):
    clicked(alias, experiment(alias, "clicks"), 200)
    assert planned(alias, "clicks")["missing"] == ["clicks"]
    alias.clock.move(DAY)
    assert planned(alias, "clicks")["missing"] == []


def test_a_few_users_know_nothing(alias):
    clicked(alias, experiment(alias, "clicks"), 99)
    alias.clock.move(DAY)
    assert planned(alias, "clicks")["missing"] == ["clicks"]


def test_a_metric_of_another_kind_is_another_metric(alias):
    clicked(alias, experiment(alias, "clicks"), 200)
    alias.clock.move(DAY)
    assert planned(alias, {"name": "clicks", "kind": "mean", "per": "value"})["missing"] == [
        "clicks"
    ]
