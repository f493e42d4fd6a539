"""The charts of an index, from what was stored, on both databases."""

import itertools
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event

from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.views.charts.queries import chart_deployment, chart_index
from qdrant_rollouts.core.routing import traffic
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.times import read_time
from tests.contract.test_gate import held, wish
from tests.contract.test_search_history import fold_all
from tests.contract.test_traffic import searches, write
from tests.world import World, texts

FIRST = TrafficKey("docs", "", "live", "real", "docs_1")
SECOND = TrafficKey("docs", "", "live", "real", "docs_2")


def chart(found, name: str):
    return next(one for one in found["charts"] if one["name"] == name)


def course(found, name: str, collection: str) -> list[float | None]:
    series = chart(found, name)["series"]
    return next(one["values"] for one in series if one["collection"] == collection)


def observed(values: list[float | None]) -> dict[int, float]:
    """Values by how many intervals before the last one they are."""
    return {len(values) - 1 - n: value for n, value in enumerate(values) if value is not None}


def test_each_minute_has_what_was_observed_in_it_folded_or_not(world):
    for number in range(4):
        write(world, number, {FIRST: searches(10 + number, number)})
        world.clock.move(60)
    traffic.fold_traffic(world.services)
    found = chart_index(world.services, "docs", "1h")
    assert observed(course(found, "searches", "docs_1")) == {3: 10, 2: 11, 1: 12, 0: 13}
    assert found["searched"]
    fold_all(world)
    assert chart_index(world.services, "docs", "1h")["charts"] == found["charts"]


def test_a_batch_that_is_folded_while_it_is_read_is_counted_once(world):
    """Between the two queries of the reader, another process folds; no reader keeps it waiting."""
    write(world, 1, {FIRST: searches(10)})
    world.clock.move(180)
    folded = []

    def fold(connection, cursor, statement, parameters, context, many):
        if "FROM search_history" in statement and not folded:
            folded.append(True)
            traffic.fold_traffic(world.services)

    event.listen(world.engine, "after_cursor_execute", fold)
    found = chart_index(world.services, "docs", "1h")
    event.remove(world.engine, "after_cursor_execute", fold)
    assert folded
    assert observed(course(found, "searches", "docs_1")) == {2: 10}


def test_what_nobody_told_is_no_zero_and_what_was_told_is_one(world):
    """docs_1 is not searched while docs_2 is, and nothing is known of the minute after that."""
    for number, keys in enumerate([[FIRST], [SECOND], [], [FIRST, SECOND], [SECOND]]):
        write(world, number, {key: searches(6) for key in keys})
        world.clock.move(60)
    found = chart_index(world.services, "docs", "1h")
    assert observed(course(found, "searches", "docs_1")) == {4: 6, 3: 0, 1: 6}
    assert observed(course(found, "p95", "docs_1")).keys() == {4, 1}
    assert observed(course(found, "searches", "docs_2")) == {3: 6, 1: 6, 0: 6}


def test_the_last_ones_have_their_own_course_and_the_others_one_together(world):
    for number in range(12):
        key = TrafficKey("docs", "", "live", "real", f"docs_{number:02}")
        write(world, number, {key: searches(5, number)})
        world.clock.move(60)
    series = chart(chart_index(world.services, "docs", "1h"), "searches")["series"]
    assert [one["collection"] for one in series] == [f"docs_{n:02}" for n in range(5, 12)] + [None]
    assert sum(observed(series[-1]["values"]).values()) == 25


def count_searches(found) -> float:
    """The last interval is shorter: it ends now."""
    times = [datetime.fromisoformat(time) for time in (*found["times"], found["until"])]
    minutes = [(end - begin) / timedelta(minutes=1) for begin, end in itertools.pairwise(times)]
    values = found["series"][0]["values"]
    pairs = zip(minutes, values, strict=True)
    return sum(length * value for length, value in pairs if value is not None)


def test_the_whole_period_is_shown_in_few_intervals(world):
    for hours in range(24 * 4):
        write(world, hours, {FIRST: searches(3)})
        world.clock.move(3600)
    fold_all(world)
    for period, expected in (("24h", 24), ("7d", 96), ("90d", 96)):
        found = chart(chart_index(world.services, "docs", period), "searches")
        assert len(found["times"]) <= 240
        assert count_searches(found) == pytest.approx(3 * expected, abs=3)
    with pytest.raises(Malformed, match="known: 1h, 6h, 24h, 7d, 30d, 90d"):
        chart_index(world.services, "docs", "2w")


def built(world: World, **settings) -> str:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), **settings)
    deployment = world.deploy("docs")
    world.run()
    return deployment


def test_versions_have_their_figures_and_moves_their_marks(world):
    first = built(world)
    second = built(world)
    back = commands.start_rollback(world.services, "docs", actor="anna")
    world.run()
    statuses = [world.status(one)["status"] for one in (first, second, back)]
    assert statuses == ["live"] * 3
    found = chart_index(world.services, "docs")
    figures = {
        one["name"]: [point["value"] for point in one["points"]] for one in found["versions"]
    }
    assert figures["points"] == [30, 30]
    assert figures["ann_recall@10"] == [1.0, 1.0]
    assert len(figures["build"]) == 2
    assert "ndcg@10" not in figures, "no query was judged"
    moves = [(one["version"], one["kind"]) for one in found["switches"]]
    assert moves == [(1, "switch"), (2, "switch"), (1, "rollback")]


def test_the_build_time_leaves_out_what_waits_for_a_person(world):
    built(world)
    waiting = held(world)
    world.clock.move(7200)
    assert wish(world, waiting, Event.PROMOTE)["status"] == "live"
    versions = chart_index(world.services, "docs")["versions"]
    (build,) = [one for one in versions if one["name"] == "build"]
    assert [point["version"] for point in build["points"]] == [1, 2]
    assert [point["value"] < 3600 for point in build["points"]] == [True, True], build
    assert "waits for a person are left out" in build["note"]
    judged = next(one for one in world.status(waiting)["steps"] if one["name"] == "validate")
    took = read_time("end", judged["finished_at"]) - read_time("begin", judged["started_at"])
    assert took >= timedelta(hours=2), "the step itself has waited"


def test_a_deployment_shows_its_filling_and_the_searches_of_its_two_collections(world):
    built(world)
    live = world.store.aliases()["docs"]
    deployment = built(world)
    green = world.store.aliases()["docs"]
    for number, collection in enumerate((live, green, "another")):
        key = TrafficKey("docs", "", "live", "real", collection)
        write(world, number, {key: searches(5)})
    world.clock.move(120)
    found = chart_deployment(world.services, deployment)
    assert [one["name"] for one in found["charts"]] == ["searches", "p50", "p95", "filling"]
    assert [one["version"] for one in chart(found, "searches")["series"]] == [2, 1]
    filling = chart(found, "filling")["series"]
    assert [one["collection"] for one in filling] == [green]
    assert observed(filling[0]["values"])


def test_a_chart_begins_where_its_period_begins_and_ends_in_the_present_minute(world):
    write(world, 1, {FIRST: searches(1)})
    world.clock.move(90)
    found = chart(chart_index(world.services, "docs", "1h"), "searches")
    now = world.clock.moment
    first = datetime.fromisoformat(found["times"][0])
    assert first == now.replace(second=0) - timedelta(hours=1)
    assert datetime.fromisoformat(found["until"]) == now.replace(second=0)
    assert len(found["times"]) == 60
