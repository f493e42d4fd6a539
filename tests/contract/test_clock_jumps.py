"""The database's clock is set two hours back or ahead, on SQLite and on PostgreSQL: nothing waits
for the old time."""

import dataclasses
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.config.alert_spec import Severity
from qdrant_rollouts.core.database.models import Deployment, SearcherRow
from qdrant_rollouts.core.deployments import claims, commands, engine
from qdrant_rollouts.core.deployments.claims import Claim
from qdrant_rollouts.core.deployments.turn_leases import Lease
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.schedules import sweep
from qdrant_rollouts.core.ports import AlertChannel, Knock
from qdrant_rollouts.core.routing import table
from qdrant_rollouts.core.routing.route import Route
from qdrant_rollouts.interfaces.access import idempotency
from tests.saved_worlds import SavedWorlds
from tests.schedules import at, declare, runs, the_schedule
from tests.world import HandBroker, World, texts

HOURS = 2 * 3600.0
#: Seconds of sweeps in which a deployment that nothing holds up has ended.
ENOUGH = 120
ROUTE = Route("docs", 2)


class Broker:
    """Over which no knock is sent that is not due: the sweep sends it when it is."""

    def __init__(self, broker: HandBroker) -> None:
        self._broker = broker

    def __call__(self, knock: Knock) -> None:
        if knock.countdown <= 0:
            self._broker(knock)


def deploy_docs(world: World) -> None:
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(30)),
        soak={"seconds": 40, "interval_seconds": 20},
    )
    world.deploy("docs")
    world.run()


@pytest.fixture
def swept(world: World, saved_worlds: SavedWorlds) -> World:
    """With a live index ``docs``, from where the sweep knocks for what has waited, as among
    workers."""
    saved_worlds.begin(world, deploy_docs)
    times = dataclasses.replace(world.services.times, holds_waits=False)
    world.services = dataclasses.replace(world.services, times=times, knock=Broker(world.broker))
    return world


def seconds(world: World, most: int = ENOUGH) -> Iterator[int]:
    """A sweep a second, and every turn that comes of it."""
    for number in range(most):
        engine.knock_overdue_turns(world.services)
        while knock := world.broker.take_next():
            world.turn(knock)
        yield number
        world.clock.move(1)


def until(world: World, deployment: str, step: str) -> None:
    for _ in seconds(world):
        if world.step(deployment, step)["status"] == "waiting":
            return
    raise AssertionError(world.status(deployment))


def took(world: World, deployment: str) -> int:
    """Seconds of sweeps until it was live."""
    for number in seconds(world):
        if world.status(deployment)["status"] == "live":
            return number
    raise AssertionError(world.status(deployment))


def take(world: World, deployment: str) -> Claim:
    with world.services.sessions() as session:
        turn = session.get_one(Deployment, deployment).turn
    claim = claims.claim_turn(world.services, deployment, turn, "dies")
    assert isinstance(claim, Claim)
    return claim


def test_a_wait_is_knocked_for_in_the_second_in_which_it_ends(swept: World) -> None:
    deployment = swept.deploy("docs")
    until(swept, deployment, "soak")
    assert 19 <= took(swept, deployment) <= 21


@pytest.mark.parametrize("jump", [-HOURS, HOURS])
def test_a_deployment_that_waits_goes_on_whatever_the_clock_is_set_to(
    swept: World, jump: float
) -> None:
    deployment = swept.deploy("docs")
    until(swept, deployment, "soak")
    swept.clock.move(jump)
    assert took(swept, deployment) <= 25


@pytest.mark.parametrize("jump", [-HOURS, HOURS])
def test_one_that_was_just_written_down_and_lost_its_knock_is_found(
    swept: World, jump: float
) -> None:
    deployment = swept.deploy("docs")
    swept.broker.waiting.clear()
    swept.clock.move(jump)
    assert took(swept, deployment) <= 45


def test_a_request_whose_knock_is_lost_is_honoured_after_the_clock_was_set_back(
    swept: World,
) -> None:
    deployment = swept.deploy("docs")
    until(swept, deployment, "soak")
    swept.clock.move(-HOURS)
    commands.request_action(swept.services, deployment, Event.ABORT, actor="anna")
    while swept.broker.take_next():
        pass
    for _ in seconds(swept):
        if swept.status(deployment)["status"] == "rolled_back":
            return
    raise AssertionError(swept.status(deployment))


@pytest.mark.parametrize("jump", [-HOURS, HOURS])
def test_a_lost_knock_is_missed_after_fifteen_seconds_all_the_same(
    swept: World, jump: float
) -> None:
    deployment = swept.deploy("docs")
    swept.turn(swept.broker.take_next())
    swept.broker.waiting.clear()
    swept.clock.move(jump)
    assert took(swept, deployment) <= 60


@pytest.mark.parametrize("jump", [-HOURS, HOURS])
def test_the_lease_of_a_worker_that_died_lasts_no_longer_than_any(
    swept: World, jump: float
) -> None:
    deployment = swept.deploy("docs")
    swept.broker.waiting.clear()
    take(swept, deployment)
    swept.clock.move(jump)
    assert took(swept, deployment) <= 75
    assert swept.status(deployment)["steps"][0]["crashes"] == 1


def test_the_clock_may_be_set_back_while_nobody_sweeps(swept: World) -> None:
    deployment = swept.deploy("docs")
    until(swept, deployment, "soak")
    swept.clock.move(1000 - HOURS)
    assert took(swept, deployment) <= 25


