"""Places among the rebuilds, on SQLite and on PostgreSQL: never more than the limit, whatever is
doubled or killed."""

import queue
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, select, update

from qdrant_rollouts.core.config.index_file import ConcurrencySpec
from qdrant_rollouts.core.database.models import Deployment, Places
from qdrant_rollouts.core.deployments import claims, commands, engine, placing
from qdrant_rollouts.core.deployments.commands import start_rollback
from qdrant_rollouts.core.errors import LeaseLost, Refused
from qdrant_rollouts.core.lifecycle import Event, Place
from qdrant_rollouts.core.operations.views import metrics
from qdrant_rollouts.core.ports import Knock
from tests.schedules import at
from tests.world import World, texts

#: The gate is not what is tried.
QUICK = {"samples": {"records": 3, "queries": 3}}
OTHER = {"embedding": {"model": "hashing:32", "text": "{text}"}}


def limit(world: World, rebuilds: int, per_model: int = 100) -> None:
    world.concurrency = ConcurrencySpec(rebuilds=rebuilds, per_model=per_model)


def deploy(world: World, *aliases: str, records: int = 8, **settings: Any) -> list[str]:
    source = world.write(f"{records}.jsonl", texts(records))
    return [_deployed(world, alias, source, settings) for alias in aliases]


def _deployed(world: World, alias: str, source: str, settings: dict[str, Any]) -> str:
    """A second after the one before it."""
    world.clock.move(1)
    world.declare(alias, source=source, **settings)
    return world.deploy(alias)


def said(world: World, deployment: str) -> str | None:
    told = world.status(deployment)["queue"]
    return told["text"] if told else None


def placed(world: World) -> list[str]:
    """Aliases of those that have a place."""
    with world.services.sessions() as session:
        query = (
            select(Deployment.alias)
            .where(Deployment.place == Place.TAKEN)
            .order_by(Deployment.placed_at)
        )
        return list(session.scalars(query))


def knocked(world: World) -> set[str]:
    return {knock.deployment_id for _, knock in world.broker.waiting}


def greens(world: World) -> set[str]:
    """Collections that no alias leads to."""
    return world.store.collections() - set(world.store.aliases().values())


# --- the queue ------------------------------------------------------------------------------------


def test_those_beyond_the_limit_wait_and_say_what_for(world: World) -> None:
    limit(world, 2)
    first, second, third, fourth = deploy(world, "a", "b", "c", "d")
    assert placed(world) == ["a", "b"]
    assert (said(world, first), said(world, second)) == (None, None)
    assert said(world, third) == "place 1 of 2; waits for 2 rebuilds (a, b)"
    assert said(world, fourth) == "place 2 of 2; waits for 2 rebuilds (a, b)"
    assert world.status(fourth)["status"] == "pending"
    assert knocked(world) == {first, second}


def test_all_of_them_end_live_one_after_the_other(world: World) -> None:
    limit(world, 1)
    ids = deploy(world, "a", "b", "c", "d")
    most = 0

    def watched() -> bool:
        nonlocal most
        most = max(most, len(greens(world)))
        return False

    world.run(watched)
    assert [world.status(id)["status"] for id in ids] == ["live"] * 4
    assert most == 1


def test_the_next_is_knocked_at_once_when_an_alias_has_moved(world: World) -> None:
    limit(world, 1)
    first, second = deploy(world, "a", "b")
    world.run(world.at(first, "soak"))
    assert world.status(first)["status"] == "running"
    assert placed(world) == ["b"]
    assert second in knocked(world)


def test_a_message_for_one_that_waits_does_nothing(world: World) -> None:
    limit(world, 1)
    _, second = deploy(world, "a", "b")
    turn = world.status(second)["turn"]
    written = engine.advance(world.services, second, turn, "hand")
    assert written.line == "nothing to do: pending, waits for a place among the rebuilds"
    assert (world.status(second)["turn"], written.knock) == (turn, None)


def test_waiting_costs_no_message_and_is_no_alert_however_long_it_lasts(world: World) -> None:
    limit(world, 1)
    deploy(world, "a", *(f"b{number}" for number in range(9)))
    world.broker.waiting.clear()
    knocks: list[Knock] = []
    for _ in range(25):
        world.clock.move(60)
        knocks += engine.knock_overdue_turns(world.services)
    assert {world.status(knock.deployment_id)["alias"] for knock in knocks} == {"a"}
    assert [notice.what for notice in world.told() if notice.index != "a"] == [
        "deployment.created"
    ] * 9


