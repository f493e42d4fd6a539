"""The sweep reads what is due, in bounded batches, and nothing that waits."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from qdrant_rollouts.core.database.models import Deployment, Places, StepRow
from qdrant_rollouts.core.deployments import due_turns, engine, places
from qdrant_rollouts.core.lifecycle import Event, Place
from tests import crowds, plans
from tests.world import World, texts

WAITING = 1_500
#: How many of each list are due while the plans are looked at.
DUE = 7
HOUR = timedelta(hours=1)
MOMENT = timedelta(seconds=1)
LISTS = {"turns_unasked", "turns_asked", "turns_held", "turns_paused", "turns_written"}


@pytest.fixture
def crowd(world: World) -> World:
    """A world whose turns are knocked for by the sweep, as over a broker."""
    world.change_services(times=replace(world.services.times, holds_waits=False))
    return world


def write(world: World, numbers: range, due_in: timedelta) -> None:
    with world.services.sessions.begin() as session:
        crowds.write_waiting(session, world.clock.moment, numbers, due_in)


def sweep(world: World) -> list[str]:
    return [knock.deployment_id for knock in engine.knock_overdue_turns(world.services)]


def change(world: World, numbers: range, **values: object) -> None:
    ids = [crowds.name_deployment(number) for number in numbers]
    with world.services.sessions.begin() as session:
        session.execute(update(Deployment).where(Deployment.id.in_(ids)).values(values))


def make_due_in_each_list(world: World) -> None:
    """Makes ``DUE`` turns due that nobody has asked for, as many that nobody has answered, as many
    whose worker has died, and as many requests."""
    now = world.clock.moment
    change(world, range(DUE), wake_at=now - MOMENT)
    asked = {"wake_at": now - HOUR, "knocked_at": now - HOUR + MOMENT}
    change(world, range(DUE, 2 * DUE), **asked)
    change(world, range(2 * DUE, 3 * DUE), **asked, lease_until=now - MOMENT)
    change(world, range(3 * DUE, 4 * DUE), requested=Event.PAUSE, knocked_at=None)


def test_a_sweep_over_thousands_that_wait_reads_only_the_rows_that_are_due(crowd: World) -> None:
    write(crowd, range(WAITING), HOUR)
    with crowd.services.sessions.begin() as session:
        crowds.write_queued(session, crowd.clock.moment, range(WAITING, 2 * WAITING))
        for number in range(places.REBUILDS):
            row = session.get_one(Deployment, crowds.name_deployment(number + 5 * DUE))
            row.place = Place.TAKEN
    make_due_in_each_list(crowd)
    plans.analyze(crowd.engine)
    knocked: list[str] = []
    reads = plans.explain(crowd.engine, "deployments", lambda: knocked.extend(sweep(crowd)))
    assert sorted(knocked) == [crowds.name_deployment(number) for number in range(4 * DUE)]
    assert {read.index for read in reads} >= LISTS
    assert "" not in {read.index for read in reads}
    most = {None} if crowd.engine.dialect.name == "sqlite" else set(range(4 * DUE + 1))
    assert {read.rows for read in reads} <= most


def test_what_waits_for_a_place_keeps_no_due_turn_from_being_noticed(crowd: World) -> None:
    with crowd.services.sessions.begin() as session:
        crowds.write_queued(session, crowd.clock.moment, range(WAITING))
    write(crowd, range(WAITING, WAITING + 1), -HOUR)
    with crowd.services.sessions() as session:
        late = due_turns.list_late(session, crowd.clock.moment, 15.0, 100)
    assert [row.id for row in late] == [crowds.name_deployment(WAITING)]


def test_thousands_that_are_due_at_once_are_asked_for_within_a_few_sweeps_each_once(
    crowd: World,
) -> None:
    write(crowd, range(WAITING), -MOMENT)
    found: Counter[str] = Counter()
    sizes = []
    for _ in range(3):
        knocked = sweep(crowd)
        sizes.append(len(knocked))
        found.update(knocked)
        crowd.clock.move(1)
    assert sizes == [1000, 500, 0]
    assert len(found) == WAITING
    assert set(found.values()) == {1}


def test_those_that_nobody_answers_keep_no_later_one_from_being_asked_for(crowd: World) -> None:
    """No worker takes the queue of thousands, and they are asked for again and again."""
    write(crowd, range(WAITING), -MOMENT)
    for _ in range(20):
        sweep(crowd)
        crowd.clock.move(1)
    write(crowd, range(WAITING, WAITING + 1), -MOMENT)
    assert crowds.name_deployment(WAITING) in sweep(crowd)


def test_all_that_nobody_answers_are_asked_for_again_those_that_wait_longest_first(
    crowd: World,
) -> None:
    write(crowd, range(WAITING), -HOUR)
    first, second = sweep(crowd), sweep(crowd)
    crowd.clock.move(crowd.services.times.knock_again_after + 1)
    assert sorted(sweep(crowd) + sweep(crowd)) == sorted(first + second)


def test_an_operators_request_is_asked_for_before_thousands_of_turns(crowd: World) -> None:
    write(crowd, range(WAITING), -MOMENT)
    change(crowd, range(WAITING - 1, WAITING), requested=Event.PAUSE, knocked_at=None)
    assert sweep(crowd)[0] == crowds.name_deployment(WAITING - 1)


def test_the_database_and_the_words_for_people_have_one_order_of_the_queue(world: World) -> None:
    now = world.clock.moment
    with world.services.sessions.begin() as session:
        session.add(Places(id=1, rebuilds=60, per_model=60))
        crowds.write_queued(session, now, range(60))
        for number in range(60):
            row = session.get_one(Deployment, crowds.name_deployment(number))
            row.created_at = now + timedelta(seconds=37 * (number * 7 % 60) + number / 7)
            row.actor = ("schedule", "anna")[number % 3 == 0]
            row.records = number % 4
            if number % 10 == 0:
                row.steps[0].started_at = now
    with world.services.sessions() as session:
        ids = [crowds.name_deployment(number) for number in range(60)]
        told = places.queue(session, ids)
        line = places.look(session).waiting
    numbered = sorted(line, key=lambda one: one.order)
    assert [told[one.id]["place"] for one in numbered] == list(range(1, 61))


def test_a_state_that_cannot_be_read_keeps_the_sweep_from_nobody(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(3)))
    world.declare("faq", source="jsonl:docs.jsonl")
    started = [world.deploy("docs"), world.deploy("faq")]
    for deployment in started:
        world.run(until=world.at(deployment, "populate"))
    with world.services.sessions.begin() as session:
        mine = StepRow.deployment_id == started[0], StepRow.name == "populate"
        session.execute(update(StepRow).where(*mine).values(state={"look": 5, "way": "delta"}))
    world.broker.waiting.clear()
    world.clock.move(60)
    assert set(sweep(world)) == set(started)
