"""One index is filled by several workers: each fills a slice of the source, in any order, and the
result is the one that a single worker makes."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from qdrant_rollouts.core.collections.records import MARK_KEY
from qdrant_rollouts.core.database.history_rows import FillHistoryRow
from qdrant_rollouts.core.database.slice_rows import SliceRow
from qdrant_rollouts.core.deployments import commands, due_slices, engine
from qdrant_rollouts.core.deployments.slices import advance_slice
from qdrant_rollouts.core.errors import LeaseLost, Refused, Unavailable
from qdrant_rollouts.core.lifecycle import Event, SliceStatus
from qdrant_rollouts.core.ports import Knock
from tests.contract.test_engine import Failing
from tests.mortal import Killed
from tests.world import World, texts

RECORDS = 90


def declare(world: World, parallel: int, **settings: Any) -> None:
    if "source" not in settings:
        settings["source"] = world.write("docs.jsonl", texts(RECORDS))
    world.declare("docs", populate={"parallel": parallel}, **settings)


def deployed(world: World, parallel: int, **settings: Any) -> dict[str, Any]:
    declare(world, parallel, **settings)
    deployment = world.deploy("docs")
    world.run()
    return world.status(deployment)


def slices_of(world: World, deployment: str) -> list[SliceRow]:
    query = select(SliceRow).where(SliceRow.deployment_id == deployment)
    with world.services.sessions() as session:
        return list(session.scalars(query.order_by(SliceRow.number)))


def begun(world: World, parallel: int = 3, **settings: Any) -> str:
    """Runs a deployment until its slices are planned, and no turn of one was taken."""
    declare(world, parallel, **settings)
    deployment = world.deploy("docs")
    world.run(until=lambda: bool(slices_of(world, deployment)))
    return deployment


def knock_for(world: World, deployment: str, number: int) -> Knock:
    row = slices_of(world, deployment)[number]
    return due_slices.knock_for(row, "docs", world.clock.moment)


def content(world: World, collection: str) -> dict[Any, Any]:
    """Returns vectors and payloads by id, without the place of the record in its slice."""
    points, _ = world.store.scroll(collection, None, 1000)
    found = {}
    for point in points:
        payload = dict(point.payload)
        payload[MARK_KEY] = {key: payload[MARK_KEY][key] for key in payload[MARK_KEY] if key != "n"}
        found[point.id] = (list(point.vector), payload)
    return found


@pytest.mark.parametrize("parallel", [3, 7])
def test_slices_make_the_points_that_one_worker_makes(world: World, parallel: int) -> None:
    one = deployed(world, 1)
    many = deployed(world, parallel)
    assert many["status"] == "live"
    assert len(slices_of(world, many["id"])) == parallel
    assert content(world, many["green"]) == content(world, one["green"])


def test_the_order_in_which_slices_are_filled_changes_nothing(world: World) -> None:
    one = deployed(world, 1)
    deployment = begun(world, 7)
    order = list(range(7))
    random.Random(7).shuffle(order)
    for number in order:
        while slices_of(world, deployment)[number].status == SliceStatus.FILLING:
            world.turn(knock_for(world, deployment, number))
    world.run()
    assert world.status(deployment)["status"] == "live"
    assert content(world, world.status(deployment)["green"]) == content(world, one["green"])


def test_counts_and_progress_are_those_of_all_slices(world: World) -> None:
    deployed(world, 1)
    changed = texts(RECORDS)
    changed[3]["text"] = changed[80]["text"] = "something else"
    status = deployed(world, 4, source=world.write("docs.jsonl", changed))
    output = world.step(status["id"], "populate")["output"]
    assert (output["written"], output["reused"], output["embedded"]) == (90, 88, 2)
    assert output["progress"]["done"] == output["progress"]["size"]
    assert output["progress"]["records"] == RECORDS
    with world.services.sessions() as session:
        samples = select(FillHistoryRow.records).where(FillHistoryRow.deployment_id == status["id"])
        assert max(session.scalars(samples)) == RECORDS


def test_documents_are_cut_into_chunks_in_every_slice(world: World) -> None:
    documents = [
        {"id": number, "text": " ".join(f"word{number} and {word}" for word in range(60))}
        for number in range(12)
    ]
    embedding = {
        "model": "hashing:16",
        "text": "{text}",
        "chunk": {"max_tokens": 40, "overlap": 5},
    }
    source = world.write("long.jsonl", documents)
    one = deployed(world, 1, source=source, embedding=embedding)
    many = deployed(world, 4, source=source, embedding=embedding)
    assert len(content(world, many["green"])) > 12
    assert content(world, many["green"]) == content(world, one["green"])


# --- faults of the source -------------------------------------------------------------------------


def test_an_id_in_two_slices_is_the_fault_that_one_worker_finds(world: World) -> None:
    records = [*texts(RECORDS), {"id": 4, "text": "the same id again"}]
    source = world.write("docs.jsonl", records)
    one = deployed(world, 1, source=source)
    many = deployed(world, 3, source=source)
    assert many["status"] == one["status"] == "rolled_back"
    assert "id: 4 is not unique" in one["message"]
    assert many["message"] == one["message"]


@pytest.mark.parametrize("last_first", [False, True])
def test_of_an_id_in_two_slices_the_first_record_is_kept(world: World, last_first: bool) -> None:
    records = [*texts(RECORDS), {"id": 4, "text": "the same id again"}]
    source = world.write("docs.jsonl", records)
    deployment = begun(world, 3, source=source, on_bad_record="skip")
    numbers = [2, 1, 0] if last_first else [0, 1, 2]
    for number in numbers:
        while slices_of(world, deployment)[number].status == SliceStatus.FILLING:
            world.turn(knock_for(world, deployment, number))
    world.run()
    status = world.status(deployment)
    assert status["status"] == "live"
    output = world.step(deployment, "populate")["output"]
    assert (output["written"], output["bad"]) == (RECORDS, 1)
    assert "an id is in several of them" in output["note"]
    assert content(world, status["green"])[4][1]["text"] == "text 4 about asyncio and python"


def test_bad_records_of_all_slices_count_together(world: World) -> None:
    records = texts(RECORDS)
    for number in (2, 40, 85):
        records[number] = {"id": number}
    source = world.write("docs.jsonl", records)
    allowed = deployed(world, 3, source=source, on_bad_record="skip", max_bad_records=3)
    assert world.step(allowed["id"], "populate")["output"]["bad"] == 3
    refused = deployed(world, 3, source=source, on_bad_record="skip", max_bad_records=2)
    assert refused["status"] == "rolled_back"
    assert "more than max_bad_records=2 bad records" in refused["message"]


def test_a_slice_that_is_rejected_rolls_the_deployment_back_and_names_itself(
    world: World,
) -> None:
    records = texts(RECORDS)
    records[80] = {"id": 80}
    status = deployed(world, 3, source=world.write("docs.jsonl", records))
    assert status["status"] == "rolled_back"
    assert "slice 3 of 3: " in status["message"]
    output = world.step(status["id"], "populate")["output"]
    assert output["bad"] == 1
    assert len(output["bad_samples"]) == 1
    assert status["green"] not in world.store.collections()
    assert {row.status for row in slices_of(world, status["id"])} <= {
        SliceStatus.STOPPED,
        SliceStatus.FAILED,
        SliceStatus.DONE,
    }


def test_a_source_that_changes_meanwhile_ends_the_filling(world: World) -> None:
    deployment = begun(world, 3)
    world.turn(knock_for(world, deployment, 0))
    world.write("docs.jsonl", texts(RECORDS + 5))
    world.run()
    status = world.status(deployment)
    assert status["status"] == "rolled_back"
    assert "changed while it was being read; deploy again" in status["message"]


# --- turns ----------------------------------------------------------------------------------------


def test_of_two_knocks_for_one_turn_of_a_slice_one_wins(world: World) -> None:
    deployment = begun(world)
    knock = knock_for(world, deployment, 1)
    assert "records" in world.turn(knock).line
    assert "stale turn" in world.turn(knock).line


def test_a_lost_knock_of_a_slice_is_sent_again_by_the_sweep(world: World) -> None:
    deployment = begun(world)
    world.broker.waiting.clear()
    world.clock.move(world.services.times.knock_again_after + 1)
    knocks = engine.knock_overdue_turns(world.services)
    assert {knock.slice for knock in knocks if knock.slice is not None} == {0, 1, 2}
    world.run()
    assert world.status(deployment)["status"] == "live"


def test_slices_go_on_although_the_clock_is_set_back_by_hours(world: World) -> None:
    deployment = begun(world)
    die_in_turn_of(world, deployment, 0)
    world.turn(knock_for(world, deployment, 1))
    world.broker.waiting.clear()
    world.clock.move(-4 * 3600)
    for _ in range(60):
        engine.knock_overdue_turns(world.services)
        world.run()
        world.clock.move(5)
    assert world.status(deployment)["status"] == "live"


def test_the_turn_of_a_slice_whose_worker_lives_is_not_taken_from_it(world: World) -> None:
    deployment = begun(world)
    turn = slices_of(world, deployment)[0].turn

    def set_back() -> None:
        world.clock.move(-4 * 3600)
        for _ in range(3):
            engine.knock_overdue_turns(world.services)
            world.clock.move(5)
        knocks = [knock for _, knock in world.broker.waiting if knock.slice == 0]
        assert knocks == []

    world.broker.waiting.clear()
    world.over(Interrupting(world, set_back))
    assert "records" in advance_slice(world.services, deployment, 0, turn, "hand").line


class Interrupting:
    """A store that runs ``act`` before the next write to a collection, once."""

    def __init__(
        self, world: World, act: Callable[[], None], then: Exception | None = None
    ) -> None:
        """``then`` is raised by all writes but the first one."""
        self._store = world.store
        self._act: Callable[[], None] | None = act
        self._then = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def upsert(self, *arguments: Any) -> None:
        act = self._act
        self._act = None
        if act is not None:
            act()
        elif self._then is not None:
            raise self._then
        self._store.upsert(*arguments)


def test_a_late_worker_saves_nothing_after_its_turn_was_taken_over(world: World) -> None:
    deployment = begun(world)
    knock = knock_for(world, deployment, 0)

    def take_over() -> None:
        world.clock.move(world.services.times.lease + 1)
        assert "records" in world.turn(knock_for(world, deployment, 0)).line

    world.over(Interrupting(world, take_over))
    with pytest.raises(LeaseLost, match="was taken over"):
        advance_slice(world.services, deployment, 0, knock.turn, "late")
    (first, *_) = slices_of(world, deployment)
    assert first.status == SliceStatus.DONE
    world.run()
    assert world.status(deployment)["status"] == "live"


@pytest.mark.parametrize("request_", [Event.PAUSE, Event.ABORT])
def test_a_pause_or_an_abort_stops_a_slice_at_its_next_window(
    world: World, request_: Event
) -> None:
    deployment = begun(world)
    ask = lambda: commands.request_action(world.services, deployment, request_, actor="anna")  # noqa: E731 - as an argument it would be longer
    world.over(Interrupting(world, ask))
    assert "its deployment has stopped" in world.turn(knock_for(world, deployment, 0)).line
    (first, *_) = slices_of(world, deployment)
    assert (first.lease_until, first.crashes) == (None, 0)
    assert "nothing to do" in world.turn(knock_for(world, deployment, 1)).line


def test_slices_go_on_after_a_pause(world: World) -> None:
    deployment = begun(world)
    world.turn(knock_for(world, deployment, 0))
    commands.request_action(world.services, deployment, Event.PAUSE, actor="anna")
    world.run()
    assert world.status(deployment)["status"] == "paused"
    assert {row.status for row in slices_of(world, deployment)} == {
        SliceStatus.DONE,
        SliceStatus.FILLING,
    }
    commands.request_action(world.services, deployment, Event.RESUME, actor="anna")
    world.run()
    assert world.status(deployment)["status"] == "live"


def test_an_abort_waits_for_a_slice_that_is_at_work_before_it_drops_green(world: World) -> None:
    deployment = begun(world)
    green = world.status(deployment)["green"]
    seen = []

    def abort() -> None:
        commands.request_action(world.services, deployment, Event.ABORT, actor="anna")
        for _ in range(6):
            knock = world.broker.take_next()
            if knock is not None:
                world.turn(knock)
        seen.append(green in world.store.collections())

    world.over(Interrupting(world, abort))
    world.turn(knock_for(world, deployment, 0))
    assert seen == [True]
    world.run()
    assert world.status(deployment)["status"] == "rolled_back"
    assert green not in world.store.collections()


def test_a_slice_whose_server_is_away_tries_again_and_rejects_when_its_patience_is_gone(
    world: World,
) -> None:
    deployment = begun(world, progress_deadline_seconds=30)
    store = world.store
    world.over(Failing(store, "upsert"))
    world.run(
        until=lambda: any(row.status == SliceStatus.FAILED for row in slices_of(world, deployment))
    )
    world.over(store)
    world.run()
    message = world.status(deployment)["message"]
    assert "no progress for" in message
    assert "did not answer" in message


def test_a_slice_that_waited_and_is_filled_waits_no_more(world: World) -> None:
    deployment = begun(world)
    store = world.store
    world.over(Failing(store, "upsert"))
    world.turn(knock_for(world, deployment, 0))
    assert slices_of(world, deployment)[0].waited > 0
    world.over(store)
    world.clock.move(5)
    world.turn(knock_for(world, deployment, 0))
    (first, *_) = slices_of(world, deployment)
    assert (first.status, first.waited) == (SliceStatus.DONE, 0)


def test_a_slice_that_kills_its_workers_is_rejected_with_its_place(world: World) -> None:
    deployment = begun(world)
    for _ in range(world.services.times.crashes):
        die_in_turn_of(world, deployment, 0)
        world.clock.move(world.services.times.lease + 1)
    world.turn(knock_for(world, deployment, 0))
    world.run()
    status = world.status(deployment)
    assert status["status"] == "rolled_back"
    assert "slice 1 of 3: its worker died or was stopped 5 times" in status["message"]
    assert any(event["event"] == "fill.worker_died" for event in status["events"])


def die_in_turn_of(world: World, deployment: str, number: int) -> None:
    """A worker takes the turn and is never heard of again."""

    def die() -> None:
        raise Killed

    store = world.store
    world.over(Interrupting(world, die))
    with pytest.raises(Killed):
        world.turn(knock_for(world, deployment, number))
    world.over(store)


def test_a_pause_that_is_taken_back_before_the_window_ends_is_no_death(world: World) -> None:
    deployment = begun(world)

    def pause_and_resume() -> None:
        for request in (Event.PAUSE, Event.RESUME):
            commands.request_action(world.services, deployment, request, actor="anna")

    world.over(Interrupting(world, pause_and_resume))
    assert "records" in world.turn(knock_for(world, deployment, 0)).line
    assert slices_of(world, deployment)[0].unsure == 0


def test_a_write_without_an_answer_is_remembered_although_the_deployment_was_paused(
    world: World,
) -> None:
    deployment = begun(world)

    def pause_and_fail() -> None:
        commands.request_action(world.services, deployment, Event.PAUSE, actor="anna")
        raise Unavailable("Qdrant at http://127.0.0.1:1 did not answer")

    world.over(Interrupting(world, pause_and_fail))
    assert "its deployment has stopped" in world.turn(knock_for(world, deployment, 0)).line
    assert slices_of(world, deployment)[0].unsure == 1


def test_windows_that_were_saved_count_as_progress_although_the_turn_ends_badly(
    world: World,
) -> None:
    declare(world, 2, source=world.write("docs.jsonl", texts(900)), progress_deadline_seconds=30)
    deployment = world.deploy("docs")
    world.run(until=lambda: bool(slices_of(world, deployment)))
    store = world.store
    for _ in range(3):
        world.over(Interrupting(world, lambda: None, then=Unavailable("away")))
        world.turn(knock_for(world, deployment, 0))
        world.over(store)
        world.clock.move(3)
    row = slices_of(world, deployment)[0]
    assert (row.status, row.tries) == (SliceStatus.FILLING, 0)
    assert row.waited < 3


def test_slices_that_no_worker_takes_end_in_no_progress(world: World) -> None:
    deployment = begun(world, progress_deadline_seconds=30)
    for _ in range(200):
        knock = world.broker.take_next()
        if knock is None:
            break
        if knock.slice is None:
            world.turn(knock)
    status = world.status(deployment)
    assert status["status"] == "rolled_back"
    assert "no progress for" in status["message"]
    assert "0 of 3 slices filled" in status["message"]


# --- planning -------------------------------------------------------------------------------------


def test_a_source_that_cannot_be_cut_is_filled_by_one_worker(world: World) -> None:
    (world.folder / "docs.csv").write_text("id,text\n" + "".join(f"{n},t {n}\n" for n in range(50)))
    status = deployed(world, 4, source="csv:docs.csv")
    assert status["status"] == "live"
    assert slices_of(world, status["id"]) == []


def test_without_a_declaration_a_small_source_is_not_cut(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(RECORDS)))
    deployment = world.deploy("docs")
    world.run()
    assert slices_of(world, deployment) == []


@pytest.mark.parametrize("wrong", [0, 33, "all", 1.5])
def test_a_number_of_slices_out_of_bounds_is_refused(world: World, wrong: Any) -> None:
    with pytest.raises((Refused, ValueError), match="parallel"):
        declare(world, wrong)
