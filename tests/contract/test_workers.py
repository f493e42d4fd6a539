"""The rows of workers, and the alerts that sweeps raise from them, on both databases."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from qdrant_rollouts.adapters.database import DatabaseClock
from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.database.alert_rows import ConditionRow
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.worker_rows import UnclaimedRow
from qdrant_rollouts.core.deployments import engine, unclaimed, workers
from qdrant_rollouts.core.deployments.workers import Task
from qdrant_rollouts.core.lifecycle import Event
from tests.roster import BULK, CONTROL, pass_time, says
from tests.world import World, texts


@pytest.fixture
def docs(world: World) -> str:
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    return "docs"


def busy_with(deployment, seconds=600.0):
    return replace(BULK, busy=(Task("deployments.populate", deployment, seconds),), idle=None)


def stuck(world):
    return [notice for notice in world.told() if notice.what == "deployment.no_progress"]


def waits(world, deployment):
    return world.status(deployment)["waits"]


# --- rows -----------------------------------------------------------------------------------------


def test_what_a_worker_says_is_what_is_listed(world, docs):
    deployment = world.deploy(docs)
    says(world, replace(busy_with(deployment, 90.0), received=25, discarded=3), ahead=40.0)
    (row,) = unclaimed.list_workers_and_waits(world.services)["workers"]
    assert row["clock_offset_seconds"] == pytest.approx(40.0, abs=1.0)
    assert row["clock_is_off"] is True
    (task,) = row["busy"]
    assert (task["task"], task["alias"], task["seconds"]) == ("deployments.populate", "docs", 90.0)
    assert (row["queues"], row["received"], row["discarded"], row["answers"]) == (
        ["bulk"],
        25,
        3,
        True,
    )
    world.clock.move(31)
    (row,) = unclaimed.list_workers_and_waits(world.services)["workers"]
    assert (row["answers"], row["seen_seconds"]) == (False, 31.0)


def test_who_starts_again_under_a_name_takes_the_row_over_and_keeps_it_when_the_first_ends(world):
    says(world, BULK)
    world.clock.move(100)
    says(world, replace(BULK, pid=9, up=1.0))
    with world.services.sessions.begin() as session:
        workers.withdraw(session, BULK.name, BULK.host, BULK.pid)
    (row,) = unclaimed.list_workers_and_waits(world.services)["workers"]
    assert row["pid"] == 9
    assert row["started_at"] == "2026-11-02T02:01:39.000Z"
    with world.services.sessions.begin() as session:
        workers.withdraw(session, BULK.name, BULK.host, 9)
    assert unclaimed.list_workers_and_waits(world.services)["workers"] == []


def test_a_worker_that_was_not_heard_of_for_a_day_is_forgotten_and_no_other(world):
    says(world, BULK)
    world.clock.move(23 * 3600)
    says(world, CONTROL)
    assert workers.forget(world.services) == 0
    world.clock.move(3601)
    assert workers.forget(world.services) == 1
    assert [row["name"] for row in unclaimed.list_workers_and_waits(world.services)["workers"]] == [
        "worker@one"
    ]


def test_many_say_so_at_once_and_none_is_lost(world):
    """On the database's own clock, as processes do."""
    failed = []

    def tell(number):
        try:
            for _ in range(5):
                with world.services.sessions.begin() as session:
                    workers.announce(
                        session, DatabaseClock(), replace(BULK, name=f"bulk@{number}", pid=number)
                    )
        except Exception as error:  # noqa: BLE001 - whatever it is, the test tells
            failed.append(error)

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with world.services.sessions() as session:
        now = DatabaseClock().now(session)
        roster = workers.list_known_workers(session, now)
    assert [one.name for one in roster] == [f"bulk@{number}" for number in range(8)]
    assert all(one.answers and abs(one.clock_offset) < workers.CLOCK_OFF for one in roster)


# --- turns that nobody takes ----------------------------------------------------------------------