def test_the_turn_of_a_worker_that_lives_is_not_taken_from_it(swept: World) -> None:
    deployment = swept.deploy("docs")
    claim = take(swept, deployment)
    lease = Lease(swept.services, claims.hold_turn(claim))
    swept.clock.move(-HOURS)
    engine.knock_overdue_turns(swept.services)
    for _ in range(5):
        swept.clock.move(10)
        assert lease._extend_lease()
        assert engine.knock_overdue_turns(swept.services) == []
    assert (
        engine.turn_outcomes.write_outcome(swept.services, claim, engine.Done()).line
        == "create done -> populate"
    )


def test_a_clock_that_jumps_to_and_fro_all_the_time_holds_nothing_up(swept: World) -> None:
    deployment = swept.deploy("docs")
    for number in seconds(swept, 200):
        if swept.status(deployment)["status"] == "live":
            break
        swept.clock.move(HOURS if number % 20 == 5 else -HOURS if number % 20 == 15 else 0)
    assert swept.status(deployment)["status"] == "live"
    assert [step["crashes"] for step in swept.status(deployment)["steps"]] == [0] * 6


def test_a_pause_that_is_taken_back_before_it_was_honoured_shortens_no_wait(swept: World) -> None:
    deployment = swept.deploy("docs")
    until(swept, deployment, "soak")
    for wish in (Event.PAUSE, Event.RESUME):
        engine.store_request(swept.services, deployment, wish, "anna")
    swept.broker.waiting.clear()
    assert 19 <= took(swept, deployment) <= 21


def test_jumps_to_and_fro_delete_nothing_early(swept: World) -> None:
    """The running time counts a jump for a second, and the time that was told stands."""
    swept.deploy("docs")
    old = swept.store.aliases()["docs"]
    swept.store.create("old", swept.store.schema(old), {})
    commands.safe_delete_collection(swept.services, "old", grace_period_minutes=5, actor="anna")
    gone = 0.0
    for number in range(1, 1000):
        swept.clock.move(1)
        gone += 1
        swept.clock.move(HOURS if number % 20 == 5 else -HOURS if number % 20 == 15 else 0)
        engine.knock_overdue_turns(swept.services)
        deletions.delete_due(swept.services)
        if "old" not in swept.store.collections():
            break
    assert 300 <= gone <= 350


# --- whatever else waits --------------------------------------------------------------------------


def test_a_schedule_does_not_wait_for_a_time_that_another_clock_was_near(world: World) -> None:
    at(world, "2026-11-01T12:00")
    declare(world, rebuild="*/10 * * * *")
    sweep.sweep_schedules(world.services)
    for text in ("2026-11-01T12:10", "2026-11-01T10:07"):
        at(world, text)
        engine.knock_overdue_turns(world.services)
        sweep.sweep_schedules(world.services)
    assert the_schedule(world)["next_at"] == "2026-11-01T10:10:00.000Z"


def test_a_time_that_comes_a_second_time_makes_no_second_run(world: World) -> None:
    at(world, "2026-11-01T12:00")
    declare(world, rebuild="*/10 * * * *")
    sweep.sweep_schedules(world.services)
    for text in ("2026-11-01T12:10", "2026-11-01T12:08", "2026-11-01T12:10:05"):
        at(world, text)
        engine.knock_overdue_turns(world.services)
        sweep.sweep_schedules(world.services)
    assert [nominal for nominal, _ in runs(world)] == ["11-01T12:10"]


def test_an_alert_is_told_though_it_was_written_down_two_hours_from_now(world: World) -> None:
    taken: list[str] = []
    world.channels["inbox"] = AlertChannel(
        "inbox", Severity.INFO, lambda notice: taken.append(notice.what)
    )
    world.declare("docs", source=world.write("docs.jsonl", texts(3)))
    world.deploy("docs")
    world.channels["inbox"] = AlertChannel("inbox", Severity.INFO, lambda notice: 1 / 0)
    deliveries.deliver_due(world.services)
    world.channels["inbox"] = AlertChannel(
        "inbox", Severity.INFO, lambda notice: taken.append(notice.what)
    )
    world.clock.move(-HOURS)
    deliveries.deliver_due(world.services)
    assert taken == ["deployment.created"]


def test_an_idempotency_key_is_held_no_longer_than_starting_anything_takes(world: World) -> None:
    key = idempotency.build_key("ci", "key", {})

    def dies(along: object) -> idempotency.Answer:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        idempotency.answer_once(world.services, key, dies, lambda started: {})
    world.clock.move(-HOURS)
    assert idempotency.answer_once(
        world.services, key, lambda along: {"done": 1}, lambda started: {}
    ) == (
        {"done": 1},
        False,
    )


def test_a_process_that_searched_before_the_clock_was_set_back_is_waited_for_by_nobody(
    world: World,
) -> None:
    table.report_served_routes(world.services, "gone", {"docs": 1})
    assert table.confirm_route(world.services, ROUTE).known == 1
    world.clock.move(-HOURS)
    assert table.confirm_route(world.services, ROUTE).known == 0
    table.report_served_routes(world.services, "here", {"docs": 2})
    assert table.confirm_route(world.services, ROUTE).all
    with world.services.sessions() as session:
        seen = dict(session.execute(select(SearcherRow.process, SearcherRow.seen_at)).all())
    assert seen["gone"] - seen["here"] == timedelta(seconds=HOURS)
