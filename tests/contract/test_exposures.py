"""An experiment through a router: who is exposed to which arm, and what of it is counted."""

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from qdrant_rollouts.core.database.experiment_rows import ExposureRow
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.experiments import commands, queries
from qdrant_rollouts.core.routing import Router, table
from qdrant_rollouts.core.routing.exposures import unit_of_user
from qdrant_rollouts.core.statistics.assignment import BASIS, assign
from tests.contract.test_experiments import (
    VECTOR,
    collections,
    counted,
    create,
    deploy_indexes,
    spec_of,
    sums,
)
from tests.contract.test_routing import until
from tests.saved_worlds import SavedWorlds
from tests.world import World


@pytest.fixture
def indexes(reached: World, saved_worlds: SavedWorlds) -> World:
    """``docs`` is live; ``docs_b`` is another collection of the same model."""
    saved_worlds.begin(reached, deploy_indexes)
    return reached


@pytest.fixture
def experiment(indexes: World) -> str:
    return create(indexes)


@pytest.fixture
def router(indexes: World) -> Iterator[Router]:
    with indexes.open_router() as made:
        yield made


def test_the_same_user_meets_the_same_arm_by_experiment_and_by_alias(indexes, experiment, router):
    ranges = tuple(ranges[0] for ranges in spec_of(indexes, experiment).ranges(BASIS))
    for user in map(str, range(40)):
        variant, results = router.route_query(experiment, VECTOR, user)
        assert variant == ("control", "treatment")[assign(experiment, user, ranges)]
        assert router.search("docs", VECTOR, user).variant == variant
        assert len(results) == 10


def test_a_user_is_exposed_once_whatever_he_searches(indexes, experiment):
    with indexes.open_router() as router:
        for _ in range(3):
            for user in map(str, range(20)):
                router.route_query(experiment, VECTOR, user)
    with indexes.services.sessions() as session:
        rows = session.scalars(select(ExposureRow)).all()
    assert {row.unit for row in rows} == {unit_of_user(experiment, str(user)) for user in range(20)}
    assert sums(indexes, experiment, "latency")[0] == 60
    assert not any(row.crossed for row in rows)


def test_without_a_user_control_answers_and_nobody_is_enrolled(indexes, experiment):
    with indexes.open_router() as router:
        assert {router.route_query(experiment, VECTOR)[0] for _ in range(30)} == {"control"}
    with indexes.services.sessions() as session:
        assert session.scalars(select(ExposureRow)).first() is None


def test_with_a_part_of_the_users_the_rest_is_served_and_left_out(indexes):
    experiment = create(indexes, options={"coverage": 2000})
    users = [str(user) for user in range(300)]
    with indexes.open_router() as router:
        for user in users:
            assert router.route_query(experiment, VECTOR, user)[1]
    ranges = tuple(ranges[0] for ranges in spec_of(indexes, experiment).ranges(2000))
    inside = {
        unit_of_user(experiment, user)
        for user in users
        if assign(experiment, user, ranges) is not None
    }
    with indexes.services.sessions() as session:
        assert set(session.scalars(select(ExposureRow.unit))) == inside
    assert 30 < len(inside) < 100


def test_widening_enrols_more_and_moves_nobody(indexes):
    experiment = create(indexes, options={"coverage": 2000})
    users = [str(user) for user in range(200)]
    with indexes.open_router() as router:
        before = {user: router.route_query(experiment, VECTOR, user)[0] for user in users}
    commands.widen_experiment(indexes.services, experiment, 6000, actor="anna")
    with indexes.open_router() as router:
        after = {user: router.route_query(experiment, VECTOR, user)[0] for user in users}
    moved = {user for user in users if before[user] == "treatment" != after[user]}
    assert moved == set()
    assert list(after.values()).count("treatment") > list(before.values()).count("treatment")
    with indexes.services.sessions() as session:
        stages = dict(
            session.execute(
                select(ExposureRow.stage, func.count()).group_by(ExposureRow.stage)
            ).all()
        )
        crossed = session.scalar(select(func.count()).where(ExposureRow.crossed))
    assert set(stages) == {1, 2}
    assert crossed == 0
    with pytest.raises(Refused, match="6000"):
        commands.widen_experiment(indexes.services, experiment, 5000, actor="anna")


def test_several_treatments_share_the_split(indexes, router):
    control, treatment = collections(indexes)
    experiment = commands.create_experiment(
        indexes.services, "three", control, [treatment, treatment], actor="anna", split=0.6
    )
    assert [arm.weight for arm in spec_of(indexes, experiment).arms] == [4000, 3000, 3000]
    met = {router.route_query(experiment, VECTOR, str(user))[0] for user in range(60)}
    assert met == {"control", "treatment_1", "treatment_2"}


def test_an_experiment_on_what_no_alias_serves_is_searched_by_its_id(indexes, router):
    control, treatment = collections(indexes)
    indexes.store.drop_alias("docs")
    experiment = commands.create_experiment(
        indexes.services, "hidden", control, [treatment], actor="anna"
    )
    assert {router.route_query(experiment, VECTOR, str(user))[0] for user in range(30)} == {
        "control",
        "treatment",
    }
    commands.stop_experiment(indexes.services, experiment, actor="anna")
    until(lambda: router._core.routes.look(f"experiment:{experiment}").route.at_rest)
    variant, results = router.route_query(experiment, VECTOR, "1")
    assert variant == "control"
    assert results


# --- what a router counts -------------------------------------------------------------------------


def test_a_treatment_that_fails_has_the_error_and_the_time_and_its_user_stays(indexes, router):
    experiment = create(indexes, metrics=["errors", "latency", "clicks"])
    _, treatment = collections(indexes)
    user = next(
        u
        for u in map(str, range(99))
        if router.route_query(experiment, VECTOR, u)[0] == "treatment"
    )
    indexes.store.drop(treatment)
    variant, results = router.route_query(experiment, VECTOR, user)
    router._core.recorder.flush()
    assert variant == "treatment"
    assert results
    assert sums(indexes, experiment, "errors")[1] == 1


def test_feedback_of_who_does_not_take_part_is_refused_and_says_nothing_against_the_data(
    indexes, router
):
    experiment = create(indexes, options={"coverage": 1000})
    (control, treatment) = (mine for (mine,) in spec_of(indexes, experiment).ranges(1000))
    apart = next(
        user
        for user in map(str, range(99))
        if assign(experiment, user, (control, treatment)) is None
    )
    assert router.route_query(experiment, VECTOR, apart)[0] == "control"
    with pytest.raises(Refused, match="does not take part"):
        router.track_feedback(experiment, "control", "clicks", 1, apart)
    assert counted(indexes, experiment) == {"refused: not taking part": 1}
    assert queries.report_experiment(indexes.services, experiment)["quality"]["orphans"] == 0


def test_a_router_knows_the_users_it_has_not_written_down_yet(indexes, experiment, router):
    variant, _ = router.route_query(experiment, VECTOR, "anna")
    assert router.track_feedback(experiment, variant, "clicks", 1, "anna")
    assert sums(indexes, experiment, "clicks") == (1, 1)


def test_a_draft_splits_nothing_until_it_is_started(indexes, router):
    draft = create(indexes, start=False)
    assert table.current_route(indexes.services, "docs").at_rest
    with pytest.raises(Refused, match="has not begun"):
        router.route_query(draft, VECTOR, "anna")
    commands.start_experiment(indexes.services, draft, actor="anna")
    assert router.route_query(draft, VECTOR, "anna")[1]
    with pytest.raises(Refused, match="running"):
        commands.start_experiment(indexes.services, draft, actor="anna")
