"""What is kept of searches and fillings for the charts, on both databases: each once, thinned, and
not for ever."""

import threading
from dataclasses import asdict
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event, func, select

from qdrant_rollouts.core.database.history_rows import FillHistoryRow, SearchHistoryRow
from qdrant_rollouts.core.database.models import TrafficRow
from qdrant_rollouts.core.deployments import fill_history
from qdrant_rollouts.core.operations.sweeps import fold_observations
from qdrant_rollouts.core.routing import search_history, traffic
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.statistics.search_counts import SearchCounts
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch
from tests.contract.test_traffic import KEY, OTHER, searches, write
from tests.world import World, texts

SHADOW = TrafficKey("docs", "deployment/3", "canary", "shadow", "docs_2")


def read(world: World, level: str) -> dict[tuple[datetime, str], SearchCounts]:
    found = {}
    with world.services.sessions() as session:
        for row in session.scalars(select(SearchHistoryRow).where(SearchHistoryRow.level == level)):
            counts = SearchCounts()
            counts.add_packed(row.errors, row.latencies)
            found[row.at, row.collection] = counts
    return found


def total(world: World, level: str) -> int:
    return sum(counts.searches for counts in read(world, level).values())


def fold_all(world: World) -> None:
    while traffic.fold_traffic(world.services):
        pass


def test_folding_adds_each_batch_to_its_minute_and_its_hour(world):
    expected = TrafficSketch()
    for number in range(3):
        write(world, number, {KEY: searches(50, number), OTHER: searches(5), SHADOW: searches(9)})
        expected.merge(searches(50, number))
        world.clock.move(10)
    world.clock.move(180)
    fold_all(world)
    for level in ("minute", "hour"):
        found = read(world, level)
        assert {collection: counts.searches for (_, collection), counts in found.items()} == {
            "docs_1": 15,
            "docs_2": 150,
        }
        green = next(counts for (_, name), counts in found.items() if name == "docs_2")
        assert green.errors == expected.errors
        assert green.quantile(0.95) == expected.quantile(0.95)


def test_so_many_old_batches_that_some_never_become_a_minute_are_counted_once(world):
    """A sweep folds two thousand rows into minutes; the rest go into their hours directly."""
    tally = searches(1).to_json()
    begun = world.clock.moment
    with world.services.sessions.begin() as session:
        session.add_all(
            TrafficRow(
                **asdict(KEY), process="one", sequence=number, at=begun + timedelta(seconds=number),
                tally=tally,
            )
            for number in range(2100)
        )  # fmt: skip
    world.clock.move(10 * 3600)
    traffic.fold_traffic(world.services)
    assert (total(world, "minute"), total(world, "hour")) == (2100, 2100)
    fold_all(world)
    assert (total(world, "minute"), total(world, "hour")) == (2100, 2100)


def test_two_that_fold_at_the_same_time_count_each_batch_once(world):
    for number in range(40):
        write(world, number, {KEY: searches(4, number)}, "ab"[number % 2])
        world.clock.move(7)
    world.clock.move(300)
    folders = [
        threading.Thread(target=traffic.fold_traffic, args=(world.services,)) for _ in range(3)
    ]
    for folder in folders:
        folder.start()
    for folder in folders:
        folder.join()
    fold_all(world)
    assert (total(world, "minute"), total(world, "hour")) == (160, 160)


def test_who_finds_another_one_folding_waits_for_nothing(tmp_path, ready_postgres_url):
    """There is more to fold than one takes, in the same minute."""
    world = World(tmp_path, ready_postgres_url)
    row = {
        **asdict(KEY),
        "process": "one",
        "at": world.clock.moment,
        "tally": searches(1).to_json(),
    }
    with world.services.sessions.begin() as session:
        session.add_all(TrafficRow(**row, sequence=number) for number in range(2001))
    world.clock.move(300)
    folded = []

    def fold(connection, cursor, statement, parameters, context, many):
        if statement.startswith("DELETE FROM traffic") and not folded:
            folded.append(None)
            folded.append(traffic.fold_traffic(world.services))

    event.listen(world.engine, "before_cursor_execute", fold)
    traffic.fold_traffic(world.services)
    assert folded == [None, 0]
    fold_all(world)
    assert total(world, "minute") == 2001
    world.close()


