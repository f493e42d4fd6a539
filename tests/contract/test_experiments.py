"""An experiment from its creation to its decision, on SQLite and on PostgreSQL: who is exposed,
what is counted and refused, and what the looks decide."""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.config.experiment_spec import ExperimentSpec
from qdrant_rollouts.core.database.experiment_rows import (
    CountRow,
    Experiment,
    ExposureRow,
    LookRow,
    UnitSum,
)
from qdrant_rollouts.core.deployments import commands as deployments
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.experiments import commands, folding, interim_analysis, queries
from qdrant_rollouts.core.routing import Router, exposures, table
from qdrant_rollouts.core.routing.exposures import Ledger, Person, UserSearches, unit_of_user
from qdrant_rollouts.core.routing.feedback import Feedback, Unexposed, count_feedback
from tests.saved_worlds import SavedWorlds
from tests.world import DIMENSION, World, texts

VECTOR = np.ones(DIMENSION, dtype=np.float32)
#: Short of what a real one needs, so that a few thousand users decide.
QUICK = {"min_days": 0, "window_hours": 1, "min_conversions": 10, "look_minutes": 1}


def deploy_indexes(world: World) -> None:
    for alias in ("docs", "docs_b"):
        world.declare(alias, source=world.write(f"{alias}.jsonl", texts(30)))
        world.deploy(alias)
        world.run()


@pytest.fixture
def indexes(world: World, saved_worlds: SavedWorlds) -> World:
    """``docs`` is live; ``docs_b`` is another collection of the same model."""
    saved_worlds.begin(world, deploy_indexes)
    return world


def collections(world: World) -> tuple[str, str]:
    found = world.store.aliases()
    return found["docs"], found["docs_b"]


def create(world: World, **given) -> str:
    control, treatment = collections(world)
    options = {**QUICK, **given.pop("options", {})}
    return commands.create_experiment(
        world.services, "colours", control, [treatment], actor="anna", options=options, **given
    )


@pytest.fixture
def experiment(indexes: World) -> str:
    return create(indexes)


def row(world: World, experiment: str) -> Experiment:
    with world.services.sessions() as session:
        return session.get_one(Experiment, experiment)


def spec_of(world: World, experiment: str) -> ExperimentSpec:
    return ExperimentSpec.model_validate(row(world, experiment).spec)


def counted(world: World, experiment: str) -> dict[str, int]:
    with world.services.sessions() as session:
        rows = session.scalars(select(CountRow).where(CountRow.experiment_id == experiment))
        return {row.what: row.count for row in rows}


def sums(world: World, experiment: str, metric: str) -> tuple[float, float]:
    with world.services.sessions() as session:
        mine = UnitSum.experiment_id == experiment, UnitSum.metric == metric
        found = session.execute(
            select(func.sum(UnitSum.count), func.sum(UnitSum.total)).where(*mine)
        ).one()
        return found[0] or 0.0, found[1] or 0.0


# --- what is counted ------------------------------------------------------------------------------


def seen(variant: str, **came_to) -> UserSearches:
    return UserSearches(variant, 1, "collection", 1, 1, **came_to)


def met(world: World, experiment: str, users: dict[str, UserSearches]) -> None:
    with world.services.sessions.begin() as session:
        people = {
            Person(experiment, unit_of_user(experiment, user)): one for user, one in users.items()
        }
        exposures.write_exposures(session, world.clock.now(session), people)


def test_the_first_exposure_wins_and_another_arm_is_a_crossover(indexes, experiment):
    met(indexes, experiment, {"anna": seen("control", searches=2)})
    met(indexes, experiment, {"anna": seen("treatment", searches=3)})
    with indexes.services.sessions() as session:
        found = session.scalars(select(ExposureRow)).one()
    assert (found.variant, found.crossed) == ("control", True)
    assert sums(indexes, experiment, "clicks")[0] == 5