def test_a_queue_that_nobody_takes_from_is_told_once_and_that_it_is_over(world, docs):
    deployment = world.deploy(docs)
    pass_time(world, 290, CONTROL)
    assert stuck(world) == []
    assert waits(world, deployment)["cause"] == "unlistened"
    pass_time(world, 600, CONTROL)
    (told,) = stuck(world)
    assert "no worker takes queue bulk" in told.text
    assert "celery -A qdrant_rollouts.tasks worker -Q bulk" in told.next
    assert (told.severity, told.bound, told.deployment_id) == ("error", "300 s", deployment)
    world.run(until=world.at(deployment, "populate"))
    pass_time(world, 10, CONTROL)
    assert [notice.state for notice in stuck(world)] == ["begun", "resolved"]
    assert waits(world, deployment) is None


def test_all_are_busy_is_shown_at_once_and_told_after_an_hour(world, docs):
    deployment = world.deploy(docs)
    world.declare("docs2", source="jsonl:docs.jsonl")
    other = world.deploy("docs2")
    pass_time(world, 600, CONTROL, busy_with(deployment))
    seen = waits(world, other)
    assert seen["cause"] == "busy"
    assert (
        "the only worker of queue bulk is busy: worker bulk@one with populate of docs since"
        in seen["text"]
    )
    assert "2 turns wait" in seen["text"]
    assert stuck(world) == []
    pass_time(world, 3100, CONTROL, busy_with(deployment))
    assert {notice.bound for notice in stuck(world)} == {"3600 s"}
    assert {notice.index for notice in stuck(world)} == {"docs", "docs2"}


def test_an_idle_worker_that_does_not_take_it_is_named_with_its_clock_and_what_it_threw_away(
    world, docs
):
    deployment = world.deploy(docs)
    wrong = replace(BULK, received=25, discarded=25)
    pass_time(world, 40, CONTROL, wrong, ahead=40.0)
    assert waits(world, deployment) is None
    pass_time(world, 300, CONTROL, wrong, ahead=40.0)
    assert waits(world, deployment)["cause"] == "lost"
    (told,) = stuck(world)
    assert "25 messages received, 25 discarded" in told.text
    assert "40.0 s ahead of the database's" in told.text
    assert "bulk@one" in told.text


def test_the_cause_that_changes_is_one_stand_still_that_says_the_latest(world, docs):
    world.deploy(docs)
    pass_time(world, 320, CONTROL)
    pass_time(world, 100, CONTROL, BULK)
    assert len(stuck(world)) == 1
    with world.services.sessions() as session:
        (text,) = [one["text"] for one in lasting(session)]
    assert "takes queue bulk, has room" in text


def lasting(session):
    return [row.message for row in session.scalars(select(ConditionRow))]


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_a_database_clock_that_jumps_makes_no_turn_late_and_nobody_silent(world, docs, jump):
    deployment = world.deploy(docs)
    pass_time(world, 250, CONTROL, busy_with(deployment))
    world.clock.move(jump)
    engine.knock_overdue_turns(world.services)
    pass_time(world, 100, CONTROL, busy_with(deployment))
    assert stuck(world) == []


def test_a_jump_does_not_make_what_is_due_late_at_once(world, docs):
    world.deploy(docs)
    pass_time(world, 10, CONTROL)
    world.clock.move(7200)
    pass_time(world, 60, CONTROL)
    assert stuck(world) == []


def test_a_wish_that_nobody_honours_waits_too(world, docs):
    deployment = world.deploy(
        docs, options={"soak": {"seconds": 90_000, "interval_seconds": 40_000}}
    )
    world.run(until=lambda: world.step(deployment, "soak")["status"] == "waiting")
    world.broker.waiting.clear()
    pass_time(world, 100, BULK)
    assert stuck(world) == []
    engine.store_request(world.services, deployment, Event.ABORT, "anna", "no")
    pass_time(world, 330, BULK)
    (told,) = stuck(world)
    assert "soak of docs" in told.text
    assert "no worker takes queue control" in told.text
    assert waits(world, deployment)["cause"] == "unlistened"


def test_a_turn_under_way_and_a_pause_wait_for_nobody(world, docs):
    deployment = world.deploy(docs)
    world.services = replace(world.services, times=replace(world.services.times, lease=86_400.0))
    with world.services.sessions.begin() as session:
        lease = world.clock.moment + timedelta(days=1)
        session.execute(
            update(Deployment).where(Deployment.id == deployment).values(lease_until=lease)
        )
    pass_time(world, 400, CONTROL)
    assert stuck(world) == []
    with world.services.sessions.begin() as session:
        session.execute(update(Deployment).values(lease_until=None, status="paused"))
    pass_time(world, 400, CONTROL)
    assert stuck(world) == []
    assert waits(world, deployment) is None