def test_a_limit_that_is_raised_lets_the_next_begin_with_the_next_sweep(world: World) -> None:
    limit(world, 1)
    deploy(world, "a", "b", "c")
    limit(world, 2)
    assert placed(world) == ["a"]
    engine.knock_overdue_turns(world.services)
    assert placed(world) == ["a", "b"]


def test_a_limit_that_is_lowered_takes_no_place_away(world: World) -> None:
    limit(world, 2)
    first, second, third = deploy(world, "a", "b", "c")
    limit(world, 1)
    engine.knock_overdue_turns(world.services)
    assert placed(world) == ["a", "b"]
    world.run(world.at(first, "soak"))
    assert placed(world) in (["b"], [])
    world.run()
    assert [world.status(id)["status"] for id in (first, second, third)] == ["live"] * 3


def test_an_index_file_that_says_nothing_or_cannot_be_read_leaves_the_limit_as_it_was(
    world: World,
) -> None:
    limit(world, 1)
    deploy(world, "a", "b")
    world.concurrency = None
    engine.knock_overdue_turns(world.services)
    assert placed(world) == ["a"]

    def broken() -> None:
        raise Refused("rollouts.yaml: cannot be read")

    world.services = replace(world.services, concurrency=broken)
    engine.knock_overdue_turns(world.services)
    assert placed(world) == ["a"]


def test_so_many_as_one_machine_can_do_build_where_nobody_says_otherwise(world: World) -> None:
    deploy(world, "a", "b", "c")
    deploy(world, "d", "e", "f", **OTHER)
    assert placed(world) == ["a", "b", "d", "e"]


# --- the order ------------------------------------------------------------------------------------


def test_a_person_comes_before_a_schedule(world: World) -> None:
    limit(world, 1)
    deploy(world, "a")
    world.declare("night", source="jsonl:8.jsonl")
    scheduled = commands.start_deployment(world.services, "night", actor="schedule")
    (person,) = deploy(world, "b")
    assert said(world, person) == "place 1 of 2; waits for 1 rebuild (a)"
    assert said(world, scheduled) == "place 2 of 2; waits for 1 rebuild (a)"


def test_of_one_minute_the_smaller_comes_first_and_of_several_the_older(world: World) -> None:
    limit(world, 100)
    deploy(world, "large", records=40)
    deploy(world, "small", records=10)
    world.run()
    at(world, "2026-11-03T02:00:00")
    limit(world, 1)
    deploy(world, "first")
    large, small = deploy(world, "large", "small", records=41)
    world.clock.move(60)
    (late,) = deploy(world, "new")
    places = {
        name: world.status(id)["queue"]["place"]
        for name, id in (("s", small), ("l", large), ("n", late))
    }
    assert places == {"s": 1, "l": 2, "n": 3}


def test_one_of_another_model_passes_one_whose_model_is_taken(world: World) -> None:
    limit(world, 3, per_model=1)
    _, second = deploy(world, "a", "b")
    deploy(world, "c", **OTHER)
    assert placed(world) == ["a", "c"]
    assert said(world, second) == "place 1 of 1; waits for 1 rebuild with hashing:64 (a)"


def test_what_took_its_place_first_is_served_first(world: World) -> None:
    limit(world, 3)
    first, second, third = deploy(world, "a", "b", "c")
    world.broker.waiting.clear()
    world.clock.move(60)
    engine.knock_overdue_turns(world.services)
    served = {knock.deployment_id: knock.first for _, knock in world.broker.waiting}
    assert served == {first: True, second: False, third: False}
    world.run(world.at(first, "soak"))
    with world.services.sessions() as session:
        building = [session.get_one(Deployment, id) for id in (first, second, third)]
        served = {row.alias: claims.knock_for(row, world.clock.moment).first for row in building}
    assert (
        [alias for alias, at_the_front in served.items() if at_the_front]
        == placed(world)[:1]
        != ["a"]
    )


# --- who has a place, and who needs none ----------------------------------------------------------


def test_a_pause_gives_the_place_back_and_going_on_waits_for_one_before_all_that_have_not_begun(
    world: World,
) -> None:
    limit(world, 1)
    first, second, third = deploy(world, "a", "b", "c")
    world.run(world.at(first, "validate"))
    commands.request_action(world.services, first, Event.PAUSE, actor="anna")
    world.run(lambda: world.read_status(first) == "paused")
    assert placed(world) == ["b"]
    commands.request_action(world.services, first, Event.RESUME, actor="anna")
    world.run(lambda: world.read_status(first) == "running")
    assert said(world, first) == "place 1 of 2; waits for 1 rebuild (b)"
    assert said(world, third) == "place 2 of 2; waits for 1 rebuild (b)"
    world.run()
    assert [world.status(id)["status"] for id in (first, second, third)] == ["live"] * 3