def test_what_a_user_does_after_his_window_counts_for_nothing(indexes, experiment):
    met(indexes, experiment, {"anna": seen("control", log_ms=2.0)})
    indexes.clock.move(3599)
    met(indexes, experiment, {"anna": seen("control", log_ms=2.0)})
    indexes.clock.move(2)
    met(indexes, experiment, {"anna": seen("control", log_ms=2.0)})
    assert sums(indexes, experiment, "latency") == (2, 4.0)
    with pytest.raises(Refused, match="window"):
        count_feedback(indexes.services, Feedback(experiment, "clicks", 1, user_id="anna"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"metric": "beauty"}, "'beauty' is not a metric"),
        ({"metric": "latency"}, "measured by the router"),
        ({"variant": "third"}, "'third' is not one of control, treatment"),
        ({"value": math.nan}, "finite number"),
        ({"value": math.inf}, "finite number"),
        ({"value": "much"}, "finite number"),
        ({"value": True}, "finite number"),
        ({"user_id": "nobody"}, "never exposed"),
    ],
)
def test_feedback_that_makes_no_sense_is_refused_and_counted(indexes, experiment, given, words):
    met(indexes, experiment, {"anna": seen("control")})
    feedback = {
        "experiment_id": experiment,
        "metric": "clicks",
        "value": 1,
        "user_id": "anna",
        **given,
    }
    with pytest.raises(Refused, match=words):
        count_feedback(indexes.services, Feedback(**feedback))
    ((what, count),) = counted(indexes, experiment).items()
    assert what.startswith("refused: ")
    assert count == 1
    assert sums(indexes, experiment, "clicks") == (1, 0)


def test_feedback_for_an_experiment_that_does_not_exist_is_refused_and_counted(indexes):
    with pytest.raises(Refused, match="'nothing'"):
        count_feedback(indexes.services, Feedback("nothing", "clicks", 1, user_id="anna"))
    assert counted(indexes, "") == {"refused: unknown experiment": 1}


def test_feedback_with_a_key_is_counted_once(indexes, experiment):
    met(indexes, experiment, {"anna": seen("control")})
    feedback = Feedback(experiment, "clicks", 1, "control", "anna", key="click 7")
    assert [count_feedback(indexes.services, feedback) for _ in range(3)] == [True, False, False]
    assert sums(indexes, experiment, "clicks") == (1, 1)


def test_feedback_that_is_refused_leaves_its_key_free(indexes, experiment):
    feedback = Feedback(experiment, "clicks", 1, "control", "anna", key="click 7")
    with pytest.raises(Unexposed):
        count_feedback(indexes.services, feedback, patient=True)
    assert counted(indexes, experiment) == {}
    met(indexes, experiment, {"anna": seen("control")})
    assert count_feedback(indexes.services, feedback)


def test_feedback_without_a_user_is_shown_and_decides_nothing(indexes, experiment):
    assert count_feedback(indexes.services, Feedback(experiment, "relevance", 0.5, "control"))
    assert counted(indexes, experiment) == {"without a user": 1}
    assert sums(indexes, experiment, "relevance") == (0, 0)


def test_feedback_of_who_came_after_the_end_says_nothing_against_the_data(indexes, experiment):
    commands.stop_experiment(indexes.services, experiment, actor="anna")
    with pytest.raises(Refused, match="has ended"):
        count_feedback(indexes.services, Feedback(experiment, "clicks", 1, "control", "late"))
    assert counted(indexes, experiment) == {"refused: not taking part": 1}


def test_feedback_of_the_other_arm_is_a_crossover_and_counts_in_his_own(indexes, experiment):
    met(indexes, experiment, {"anna": seen("control")})
    count_feedback(indexes.services, Feedback(experiment, "clicks", 1, "treatment", "anna"))
    with indexes.services.sessions() as session:
        assert session.scalars(select(ExposureRow)).one().crossed
        assert (
            session.scalars(select(UnitSum).where(UnitSum.metric == "clicks")).one().variant
            == "control"
        )


def test_whom_control_answers_after_the_end_has_not_crossed_over(indexes, experiment):
    met(indexes, experiment, {"anna": seen("treatment")})
    commands.stop_experiment(indexes.services, experiment, actor="anna")
    count_feedback(indexes.services, Feedback(experiment, "clicks", 1, "control", "anna"))
    with indexes.services.sessions() as session:
        assert not session.scalars(select(ExposureRow)).one().crossed
    assert sums(indexes, experiment, "clicks") == (1, 1)


def test_feedback_that_the_database_does_not_take_is_to_be_given_again(indexes, experiment):
    with Router(indexes.services) as router:
        variant, _ = router.route_query(experiment, VECTOR, "anna")
        assert router.track_feedback(experiment, variant, "clicks", 1, "anna", key="click 7")
    with (
        Router(replace(indexes.services, sessions=Gone())) as router,
        pytest.raises(Unavailable, match="database"),
    ):
        router.track_feedback(experiment, variant, "clicks", 1, "anna", key="click 8")
    assert sums(indexes, experiment, "clicks") == (1, 1)