def test_a_request_that_ends_a_pause_is_due_from_then_and_not_since_before_the_pause(world, docs):
    deployment = world.deploy(docs)
    with world.services.sessions.begin() as session:
        session.execute(update(Deployment).values(status="paused"))
    pass_time(world, 400, CONTROL, BULK)
    engine.store_request(world.services, deployment, Event.ABORT, "anna", "half of it is missing")
    assert waits(world, deployment) is None
    pass_time(world, 20, CONTROL, BULK)
    assert waits(world, deployment) is None
    pass_time(world, 60, CONTROL, BULK)
    assert waits(world, deployment)["cause"] == "lost"
    assert waits(world, deployment)["seconds"] < 100


def test_each_turn_counts_from_its_own_beginning(world, docs):
    """A worker that comes now and then and takes one is no stand-still."""
    deployment = world.deploy(docs)
    for _ in range(4):
        pass_time(world, 200, CONTROL)
        engine.advance(world.services, deployment, world.status(deployment)["turn"], "hand")
    assert stuck(world) == []
    with world.services.sessions() as session:
        assert len(session.scalars(select(UnclaimedRow)).all()) <= 1
    assert world.status(deployment)["turn"] >= 8


def sweep_at_once(world, *more):
    """Six sweeps that meet, and ``more`` besides."""
    failed = []

    def sweep(act):
        try:
            act(world.services)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test tells
            failed.append(error)

    acts = (*(engine.knock_overdue_turns for _ in range(6)), *more)
    threads = [threading.Thread(target=sweep, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_sweeps_at_once_tell_once(world, docs):
    world.deploy(docs)
    pass_time(world, 280, CONTROL)
    for _ in range(5):
        world.clock.move(10)
        says(world, CONTROL)
        sweep_at_once(world)
    assert len(stuck(world)) == 1


# --- clocks ---------------------------------------------------------------------------------------


def clocks(world):
    return [(one.index, one.state) for one in world.told() if one.what == "worker.clock_off"]


@pytest.mark.parametrize("ahead", [40.0, -7200.0, 2.5])
def test_a_wrong_clock_is_told_once_and_again_only_when_it_was_right_meanwhile(world, ahead):
    pass_time(world, 100, BULK, ahead=ahead)
    assert clocks(world) == [("bulk@one", "begun")]
    pass_time(world, 20, BULK, ahead=1.5)  # neither wrong nor right again
    pass_time(world, 20, BULK, ahead=ahead)
    assert clocks(world) == [("bulk@one", "begun")]
    pass_time(world, 20, BULK)
    pass_time(world, 20, BULK, ahead=ahead)
    assert clocks(world) == [("bulk@one", state) for state in ("begun", "resolved", "begun")]
    told = next(one for one in world.told() if one.what == "worker.clock_off")
    assert f"{abs(ahead):,.1f} s" in told.text
    assert ("ahead of" if ahead > 0 else "behind") in told.text
    assert "NTP" in told.next


def test_sweeps_at_once_tell_of_a_clock_once_and_once_that_it_is_right(world):
    """Also while alerts that last are looked through for those to be repeated."""
    pass_time(world, 10, BULK)
    for _ in range(5):
        for ahead in (40.0, 0.0):
            world.clock.move(10)
            says(world, BULK, ahead=ahead)
            sweep_at_once(world, deliveries.deliver_due, deliveries.deliver_due)
    assert clocks(world) == [
        ("bulk@one", state) for _ in range(5) for state in ("begun", "resolved")
    ]


def test_the_wrong_clock_of_a_worker_that_ends_is_over(world):
    pass_time(world, 20, BULK, ahead=40.0)
    with world.services.sessions.begin() as session:
        workers.withdraw(session, BULK.name, BULK.host, BULK.pid)
    pass_time(world, 10, CONTROL)
    assert clocks(world) == [("bulk@one", "begun"), ("bulk@one", "resolved")]


def test_a_right_clock_is_not_spoken_of(world):
    pass_time(world, 100, BULK, ahead=1.9)
    assert clocks(world) == []