def test_what_was_approved_after_its_gate_needs_no_place_to_switch(world: World) -> None:
    limit(world, 1)
    (first,) = deploy(world, "a", validation={"checks": {"judged_quality": True}})
    world.run()
    assert world.status(first)["status"] == "paused"
    deploy(world, "b", "c")
    assert placed(world) == ["b"]
    commands.request_action(world.services, first, Event.PROMOTE, actor="anna", reason="looked at")
    world.run(lambda: world.read_status(first) != "paused")
    assert said(world, first) is None
    assert first in knocked(world)


def test_a_canary_gives_its_place_back_before_its_first_stage(world: World) -> None:
    deploy(world, "a")
    world.run()
    limit(world, 1)
    stages = [{"percentage": 50, "duration_minutes": 1000}]
    (first,) = deploy(world, "a", records=9, strategy="canary", canary={"stages": stages})
    (second,) = deploy(world, "b")
    world.run(world.at(first, "shift"))
    assert world.status(first)["status"] == "running"
    assert (said(world, first), said(world, second)) == (None, None)
    assert placed(world) == ["b"]


def test_an_undo_keeps_its_place_until_green_is_dropped(world: World) -> None:
    limit(world, 1)
    first, _ = deploy(world, "a", "b")
    world.run(world.at(first, "validate"))
    commands.request_action(world.services, first, Event.ABORT, actor="anna")
    world.run(lambda: world.read_status(first) == "rolling_back")
    assert placed(world) == ["a"]
    world.run(lambda: world.read_status(first) == "rolled_back")
    assert world.status(first)["green"] not in world.store.collections()
    assert placed(world) == ["b"]


def test_a_rollback_never_waits(world: World) -> None:
    deploy(world, "a")
    world.run()
    deploy(world, "a", records=9)
    world.run()
    limit(world, 1)
    deploy(world, "b", "c")
    back = start_rollback(world.services, "a", actor="anna")
    assert said(world, back) is None
    assert back in knocked(world)


def test_a_deployment_of_a_collection_that_is_there_builds_nothing_and_never_waits(
    world: World,
) -> None:
    first, _ = deploy(world, "a", "b")
    world.run()
    limit(world, 1)
    deploy(world, "b", "c", records=9)
    world.store.create("theirs", world.store.schema("a"), {})
    world.store.upsert("theirs", world.store.scroll("a", None, 8)[0])
    taken = world.deploy("a", collection="theirs", options={"accept_new_model": True})
    assert said(world, taken) is None
    assert taken in knocked(world)
    assert first != taken


# --- wishes ---------------------------------------------------------------------------------------


def test_one_that_waits_is_aborted_at_once_by_those_who_do_not_build_and_says_that_nothing_was_made(
    world: World,
) -> None:
    limit(world, 1)
    _, second = deploy(world, "a", "b")
    world.broker.waiting.clear()
    commands.request_action(world.services, second, Event.ABORT, actor="anna", reason="not now")
    assert [knock.queue for _, knock in world.broker.waiting] == ["control"]
    world.run()
    status = world.status(second)
    assert status["status"] == "rolled_back"
    assert "it had not begun and nothing was made" in status["message"]
    assert {step["status"] for step in status["steps"]} == {"skipped"}
    assert world.store.collections() == set()
    assert said(world, second) is None


def test_one_that_is_given_a_place_and_aborted_before_its_first_turn_hands_it_on(
    world: World,
) -> None:
    limit(world, 1)
    first, _ = deploy(world, "a", "b")
    world.broker.waiting.clear()
    commands.request_action(world.services, first, Event.ABORT, actor="anna")
    world.run(lambda: placed(world) == ["b"])
    assert world.status(first)["status"] == "rolled_back"


# --- deadlines, numbers ---------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_queue(world: World) -> None:
    limit(world, 2)
    deploy(world, "a", "b", "c", "d", "e")
    taken = metrics.read_metrics(world.services)
    assert taken["rebuilds_waiting"].samples == [((), 3)]
    assert dict(taken["rebuild_places"].samples) == {("limit",): 2, ("taken",): 2}


def test_an_older_releases_deployment_waits_for_nobody_and_goes_on(world: World) -> None:
    limit(world, 1)
    deploy(world, "a")
    (old,) = deploy(world, "b")
    with world.services.sessions.begin() as session:
        session.execute(
            update(Deployment).where(Deployment.id == old).values(place=None, models=[], records=0)
        )
    world.clock.move(60)
    assert old in {knock.deployment_id for knock in engine.knock_overdue_turns(world.services)}
    world.run()
    assert world.status(old)["status"] == "live"


