"""Observations in the database: added once, summed rightly, folded without a loss."""

import random
import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from qdrant_rollouts.core.database.models import TrafficRow
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.routing import traffic
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.statistics.traffic_sketch import GROUPS, TrafficSketch
from tests.world import World, texts

KEY = TrafficKey("docs", "deployment/3", "canary", "real", "docs_2")
OTHER = TrafficKey("docs", "deployment/4", "control", "real", "docs_1")


def searches(count: int, seed: int = 1) -> TrafficSketch:
    rng = random.Random(seed)
    tally = TrafficSketch()
    for _ in range(count):
        tally.add(
            rng.randrange(GROUPS),
            rng.random() / 10,
            error=rng.random() < 0.1,
            results=rng.randrange(3),
        )
    return tally


def write(
    world: World, sequence: int, tallies: dict[TrafficKey, TrafficSketch], process: str = "one"
) -> None:
    traffic.write_tallies(world.services.sessions, world.clock, process, sequence, tallies)


def total(world: World, key: TrafficKey = KEY) -> TrafficSketch:
    with world.services.sessions() as session:
        return traffic.read_tallies(session, key.alias, key.stage).get(key, TrafficSketch())


def same(one: TrafficSketch, other: TrafficSketch) -> bool:
    return (one.cells, one.failed, one.nothing) == (other.cells, other.failed, other.nothing)


def rows(world: World) -> Counter:
    with world.services.sessions() as session:
        return Counter(session.scalars(select(TrafficRow.process)))


def test_batches_of_several_processes_add_up(world):
    write(world, 1, {KEY: searches(50, 1), OTHER: searches(5)})
    write(world, 1, {KEY: searches(70, 2)}, "two")
    both = searches(50, 1)
    both.merge(searches(70, 2))
    assert same(total(world), both)
    with world.services.sessions() as session:
        assert traffic.read_tallies_by_stage(session, "docs", "deployment/").keys() == {
            KEY.stage,
            OTHER.stage,
        }
        assert traffic.read_tallies_by_stage(session, "docs", "deployment/3").keys() == {KEY.stage}


def test_a_batch_whose_answer_was_lost_is_counted_once(world):
    write(world, 1, {KEY: searches(50), OTHER: searches(5)})
    write(world, 1, {KEY: searches(50), OTHER: searches(5)})
    assert total(world).calls == 50
    assert total(world, OTHER).calls == 5


def test_folding_leaves_one_row_for_a_minute_and_changes_no_figure(world):
    for number in range(30):
        write(world, number, {KEY: searches(10, number), OTHER: searches(3, number)})
        world.clock.move(1)
    before = total(world), total(world, OTHER)
    assert traffic.fold_traffic(world.services) == 0, "what is young is left alone"
    world.clock.move(180)
    assert traffic.fold_traffic(world.services) == 58
    assert (same(total(world), before[0]), same(total(world, OTHER), before[1])) == (True, True)
    assert rows(world) == {"minute": 2}
    assert traffic.fold_traffic(world.services) == 0


def test_hours_and_days_are_folded_further_and_the_figures_stay(world):
    for number in range(120):
        write(world, number, {KEY: searches(10, number)})
        world.clock.move(60)
        traffic.fold_traffic(world.services)
    before = total(world)
    world.clock.move(3 * 86400)
    while traffic.fold_traffic(world.services):
        pass
    assert set(rows(world)) == {"day"}
    found = total(world)
    figures = [(one.calls, one.errors, one.zeros, one.quantile(0.95)) for one in (before, found)]
    assert figures[0] == figures[1]
    assert found.units == 1, "nobody compares arms in what is so old"


def test_folding_at_the_same_time_as_writing_and_folding_loses_nothing(world):
    def write_on(process: str) -> None:
        for number in range(15):
            write(world, number, {KEY: searches(4, number)}, process)
            world.clock.move(20)

    def fold_on() -> None:
        for _ in range(15):
            traffic.fold_traffic(world.services)

    workers = [threading.Thread(target=write_on, args=(name,)) for name in "ab"]
    workers += [threading.Thread(target=fold_on) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    world.clock.move(600)
    traffic.fold_traffic(world.services)
    assert total(world).calls == 2 * 15 * 4


def test_a_process_that_dies_in_the_middle_of_folding_has_folded_nothing(world):
    for number in range(5):
        write(world, number, {KEY: searches(10, number)})
    world.clock.move(300)
    before = rows(world)

    class Dies(Exception):
        pass

    def die(*_: object) -> None:
        raise Dies

    event.listen(world.engine, "before_cursor_execute", _at_delete(die))
    with pytest.raises(Dies):
        traffic.fold_traffic(world.services)
    assert rows(world) == before


def _at_delete(act):
    def listener(connection, cursor, statement, parameters, context, many):
        if statement.startswith("DELETE FROM traffic"):
            act()

    return listener


def test_what_is_older_than_a_month_goes(world):
    write(world, 1, {KEY: searches(10)})
    world.clock.moment += timedelta(days=31)
    write(world, 2, {KEY: searches(7)})
    assert traffic.prune_traffic(world.services) == 1
    assert total(world).calls == 7


def test_what_a_deployment_judges_keeps_its_users_and_stays_until_it_has_ended(world):
    world.declare("docs", source=world.write("docs.jsonl", texts(5)))
    deployment = world.deploy("docs")
    mine = replace(KEY, stage=f"{deployment}/3")
    write(world, 1, {mine: searches(200), KEY: searches(200)})
    before = total(world, mine)
    world.clock.moment += timedelta(days=40)
    while traffic.fold_traffic(world.services):
        pass
    assert (total(world, mine).units, total(world).units) == (before.units, 1)
    assert traffic.prune_traffic(world.services) == 1
    assert same(total(world, mine), before)
    commands.request_action(world.services, deployment, Event.ABORT, actor="anna")
    world.run()
    assert traffic.prune_traffic(world.services) == 1