def test_who_dies_in_the_middle_of_folding_has_counted_nothing(world):
    write(world, 1, {KEY: searches(10)})
    world.clock.move(300)

    class Dies(Exception):
        pass

    def die(connection, cursor, statement, parameters, context, many):
        if statement.startswith("DELETE FROM traffic"):
            raise Dies

    event.listen(world.engine, "before_cursor_execute", die)
    with pytest.raises(Dies):
        traffic.fold_traffic(world.services)
    assert total(world, "minute") == 0
    event.remove(world.engine, "before_cursor_execute", die)
    fold_all(world)
    assert total(world, "minute") == 10


def test_what_is_not_folded_yet_is_read_once_beside_what_is(world):
    write(world, 1, {KEY: searches(10)})
    world.clock.move(300)
    write(world, 2, {KEY: searches(7), SHADOW: searches(3)})
    fold_all(world)
    since = world.clock.moment - timedelta(hours=1)
    with world.services.sessions() as session:
        fresh = traffic.list_unfolded(session, "docs", since, 100)
        folded = search_history.list_searches(session, "docs", "minute", since, world.clock.moment)
    assert [sum(tally["cells"][2]) for _, _, tally in fresh] == [7]
    assert len(folded) == 1


def test_minutes_are_kept_for_a_day_and_hours_for_ninety(world):
    write(world, 1, {KEY: searches(10)})
    world.clock.move(300)
    fold_observations(world.services)
    assert (total(world, "minute"), total(world, "hour")) == (10, 10)
    world.clock.moment += timedelta(hours=26)
    fold_observations(world.services)
    assert (total(world, "minute"), total(world, "hour")) == (0, 10)
    world.clock.moment += timedelta(days=88)
    fold_observations(world.services)
    assert total(world, "hour") == 10
    world.clock.moment += timedelta(days=2)
    fold_observations(world.services)
    assert total(world, "hour") == 0


def test_where_the_intervals_grow_no_filling_seems_to_begin_anew(world):
    """The first sample of a minute is later than those of ten seconds that it is sorted before."""
    world.declare("docs", source=world.write("docs.jsonl", texts(1)))
    deployment = world.deploy("docs")
    begun = world.clock.moment.replace(second=0)
    with world.services.sessions.begin() as session:
        for at, seen in ((-10, -5), (10, 15), (50, 55), (0, 58), (60, 90)):
            session.add(
                FillHistoryRow(
                    deployment_id=deployment, at=begun + timedelta(seconds=at), alias="docs",
                    collection="docs_1", attempt=1, seen_at=begun + timedelta(seconds=seen),
                    records=1000 + seen, rate=None,
                )
            )  # fmt: skip
    with world.services.sessions() as session:
        rates = fill_history.list_rates_of_run(session, deployment)
    assert [rate.records for rate in rates] == [0, 20, 40, 3, 32]


def test_a_filling_is_sampled_and_its_samples_go_after_ninety_days(world):
    world.declare("docs", source=world.write("docs.jsonl", texts(60)))
    deployment = world.deploy("docs")
    world.run()
    assert world.status(deployment)["status"] == "live"
    with world.services.sessions() as session:
        samples = session.scalars(select(FillHistoryRow)).all()
        rates = fill_history.list_fill_rates(session, "docs", world.clock.moment - timedelta(1))
    assert samples[-1].records == 60
    assert {sample.deployment_id for sample in samples} == {deployment}
    assert rates[0].rate is not None
    world.clock.moment += timedelta(days=91)
    fold_observations(world.services)
    with world.services.sessions() as session:
        assert session.scalar(select(func.count()).select_from(FillHistoryRow)) == 0