# --- many at once ---------------------------------------------------------------------------------


def test_who_arrives_while_places_are_given_is_not_given_one_too_many(world: World) -> None:
    """He comes before the one who is given the last place in this moment, and does not see that
    yet."""
    limit(world, 1)
    deploy(world, "a")
    world.declare("night", source="jsonl:8.jsonl")
    commands.start_deployment(world.services, "night", actor="schedule")
    limit(world, 2)
    with world.services.sessions.begin() as session:
        session.execute(update(Places).values(rebuilds=2))
    giving = threading.Event()
    go_on = threading.Event()

    def hold(session: object) -> None:
        if threading.current_thread() is giver:
            giving.set()
            go_on.wait(10)

    event.listen(world.services.sessions, "before_commit", hold)
    giver = threading.Thread(target=placing.give, args=(world.services,))
    arriving = threading.Thread(target=deploy, args=(world, "b"))
    giver.start()
    assert giving.wait(10)
    arriving.start()
    arriving.join(1)
    go_on.set()
    giver.join()
    arriving.join()
    engine.knock_overdue_turns(world.services)
    assert placed(world) == ["a", "night"]


class Crowd:
    """Workers in threads, to whom every message comes twice. ``dies`` is asked at each turn's end
    and start whether the worker dies there: then its lease is left behind, and the clock moves on
    once nobody works."""

    def __init__(self, world: World, dies: Callable[[], bool], workers: int = 6) -> None:
        self.world = world
        self.dies = dies
        self.messages: queue.Queue[Knock] = queue.Queue()
        self.busy = workers
        self.guard = threading.Lock()
        self.most = {"places": 0, "greens": 0}
        self.failures: list[BaseException] = []
        self.over = threading.Event()
        world.services = replace(world.services, knock=self.send)
        self.threads = [
            threading.Thread(target=self.work, name=f"worker-{number}") for number in range(workers)
        ]

    def send(self, knock: Knock) -> None:
        if self.dies():
            return  # lost with who sent it
        for _ in range(2):
            self.messages.put(knock)

    def run(self, is_over: Callable[[], bool]) -> None:
        for thread in self.threads:
            thread.start()
        for _ in range(2000):
            if self.failures or is_over():
                break
            if self.idle():
                self.world.clock.move(self.world.services.times.lease + 1)
                engine.knock_overdue_turns(self.world.services)
            self.over.wait(0.02)
        self.over.set()
        for thread in self.threads:
            thread.join()
        assert self.failures == []
        assert is_over()

    def idle(self) -> bool:
        with self.guard:
            return self.messages.empty() and not self.busy

    def work(self) -> None:
        self.add(-1)
        while not self.over.is_set():
            try:
                knock = self.messages.get(timeout=0.02)
            except queue.Empty:
                continue
            self.add(1)
            try:
                self.take(knock)
            except BaseException as error:
                self.failures.append(error)
                raise
            finally:
                self.add(-1)

    def add(self, number: int) -> None:
        with self.guard:
            self.busy += number

    def take(self, knock: Knock) -> None:
        services = self.world.services
        name = threading.current_thread().name
        if self.dies():
            claims.claim_turn(services, knock.deployment_id, knock.turn, name)
            return
        with suppress(LeaseLost):
            engine.advance(services, knock.deployment_id, knock.turn, name)
        with self.guard:
            self.most["places"] = max(self.most["places"], len(placed(self.world)))
            self.most["greens"] = max(self.most["greens"], len(greens(self.world)))


@pytest.mark.parametrize("deadly", [False, True])
def test_many_workers_build_as_many_as_the_limit_and_never_more(world: World, deadly: bool) -> None:
    """Message by message at once: places are given back and taken by all of them in the same
    moments."""
    chance = random.Random(5)
    guard = threading.Lock()

    def dies() -> bool:
        with guard:
            return deadly and chance.random() < 0.08

    limit(world, 3, per_model=2)
    world.services = replace(world.services, times=replace(world.services.times, crashes=50))
    crowd = Crowd(world, dies)
    ids = deploy(world, *(f"a{number}" for number in range(6)), records=3, validation=QUICK)
    ids += deploy(
        world, *(f"b{number}" for number in range(3)), records=3, validation=QUICK, **OTHER
    )
    crowd.run(lambda: all(world.read_status(id) == "live" for id in ids))
    assert crowd.most == {"places": 3, "greens": 3}
