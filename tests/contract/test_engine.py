"""The engine's laws, on SQLite and on PostgreSQL; the test is the clock and the broker."""

import dataclasses
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments import claims, commands, engine
from qdrant_rollouts.core.deployments.claims import Claim, hold_turn
from qdrant_rollouts.core.deployments.turn_leases import Lease
from qdrant_rollouts.core.errors import LeaseLost, Refused, Unavailable
from qdrant_rollouts.core.lifecycle import Event, Status
from qdrant_rollouts.core.ports import Knock, VectorStore
from tests.saved_worlds import SavedWorlds
from tests.world import World, texts


def deploy_docs(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    world.deploy("docs")
    world.run()


@pytest.fixture
def docs(world: World, saved_worlds: SavedWorlds) -> str:
    """A live index ``docs`` of 30 records; returns its alias."""
    saved_worlds.begin(world, deploy_docs)
    return "docs"


class Failing:
    """A store whose named calls raise, and otherwise the one it wraps."""

    def __init__(self, store: VectorStore, *calls: str, error: Exception | None = None) -> None:
        self._store = store
        self._calls = calls
        self._error = error or Unavailable("Qdrant at http://127.0.0.1:1 did not answer")

    def __getattr__(self, name: str) -> Any:
        if name in self._calls:
            return self._fail
        return getattr(self._store, name)

    def _fail(self, *_: Any, **__: Any) -> None:
        raise self._error


def knock_of(world: World, deployment_id: str) -> Knock:
    with world.services.sessions() as session:
        row = session.get_one(Deployment, deployment_id)
        return claims.knock_for(row, world.clock.moment)


def held(world: World, deployment_id: str) -> Claim:
    claim = claims.claim_turn(
        world.services, deployment_id, knock_of(world, deployment_id).turn, "first"
    )
    assert isinstance(claim, Claim)
    return claim


def events(world: World, deployment_id: str) -> list[str]:
    return [event["event"] for event in world.status(deployment_id)["events"]]


def test_a_first_deployment_makes_the_alias(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    first = world.deploy("docs")
    world.run()
    status = world.status(first)
    assert status["status"] == "live"
    assert status["blue"] is None
    assert world.store.aliases() == {"docs": status["green"]}
    assert world.store.count(status["green"]) == 30


def test_a_second_deployment_moves_the_alias_and_writes_the_old_ones_deletion_down(
    world: World, docs: str
) -> None:
    world.write("docs.jsonl", texts(40))
    blue = world.store.aliases()[docs]
    second = world.deploy(docs)
    world.run()
    status = world.status(second)
    assert (status["status"], status["blue"]) == ("live", blue)
    assert world.store.aliases() == {docs: status["green"]}
    assert world.store.count("docs") == 40
    assert events(world, second).count("alias.switched") == 1
    assert blue in world.store.collections()


def test_the_plan_is_written_down_before_the_first_turn(world: World, docs: str) -> None:
    second = world.deploy(docs)
    assert [step["name"] for step in world.status(second)["steps"]] == [
        "create",
        "populate",
        "validate",
        "catch_up",
        "switch",
        "soak",
    ]


def test_every_status_a_deployment_goes_through_is_an_event(world: World, docs: str) -> None:
    deployment = world.deploy(docs, queries=["zebra crossing"])
    world.run()
    statuses = [event for event in events(world, deployment) if event.startswith("deployment.")]
    assert statuses == [
        f"deployment.{name}" for name in ("pending", "running", "rolling_back", "rolled_back")
    ]


def test_of_twenty_knocks_for_a_turn_one_wins(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    knock = knock_of(world, deployment)
    won: list[Claim] = []

    def knocking() -> None:
        claim = claims.claim_turn(world.services, deployment, knock.turn, "any")
        if isinstance(claim, Claim):
            won.append(claim)

    threads = [threading.Thread(target=knocking) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_knock_for_another_turn_does_nothing(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    knock = knock_of(world, deployment)
    before = world.status(deployment)
    for turn in (knock.turn - 1, knock.turn + 1, knock.turn + 7):
        written = world.turn(dataclasses.replace(knock, turn=turn))
        assert "stale" in written.line
    assert world.status(deployment) == before


def test_every_knock_twice_ends_as_every_knock_once(world: World, docs: str) -> None:
    world.write("docs.jsonl", texts(40))
    second = world.deploy(docs)
    while knock := world.broker.take_next():
        world.turn(knock)
        world.turn(knock)
    status = world.status(second)
    assert status["status"] == "live"
    assert events(world, second).count("alias.switched") == 1
    assert world.store.count("docs") == 40


def test_a_worker_that_dies_is_followed_when_its_lease_has_run_out(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    world.broker.waiting.clear()
    held(world, deployment)
    assert engine.knock_overdue_turns(world.services) == []
    world.clock.move(world.services.times.lease + 5)
    engine.knock_overdue_turns(world.services)
    world.run()
    status = world.status(deployment)
    assert status["status"] == "live"
    assert status["steps"][0]["crashes"] == 1
    (death,) = [
        event["detail"] for event in status["events"] if event["event"] == "create.worker_died"
    ]
    assert "1 of 5 without progress between them" in death


def test_a_lost_knock_is_knocked_again(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    world.run(until=world.at(deployment, "validate"))
    world.broker.waiting.clear()
    world.clock.move(14)
    assert engine.knock_overdue_turns(world.services) == []
    world.clock.move(2)
    assert [knock.deployment_id for knock in engine.knock_overdue_turns(world.services)] == [
        deployment
    ]
    world.run()
    assert world.status(deployment)["status"] == "live"


def test_the_late_write_of_a_worker_that_was_stopped_is_rejected(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    late = held(world, deployment)
    world.clock.move(world.services.times.lease + 1)
    world.turn(knock_of(world, deployment))
    before = world.status(deployment)
    with pytest.raises(LeaseLost):
        Lease(world.services, hold_turn(late)).save({"cursor": "late"})
    with pytest.raises(LeaseLost):
        engine.turn_outcomes.write_outcome(
            world.services, late, engine.Done(StepOutput(summary="late"))
        )
    assert world.status(deployment) == before


def test_a_step_that_kills_its_worker_five_times_is_rejected(world: World, docs: str) -> None:
    blue = world.store.aliases()[docs]
    deployment = world.deploy(docs)
    for _ in range(5):
        held(world, deployment)
        world.clock.move(world.services.times.lease + 1)
    world.turn(knock_of(world, deployment))
    world.run()
    status = world.status(deployment)
    assert status["status"] == "rolled_back"
    assert "5 times" in status["message"]
    assert world.store.aliases() == {docs: blue}


def test_an_outside_that_is_away_for_a_while_is_waited_for(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    world.run(until=world.at(deployment, "populate"))
    store = world.store
    world.over(Failing(store, "upsert"))
    for _ in range(4):
        knock = world.broker.take_next()
        assert knock is not None
        world.turn(knock)
    assert "did not answer" in world.step(deployment, "populate")["message"]
    world.over(store)
    world.run()
    assert world.status(deployment)["status"] == "live"


def test_an_outside_that_stays_away_beyond_the_deadline_rolls_back(world: World, docs: str) -> None:
    blue = world.store.aliases()[docs]
    deployment = world.deploy(docs, options={"progress_deadline_seconds": 60})
    world.run(until=world.at(deployment, "populate"))
    store = world.store
    world.over(Failing(store, "upsert"))
    world.run()
    status = world.status(deployment)
    assert status["status"] == "rolled_back"
    assert "no progress for" in status["message"]
    assert world.store.aliases() == {docs: blue}
    assert status["green"] not in world.store.collections()


def test_a_database_that_goes_away_in_the_middle_of_a_step_is_waited_for(
    world: World, docs: str
) -> None:
    deployment = world.deploy(docs)
    store = world.store
    world.over(
        Failing(store, "upsert", error=OperationalError("SELECT 1", {}, Exception("server closed")))
    )
    world.run(
        until=lambda: "database did not answer" in world.step(deployment, "populate")["message"]
    )
    world.over(store)
    world.run()
    assert world.status(deployment)["status"] == "live"


class Stopped(Failing):
    """A process that is stopped in a transaction for longer than PostgreSQL waits, and then goes
    on."""

    def __init__(self, world: World) -> None:
        super().__init__(world.store, "upsert")
        self._sessions = world.services.sessions

    def _fail(self, *_: Any, **__: Any) -> None:
        with self._sessions() as session:
            session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '10ms'"))
            while True:
                time.sleep(0.05)
                session.execute(text("SELECT 1"))


def test_a_step_whose_connection_was_ended_while_it_was_stopped_is_tried_again(
    tmp_path: Path, ready_postgres_url: str
) -> None:
    with closing(World(tmp_path, ready_postgres_url)) as world:
        world.declare("docs", source=world.write("docs.jsonl", texts(30)))
        deployment = world.deploy("docs")
        store = world.store
        world.over(Stopped(world))
        world.run(
            until=lambda: "idle for too long" in world.step(deployment, "populate")["message"]
        )
        world.over(store)
        world.run()
        assert world.status(deployment)["status"] == "live"


def test_an_error_nobody_foresaw_rolls_back_and_is_on_record(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    world.over(Failing(world.store, "upsert", error=ZeroDivisionError("surprise")))
    world.run()
    status = world.status(deployment)
    assert status["status"] == "rolled_back"
    assert "ZeroDivisionError: surprise" in status["message"]


def test_an_undo_that_gives_up_needs_an_operator_and_alerts(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    store = world.store
    world.over(
        Failing(
            Failing(store, "upsert", error=ZeroDivisionError()),
            "drop",
            error=Refused("drop is forbidden"),
        )
    )
    world.run()
    status = world.status(deployment)
    assert status["status"] == "needs_operator"
    assert "drop is forbidden" in status["message"]
    assert (world.told()[-1].what, world.told()[-1].severity) == (
        "deployment.needs_operator",
        "error",
    )
    world.over(store)
    commands.request_action(world.services, deployment, Event.ABORT, actor="anna")
    world.run()
    assert world.status(deployment)["status"] == "rolled_back"
    assert status["green"] not in store.collections()


def test_a_failed_deployment_may_be_kept_for_inspection(world: World, docs: str) -> None:
    deployment = world.deploy(docs, queries=["nothing like it"], rollback_on_failure=False)
    world.run()
    status = world.status(deployment)
    assert status["status"] == "needs_operator"
    assert "kept for inspection" in status["message"]
    assert status["green"] in world.store.collections()


def test_a_failing_gate_rolls_back_drops_green_and_leaves_the_alias(
    world: World, docs: str
) -> None:
    blue = world.store.aliases()[docs]
    deployment = world.deploy(docs, queries=["zebra crossing"])
    world.run()
    status = world.status(deployment)
    assert status["status"] == "rolled_back"
    assert status["gate"]["verdict"] == "block"
    assert "min_top_score" in status["message"]
    assert [step["status"] for step in status["steps"]] == [
        "undone",
        "undone",
        "failed",
        "skipped",
        "skipped",
        "skipped",
    ]
    assert world.store.aliases() == {docs: blue}
    assert status["green"] not in world.store.collections()
    assert "alias.switched" not in events(world, deployment)


def test_a_gate_without_queries_says_so(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    world.run()
    assert "no validation queries" in world.status(deployment)["gate"]["warnings"][0]


def test_pause_and_resume_are_honoured_between_turns(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    world.run(until=world.at(deployment, "populate"))
    commands.request_action(world.services, deployment, Event.PAUSE, actor="anna", reason="lunch")
    world.run()
    status = world.status(deployment)
    assert (status["status"], status["message"]) == ("paused", "paused by anna: lunch")
    commands.request_action(world.services, deployment, Event.RESUME, actor="anna")
    world.run()
    assert world.status(deployment)["status"] == "live"


def test_a_pause_asked_for_during_the_last_step_is_not_lost(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    world.run(until=world.at(deployment, "soak"))
    late = held(world, deployment)
    commands.request_action(world.services, deployment, Event.PAUSE, actor="anna")
    written = engine.turn_outcomes.write_outcome(world.services, late, engine.Done())
    assert written.knock is not None
    world.turn(written.knock)
    assert world.status(deployment)["status"] == "paused"


@pytest.mark.parametrize("step", ["create", "populate", "validate", "catch_up", "switch", "soak"])
def test_abort_before_any_step_leaves_everything_as_it_was(
    world: World, docs: str, step: str
) -> None:
    blue = world.store.aliases()[docs]
    before = world.store.collections()
    deployment = world.deploy(docs)
    world.run(until=world.at(deployment, step))
    commands.request_action(
        world.services, deployment, Event.ABORT, actor="anna", reason="wrong data"
    )
    world.run()
    status = world.status(deployment)
    assert status["status"] == "rolled_back"
    assert "aborted by anna: wrong data" in status["message"]
    assert world.store.aliases() == {docs: blue}
    assert world.store.collections() == before


def test_abort_of_a_first_deployment_after_the_switch_takes_the_alias_away(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    first = world.deploy("docs")
    world.run(until=world.at(first, "soak"))
    commands.request_action(world.services, first, Event.ABORT, actor="anna")
    world.run()
    assert world.status(first)["status"] == "rolled_back"
    assert world.store.aliases() == {}
    assert world.store.collections() == set()


def test_what_the_abort_of_a_first_deployment_costs_is_said_beforehand(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    first = world.deploy("docs")
    world.run(until=world.at(first, "switch"))
    assert world.status(first)["abort_warning"] == ""
    world.run(until=world.at(first, "soak"))
    said = world.status(first)["abort_warning"]
    assert "searches of docs will fail: nothing served it before" in said
    assert f"rollouts abort {first} --keep" in said
    world.run()
    assert world.status(first)["abort_warning"] == ""


def test_an_act_that_is_not_possible_is_not_advised(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), rollback_on_failure=False)
    first = world.deploy("docs")
    world.run(until=world.at(first, "soak"))
    with world.services.sessions.begin() as session:
        session.execute(
            update(Deployment).where(Deployment.id == first).values(status=Status.NEEDS_OPERATOR)
        )
    assert "searches of docs will fail" in world.status(first)["abort_warning"]
    assert "--keep" not in world.status(first)["abort_warning"]


def test_the_abort_of_a_later_deployment_costs_nobody_a_search(world: World, docs: str) -> None:
    second = world.deploy(docs)
    world.run(until=world.at(second, "soak"))
    assert world.status(second)["abort_warning"] == ""


@pytest.mark.parametrize("paused", [False, True])
def test_an_abort_that_keeps_leaves_the_new_collection_serving(world: World, paused: bool) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    first = world.deploy("docs")
    world.run(until=world.at(first, "soak"))
    if paused:
        commands.request_action(world.services, first, Event.PAUSE, actor="anna")
        world.run(until=lambda: world.read_status(first) == "paused")
    commands.request_action(
        world.services, first, Event.ABORT_KEEP, actor="anna", reason="seen enough"
    )
    world.run()
    status = world.status(first)
    assert status["status"] == "live"
    assert "aborted, and kept serving, by anna: seen enough" in [
        event["detail"] for event in status["events"]
    ]
    assert world.store.aliases() == {"docs": status["green"]}


@pytest.mark.parametrize("step", ["populate", "switch"])
def test_nothing_is_kept_serving_that_does_not_serve(world: World, docs: str, step: str) -> None:
    second = world.deploy(docs)
    world.run(until=world.at(second, step))
    with pytest.raises(Refused, match=f"does not serve {docs} yet"):
        commands.request_action(world.services, second, Event.ABORT_KEEP, actor="anna")


def test_a_resume_takes_back_a_pause_that_was_not_honoured_yet(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    commands.request_action(world.services, deployment, Event.PAUSE, actor="anna")
    commands.request_action(world.services, deployment, Event.RESUME, actor="anna")
    world.run()
    assert world.status(deployment)["status"] == "live"
    assert "deployment.paused" not in events(world, deployment)


def test_abort_outranks_what_was_asked_for_before_and_after(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    commands.request_action(world.services, deployment, Event.PAUSE, actor="anna")
    commands.request_action(world.services, deployment, Event.ABORT, actor="ben")
    with pytest.raises(Refused, match="abort was asked for by ben"):
        commands.request_action(world.services, deployment, Event.PAUSE, actor="anna")
    world.run()
    assert world.status(deployment)["status"] == "rolled_back"


def test_a_wish_that_cannot_be_is_refused_and_changes_nothing(world: World, docs: str) -> None:
    deployment = world.deploy(docs)
    world.run()
    before = world.status(deployment)
    for wish in (Event.PAUSE, Event.RESUME, Event.PROMOTE, Event.ABORT):
        with pytest.raises(Refused, match="ended"):
            commands.request_action(world.services, deployment, wish, actor="anna")
    assert world.status(deployment) == before


def test_a_second_deployment_is_refused_with_the_name_of_the_first(world: World, docs: str) -> None:
    first = world.deploy(docs)
    with pytest.raises(Refused, match=first):
        world.deploy(docs)


def test_of_many_deployments_at_once_one_is_accepted(world: World, docs: str) -> None:
    results: list[str | Exception] = []

    def deploying() -> None:
        try:
            results.append(world.deploy(docs))
        except (Refused, Unavailable) as error:
            results.append(error)

    threads = [threading.Thread(target=deploying) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([result for result in results if isinstance(result, str)]) == 1


def test_an_early_knock_does_nothing(world: World, docs: str) -> None:
    deployment = world.deploy(docs, options={"soak": {"seconds": 2000, "interval_seconds": 1000}})
    world.run(until=lambda: world.step(deployment, "soak")["status"] == "waiting")
    knock = knock_of(world, deployment)
    assert knock.countdown == 1000
    world.clock.move(20)
    written = world.turn(knock)
    assert (written.line, written.knock) == ("early", None)
    assert knock_of(world, deployment).turn == knock.turn


def test_what_gets_on_may_be_renewed_for_longer_and_no_more_when_it_stands_still(
    world: World, docs: str
) -> None:
    claim = held(world, world.deploy(docs))
    lease = begun(world, claim, 80)
    assert left(world, claim, lease) <= 10
    lease.prolong()
    assert left(world, claim, lease) == 30
    lease._started -= 70
    assert left(world, claim, lease) <= 20


def test_the_lease_is_never_renewed_beyond_its_end(world: World, docs: str) -> None:
    claim = held(world, world.deploy(docs))
    assert left(world, claim, begun(world, claim, 50)) == 30
    assert 0 < left(world, claim, begun(world, claim, 80)) <= 10
    assert left(world, claim, begun(world, claim, 91)) <= -1


def begun(world: World, claim: Claim, seconds: float) -> Lease:
    """The lease of a turn that was taken so long ago."""
    lease = Lease(world.services, hold_turn(claim))
    lease._started -= seconds
    return lease


def left(world: World, claim: Claim, lease: Lease) -> float:
    """What the row says of it once it was renewed."""
    lease._extend_lease()
    with world.services.sessions() as session:
        until = session.scalar(
            select(Deployment.lease_until).where(Deployment.id == claim.deployment.id)
        )
    assert until is not None
    return (until - world.clock.moment).total_seconds()