class Gone:
    """A database that does not answer."""

    def begin(self) -> None:
        raise OperationalError("connect", {}, Exception("gone"))


# --- one at a time --------------------------------------------------------------------------------


def test_a_second_experiment_or_deployment_on_the_alias_is_refused_by_name(indexes, experiment):
    with pytest.raises(Refused, match=experiment):
        create(indexes)
    for asked in (
        lambda: indexes.deploy("docs"),
        lambda: deployments.start_rollback(indexes.services, "docs", actor="anna"),
        lambda: deployments.delete_alias(indexes.services, "docs", actor="anna"),
        lambda: deployments.switch_alias(
            indexes.services, "docs", collections(indexes)[1], actor="anna"
        ),
    ):
        with pytest.raises(Refused, match=experiment):
            asked()
    commands.stop_experiment(indexes.services, experiment, actor="anna")
    indexes.deploy("docs")
    with pytest.raises(Refused, match="deployment"):
        create(indexes)


def test_a_draft_whose_alias_has_moved_on_is_not_started(indexes):
    draft = create(indexes, start=False)
    indexes.deploy("docs")
    indexes.run()
    with pytest.raises(Refused, match="not to the control"):
        commands.start_experiment(indexes.services, draft, actor="anna")


def test_the_collections_of_an_experiment_are_not_deleted(indexes, experiment):
    _, treatment = collections(indexes)
    indexes.store.drop_alias("docs_b")
    with indexes.services.sessions() as session:
        assert f"experiment {experiment} compares it" in deletions.find_uses(
            indexes.services, session, treatment
        )
    commands.stop_experiment(indexes.services, experiment, actor="anna")
    with indexes.services.sessions() as session:
        assert not [
            user
            for user in deletions.find_uses(indexes.services, session, treatment)
            if "experiment" in user
        ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"split": 1.5}, "1.5"),
        ({"split": 0.00001}, "0.0001"),
        ({"metrics": [{"name": "dwell", "kind": "median"}]}, "metrics.0: kind"),
        ({"metrics": [{"name": "dwell", "margin": -1}]}, "metrics.0: margin"),
        ({"metrics": ["clicks", "clicks"]}, "each metric once"),
        ({"options": {"coverage": 0}}, "coverage"),
        ({"options": {"colour": 1}}, "colour"),
        ({"options": {"weights": [5000, 4000]}}, "add up to 10000"),
        ({"alias": "nothing"}, "nothing"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(indexes, given, words):
    with pytest.raises(Refused, match=words):
        create(indexes, **given)
    assert queries.list_experiments(indexes.services) == []
    assert table.current_route(indexes.services, "docs").at_rest


def test_a_collection_that_does_not_exist_is_refused(indexes):
    with pytest.raises(Refused, match="gone"):
        commands.create_experiment(
            indexes.services, "x", collections(indexes)[0], ["gone"], actor="anna"
        )


# --- what the looks decide ------------------------------------------------------------------------


def behaved(
    world: World, experiment: str, clicks: dict[str, float], users: int = 3000, seed: int = 1
) -> None:
    """As many users in each arm; one of ``variant`` clicks on 4 searches with the probability
    ``clicks[variant]``."""
    rng = np.random.default_rng(seed)
    spec = spec_of(world, experiment)
    with world.services.sessions.begin() as session:
        for variant, rate in clicks.items():
            ledger = Ledger(session, experiment, spec)
            people = {
                f"{variant} {seed} {user}": seen(variant, searches=4, log_ms=12.0)
                for user in range(users)
            }
            for one in people.values():
                one.log_ms += float(rng.normal(0, 0.5))
            ledger.write(world.clock.now(session), people)
            clicked = {
                unit: (0.0, float(n))
                for unit, n in zip(people, rng.binomial(4, rate, users), strict=True)
            }
            ledger.add("clicks", clicked, ledger.find_exposures(people))


def after_the_window(world: World) -> list[str]:
    world.clock.move(3700)
    return interim_analysis.check_due_experiments(world.services)


def test_a_better_treatment_ships_once_the_windows_have_closed(indexes, experiment):
    behaved(indexes, experiment, {"control": 0.2, "treatment": 0.3})
    indexes.clock.move(120)
    interim_analysis.check_due_experiments(indexes.services)
    assert row(indexes, experiment).status == "running"
    after_the_window(indexes)
    found = row(indexes, experiment)
    assert (found.status, found.decision["action"], found.decision["variant"]) == (
        "decided",
        "SHIP",
        "treatment",
    )
    assert table.current_route(indexes.services, "docs").at_rest
    assert (indexes.told()[-1].index, indexes.told()[-1].what) == ("docs", "experiment.ship")


def test_a_treatment_that_harms_goes_while_the_windows_are_open(indexes, experiment):
    behaved(indexes, experiment, {"control": 0.3, "treatment": 0.2})
    indexes.clock.move(120)
    interim_analysis.check_due_experiments(indexes.services)
    found = row(indexes, experiment)
    assert (found.status, found.decision["action"]) == ("decided", "ROLLBACK")
    assert table.current_route(indexes.services, "docs").at_rest


def test_alike_arms_are_not_decided_before_the_time_is_up(indexes):
    experiment = create(indexes, options={"target": 0.01})
    behaved(indexes, experiment, {"control": 0.3, "treatment": 0.3})
    after_the_window(indexes)
    assert row(indexes, experiment).decision["action"] == "KEEP_RUNNING"
    indexes.clock.move(28 * 86400)
    interim_analysis.check_due_experiments(indexes.services)
    found = row(indexes, experiment)
    assert (found.status, found.decision["action"]) == ("decided", "STOP_INCONCLUSIVE")


def test_arms_that_are_known_to_be_alike_leave_the_control(indexes, experiment):
    behaved(indexes, experiment, {"control": 0.3, "treatment": 0.3})
    after_the_window(indexes)
    assert row(indexes, experiment).decision["action"] == "STOP_INCONCLUSIVE"


def test_arms_of_the_wrong_size_give_no_verdict(indexes, experiment):
    behaved(indexes, experiment, {"control": 0.2})
    behaved(indexes, experiment, {"treatment": 0.4}, users=2400)
    after_the_window(indexes)
    found = row(indexes, experiment)
    assert (found.status, found.decision["action"]) == ("running", "INVALID")


def test_a_collection_that_is_replaced_by_another_model_gives_no_verdict(indexes, experiment):
    behaved(indexes, experiment, {"control": 0.2, "treatment": 0.3})
    _, treatment = collections(indexes)
    indexes.store.set_metadata(treatment, {"rollouts": None})
    after_the_window(indexes)
    assert row(indexes, experiment).decision["action"] == "INVALID"
    assert treatment in row(indexes, experiment).decision["reason"]


def test_a_treatment_that_is_gone_ends_the_experiment_at_once(indexes, experiment):
    indexes.store.drop(collections(indexes)[1])
    interim_analysis.check_due_experiments(indexes.services)
    found = row(indexes, experiment)
    assert (found.status, found.decision["action"]) == ("decided", "ROLLBACK")
    assert "does not exist any more" in found.message


def test_a_look_is_taken_once_however_often_it_is_asked_for(indexes, experiment):
    behaved(indexes, experiment, {"control": 0.3, "treatment": 0.3}, users=200)
    indexes.clock.move(61)
    for _ in range(3):
        interim_analysis.check_due_experiments(indexes.services)
    with indexes.services.sessions() as session:
        assert session.scalar(select(func.count()).select_from(LookRow)) == 1
    indexes.clock.move(61)
    interim_analysis.check_due_experiments(indexes.services)
    assert row(indexes, experiment).looks == 2


def test_the_smallest_p_of_all_looks_is_kept(indexes, experiment):
    behaved(indexes, experiment, {"control": 0.30, "treatment": 0.32}, users=1000)
    indexes.clock.move(61)
    interim_analysis.check_due_experiments(indexes.services)
    behaved(indexes, experiment, {"control": 0.33, "treatment": 0.30}, users=1500, seed=2)
    indexes.clock.move(61)
    interim_analysis.check_due_experiments(indexes.services)
    with indexes.services.sessions() as session:
        reports = [
            look.report for look in session.scalars(select(LookRow).order_by(LookRow.number))
        ]
    p = [
        next(c["p"] for c in report["comparisons"] if c["metric"] == "clicks") for report in reports
    ]
    assert p[1] <= p[0] < 1
    assert reports[1]["shares"]["p"] <= reports[0]["shares"]["p"]


def test_a_report_changes_nothing(indexes, experiment):
    behaved(indexes, experiment, {"control": 0.2, "treatment": 0.3})
    indexes.clock.move(3700)
    report = queries.report_experiment(indexes.services, experiment)
    assert report["decision"]["action"] == "SHIP"
    assert report["units"] == {"control": 3000, "treatment": 3000}
    assert row(indexes, experiment).status == "running"
    assert row(indexes, experiment).looks == 0


@pytest.mark.parametrize(("on_ship", "strategy"), [("switch", "blue_green"), ("canary", "canary")])
def test_what_ships_is_deployed_once_if_the_experiment_says_so(indexes, on_ship, strategy):
    experiment = create(indexes, options={"on_ship": on_ship})
    _, treatment = collections(indexes)
    behaved(indexes, experiment, {"control": 0.2, "treatment": 0.3})
    after_the_window(indexes)
    for _ in range(3):
        interim_analysis.check_due_experiments(indexes.services)
    found = row(indexes, experiment)
    status = indexes.status(found.deployment_id)
    assert (status["strategy"], status["green"], status["actor"]) == (
        strategy,
        treatment,
        f"experiment {experiment}",
    )


def test_shipping_that_was_interrupted_goes_on_with_the_deployment_it_began(indexes):
    experiment = create(indexes, options={"on_ship": "switch"})
    behaved(indexes, experiment, {"control": 0.2, "treatment": 0.3})
    after_the_window(indexes)
    interim_analysis.check_due_experiments(indexes.services)
    begun = row(indexes, experiment).deployment_id
    with indexes.services.sessions.begin() as session:
        session.execute(update(Experiment).values(deployment_id=None))
    interim_analysis.check_due_experiments(indexes.services)
    assert row(indexes, experiment).deployment_id == begun


def test_shipping_waits_for_another_deployment_and_says_so(indexes):
    experiment = create(indexes, options={"on_ship": "switch"})
    behaved(indexes, experiment, {"control": 0.2, "treatment": 0.3})
    indexes.clock.move(3700)
    lines = interim_analysis.check_due_experiments(indexes.services)
    assert "SHIP" in lines[0]
    other = indexes.deploy("docs")
    interim_analysis.check_due_experiments(indexes.services)
    assert other in row(indexes, experiment).message
    indexes.run()
    interim_analysis.check_due_experiments(indexes.services)
    assert row(indexes, experiment).deployment_id


# --- quantiles and upkeep -------------------------------------------------------------------------


def test_durations_are_compared_by_a_quantile_and_folded_without_a_loss(indexes):
    metrics = [
        {"name": "latency_p95"},
        "clicks",
        {"name": "dwell", "kind": "quantile", "level": 0.5},
    ]
    experiment = create(indexes, metrics=metrics)
    with Router(indexes.services) as router:
        for user in map(str, range(400)):
            variant, _ = router.route_query(experiment, VECTOR, user)
            router.track_feedback(
                experiment, variant, "dwell", 2.0 if variant == "control" else 3.0, user
            )
    before = queries.report_experiment(indexes.services, experiment)["comparisons"]
    assert folding.fold_sketches(indexes.services) > 0
    after = queries.report_experiment(indexes.services, experiment)["comparisons"]
    assert after == before
    dwell = next(one for one in after if one["metric"] == "dwell")
    assert dwell["control"] == pytest.approx(2.0, rel=0.02)
    assert dwell["treatment"] == pytest.approx(3.0, rel=0.02)
    with pytest.raises(Refused, match="seconds"):
        count_feedback(indexes.services, Feedback(experiment, "dwell", -1.0, user_id="1"))


def test_folding_keeps_open_and_closed_windows_apart(indexes):
    experiment = create(indexes, metrics=[{"name": "latency_p95"}, "clicks"])
    with Router(indexes.services) as router:
        for user in map(str, range(60)):
            router.route_query(experiment, VECTOR, user)
    indexes.clock.move(3000)
    with Router(indexes.services) as router:
        for user in map(str, range(60, 90)):
            router.route_query(experiment, VECTOR, user)
    indexes.clock.move(800)
    before = queries.report_experiment(indexes.services, experiment)
    folding.fold_sketches(indexes.services)
    after = queries.report_experiment(indexes.services, experiment)
    assert sum(after["closed_units"].values()) == 60
    assert (after["closed"], after["comparisons"]) == (before["closed"], before["comparisons"])


def test_keys_of_feedback_go_when_no_repetition_can_ask_for_them(indexes, experiment):
    met(indexes, experiment, {"anna": seen("control")})
    feedback = Feedback(experiment, "clicks", 1, user_id="anna", key="click 7")
    count_feedback(indexes.services, feedback)
    folding.fold_sketches(indexes.services)
    assert not count_feedback(indexes.services, feedback)
    indexes.clock.moment += timedelta(days=61)
    folding.fold_sketches(indexes.services)
    with pytest.raises(Refused, match="window"):
        count_feedback(indexes.services, feedback)
