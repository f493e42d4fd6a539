"""A deployment with ``writes: journal`` begins, follows and ends the journal of its alias."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.database.journal_rows import Gate, JournalRow, Phase
from qdrant_rollouts.core.deployments import commands, following
from qdrant_rollouts.core.errors import LeaseLost, Refused
from qdrant_rollouts.core.journal import following as claims
from qdrant_rollouts.core.journal import rebuilding
from qdrant_rollouts.core.journal.sql_ledger import open_ledger
from qdrant_rollouts.core.journal.states import WriteState
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import Point
from tests.journaled import write_journaled
from tests.world import DIMENSION, EMBEDDING, World, texts

RECORDS = 30
NEW_MODEL = {"model": "hashing:32", "text": "{text}"}
#: No searches are simulated here, so the stages end without evidence.
TWO_HOURS = {
    "stages": [{"percentage": 50, "duration_minutes": 120}],
    "look_seconds": 60,
    "extension": 0,
}


@pytest.fixture
def live(world: World) -> World:
    """``docs`` serves thirty records, and declares the journal."""
    world.declare("docs", source=world.write("docs.jsonl", texts(RECORDS)))
    world.deploy("docs")
    world.run()
    world.declare("docs", source="live", writes="journal")
    return world


def state(world: World) -> WriteState:
    found = rebuilding.read_state(world.services, "docs")
    assert found is not None
    return found


def content(world: World, collection: str) -> dict[Any, Any]:
    points, _ = world.store.scroll(collection, None, 1000)
    return {
        point.id: {key: value for key, value in point.payload.items() if key != "_rollouts"}
        for point in points
    }


def begin(world: World, until: str, **arguments: Any) -> str:
    deployment = world.deploy("docs", **arguments)
    world.run(until=world.at(deployment, until))
    return deployment


def change(world: World) -> None:
    """A new, a changed and a deleted point, as an application writes them."""
    records = [{"id": 3, "text": "changed"}, {"id": 77, "text": "new"}]
    write_journaled(world, "docs", records, gone=[9])


def make_collection_of_others(world: World) -> str:
    """``docs`` serves a collection of another program, and nobody declares its model."""
    records = texts(RECORDS)
    model = open_embedder(EmbeddingSpec.model_validate(EMBEDDING))
    vectors = model.documents([one["text"] for one in records])
    schema = {"params": {"vectors": {"size": DIMENSION, "distance": "Cosine"}}}
    world.store.create("theirs", {**schema, "payload_schema": {}}, {})
    points = [Point(one["id"], vector, one) for one, vector in zip(records, vectors, strict=True)]
    world.store.upsert("theirs", points)
    world.store.point_alias("docs", "theirs")
    world.declare("docs", source="live", writes="journal", embedding=None)
    return "theirs"


def undo_changes(world: World) -> None:
    records = [{"id": id, "text": f"again {id}"} for id in (3, 5, 7, 9)]
    write_journaled(world, "docs", records, gone=[77])
    following.follow_back(world.services, "docs")


# --- beginning ------------------------------------------------------------------------------------


def test_the_first_deployment_of_an_alias_follows_nothing(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(3)), writes="journal")
    deployment = world.deploy("docs")
    world.run()
    assert world.status(deployment)["status"] == "live"
    assert world.step(deployment, "catch_up")["status"] == "skipped"
    assert rebuilding.read_state(world.services, "docs") is None


def test_a_source_that_is_not_the_live_collection_is_refused(live: World) -> None:
    with pytest.raises(Refused, match=r"writes: journal brings what is written .* `source: live`"):
        live.deploy("docs", source="jsonl:docs.jsonl")


def test_nothing_is_read_before_every_process_that_writes_writes_rows(live: World) -> None:
    ledger = open_ledger(live.services)
    ledger.renew_lease("an application", {})
    deployment = begin(live, "populate")
    live.run(until=lambda: bool(live.step(deployment, "populate")["message"]), turns=2)
    told = live.step(deployment, "populate")["message"]
    assert "these processes still write without rows: an application" in told
    assert state(live).phase is Phase.ANNOUNCED
    ledger.renew_lease("an application", {"docs": state(live).version})
    live.run()
    assert live.status(deployment)["status"] == "live"


# --- following ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [None, NEW_MODEL], ids=["the same model", "another model"])
@pytest.mark.parametrize("step", ["populate", "validate", "catch_up", "switch"])
def test_what_is_written_in_any_step_is_served(
    live: World, step: str, model: dict[str, str] | None
) -> None:
    if model is not None:
        live.declare(
            "docs", source="live", writes="journal", embedding=model, accept_new_model=True
        )
    blue = live.store.aliases()["docs"]
    deployment = begin(live, step)
    if step == "populate":
        live.run(until=lambda: rebuilding.read_state(live.services, "docs") is not None)
    change(live)
    truth = content(live, blue)
    live.run()
    status = live.status(deployment)
    assert status["status"] == "live", status["message"]
    assert content(live, status["green"]) == truth
    assert "writes waited for" in live.step(deployment, "switch")["message"]


def test_after_the_switch_the_older_version_follows_until_it_is_deleted(live: World) -> None:
    blue = live.store.aliases()["docs"]
    deployment = begin(live, "validate")
    live.run()
    green = live.status(deployment)["green"]
    assert (state(live).leader, state(live).follower) == (green, blue)
    change(live)
    assert following.list_behind(live.services) == ["docs"]
    assert following.follow_back(live.services, "docs") == f"docs: 3 points brought to {blue}"
    assert content(live, blue) == content(live, green)
    assert following.list_behind(live.services) == []
    with live.services.sessions() as session:
        assert session.query(JournalRow).count() == 0, "what was brought over leaves no row"
    live.store.drop(blue)
    following.list_behind(live.services)
    assert state(live).phase is Phase.IDLE


def test_two_workers_do_not_follow_at_once(live: World) -> None:
    begin(live, "soak")
    live.run()
    change(live)
    assert claims.claim_following(live.services, "docs", "another") is not None
    assert "by another worker" in following.follow_back(live.services, "docs")
    live.clock.move(claims.LEASE_OF_TURN + 1)
    assert "3 points brought" in following.follow_back(live.services, "docs")


@pytest.mark.parametrize("way", ["journal", "compare"])
def test_the_sides_of_a_canary_of_two_hours_differ_only_by_what_was_written_since_the_last_look(
    live: World, way: str
) -> None:
    live.declare("docs", source="live", writes=way, canary=TWO_HOURS)
    blue = live.store.aliases()["docs"]
    deployment = live.deploy("docs", strategy="canary")
    live.run(until=live.at(deployment, "shift"))
    green = live.status(deployment)["green"]
    started = live.clock.moment
    looks = 0
    before = content(live, blue)
    while live.read_status(deployment) == "running":
        knock = live.broker.take_next()
        assert knock is not None
        live.turn(knock)
        if "points compared" not in live.step(deployment, "shift")["message"]:
            continue
        assert content(live, green) == before
        write_one(live, way, blue, looks)
        before = content(live, blue)
        looks += 1
    assert live.clock.moment - started > timedelta(minutes=119)
    assert looks >= 119
    commands.request_action(live.services, deployment, Event.PROMOTE, actor="anna", reason="ok")
    live.run()
    status = live.status(deployment)
    assert status["status"] == "live", status["message"]
    assert content(live, green) == content(live, blue)


def write_one(world: World, way: str, blue: str, number: int) -> None:
    record = {"id": number % 40, "text": f"text {number} written about python"}
    if way == "journal":
        write_journaled(world, "docs", [record], gone=[(number * 7) % 40 + 100])
        return
    [point] = world.store.fetch(blue, [0], vectors=True) or world.store.scroll(blue, None, 1)[0]
    world.store.upsert(blue, [type(point)(record["id"], point.vector, record)])


# --- ending ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["populate", "catch_up", "switch"])
def test_an_abort_before_the_switch_ends_the_journal(live: World, step: str) -> None:
    deployment = begin(live, step)
    live.run(until=lambda: rebuilding.read_state(live.services, "docs") is not None)
    commands.request_action(live.services, deployment, Event.ABORT, actor="anna", reason="no")
    live.run()
    assert live.status(deployment)["status"] == "rolled_back"
    assert state(live).phase is Phase.IDLE


def test_an_abort_after_the_switch_brings_back_what_was_written_and_ends_the_journal(
    live: World,
) -> None:
    blue = live.store.aliases()["docs"]
    deployment = begin(live, "soak")
    change(live)
    truth = content(live, live.status(deployment)["green"])
    commands.request_action(live.services, deployment, Event.ABORT, actor="anna", reason="no")
    live.run()
    assert live.status(deployment)["status"] == "rolled_back"
    assert live.store.aliases()["docs"] == blue
    assert content(live, blue) == truth
    assert "with what was written" in live.step(deployment, "switch")["message"]
    assert state(live).phase is Phase.IDLE


def by_hand(world: World) -> None:
    other = f"{world.store.aliases()['docs']}_copy"
    world.store.create(other, world.store.schema(world.store.aliases()["docs"]), {})
    commands.switch_alias(world.services, "docs", other, actor="anna")


def by_a_deployment(world: World) -> None:
    world.declare("docs", source="jsonl:docs.jsonl", writes="none")
    world.deploy("docs")
    world.run()


@pytest.mark.parametrize("move", [by_hand, by_a_deployment])
def test_whoever_moves_the_alias_without_the_journal_ends_it(
    live: World, move: Callable[[World], None]
) -> None:
    begin(live, "soak")
    live.run()
    assert state(live).phase is Phase.FOLLOWING
    move(live)
    assert state(live).phase is Phase.IDLE
    assert state(live).gate is Gate.OPEN


def test_a_rollback_after_the_journal_has_ended_compares_both_collections(live: World) -> None:
    blue = live.store.aliases()["docs"]
    deployment = begin(live, "soak")
    live.run()
    change(live)
    truth = content(live, live.status(deployment)["green"])
    rebuilding.leave_journal(live.services, "docs")
    back = commands.start_rollback(live.services, "docs", actor="anna")
    live.run()
    assert live.status(back)["status"] == "live", live.status(back)["message"]
    assert live.store.aliases()["docs"] == blue
    assert content(live, blue) == truth


def test_a_version_that_nobody_stamped_can_be_gone_back_to_while_the_journal_follows_it(
    world: World,
) -> None:
    """Its vectors are those that the new version was copied from, so no model is needed."""
    theirs = make_collection_of_others(world)
    deployment = begin(world, "soak")
    world.run()
    green = world.status(deployment)["green"]
    for serving, older in [(green, theirs), (theirs, green), (green, theirs)]:
        assert world.store.aliases()["docs"] == serving
        change(world)
        assert "3 points brought to" in following.follow_back(world.services, "docs")
        write_journaled(world, "docs", [{"id": 5, "text": "last"}], gone=[7])
        truth = content(world, serving)
        back = commands.start_rollback(world.services, "docs", actor="anna", to=older)
        world.run()
        assert world.status(back)["status"] == "live", world.status(back)["message"]
        assert "will not bring back" not in str(world.step(back, "catch_up")["message"])
        assert world.store.aliases()["docs"] == older
        assert content(world, older) == truth
        undo_changes(world)


def test_a_version_that_nobody_stamped_cannot_get_vectors_of_another_model(world: World) -> None:
    theirs = make_collection_of_others(world)
    model = {"embedding": NEW_MODEL, "accept_new_model": True}
    world.declare("docs", source="live", writes="journal", **model)
    deployment = begin(world, "soak")
    world.run()
    assert "will not bring back" in world.step(deployment, "catch_up")["message"]
    with_refusal = commands.start_rollback(world.services, "docs", actor="anna")
    world.run()
    told = world.status(with_refusal)["message"]
    assert f"nobody wrote down how the vectors of {theirs} are made" in told
    assert "--now" in told


def test_a_writer_that_knows_only_the_default_is_kept_out_by_a_longer_fence(live: World) -> None:
    live.declare("docs", source="live", writes={"way": "journal", "fence_seconds": 60})
    begin(live, "soak")
    ledger = open_ledger(live.services, rebuilding.Bounds(fence=60.0))
    known = state(live)
    ledger.close_gate("docs", lambda session: None)
    assert open_ledger(live.services).open_entry(known, [1]).entry is None


def test_what_a_rollback_does_with_writes_is_said_before(live: World) -> None:
    blue = live.store.aliases()["docs"]
    begin(live, "soak")
    live.run()
    assert commands.describe_rollback(live.services, "docs") == (
        f"{blue} has everything that was written since"
    )
    change(live)
    assert "1 writes are not in" in commands.describe_rollback(live.services, "docs")


def test_a_write_without_an_answer_is_waited_for_before_the_switch(live: World) -> None:
    deployment = begin(live, "catch_up")
    ledger = open_ledger(live.services)
    entry = ledger.open_entry(state(live), [3]).entry
    assert entry is not None
    ledger.mark_unknown(entry)
    began = live.clock.moment
    live.run(until=lambda: live.clock.moment - began > timedelta(seconds=20))
    told = live.step(deployment, "catch_up")["message"]
    assert "writes to docs without an answer: 1, the last one" in told
    assert "may still arrive for 60 s, so this goes on in" in told
    live.run()
    assert live.status(deployment)["status"] == "live"
    assert live.clock.moment - began >= timedelta(seconds=60)


def test_an_alias_that_is_switched_to_where_it_is_keeps_its_journal(live: World) -> None:
    begin(live, "soak")
    live.run()
    commands.switch_alias(live.services, "docs", live.store.aliases()["docs"], actor="anna")
    assert state(live).phase is Phase.FOLLOWING


def test_writes_go_on_if_a_switch_is_decided_and_a_person_must_finish_it(live: World) -> None:
    deployment = begin(live, "switch")
    ledger = open_ledger(live.services)
    ledger.close_gate("docs", lambda session: None)
    assert ledger.decide_switch("docs", lambda session: None) == ""
    commands.request_action(live.services, deployment, Event.PAUSE, actor="anna", reason="wait")
    live.run()
    assert live.status(deployment)["status"] == "paused"
    assert ledger.open_entry(state(live), [1]).entry is None
    following.list_behind(live.services)
    assert state(live).gate is Gate.OPEN
    change(live)
    commands.request_action(live.services, deployment, Event.RESUME, actor="anna", reason="go")
    live.run()
    status = live.status(deployment)
    assert status["status"] == "live", status["message"]
    assert content(live, status["green"]) == content(live, status["blue"])


def test_a_journal_that_nobody_goes_on_with_ends(live: World) -> None:
    begin(live, "soak")
    live.run()
    green = live.store.aliases()["docs"]
    open_ledger(live.services).announce_rebuild("docs", green, "gone", lambda session: None)
    following.list_behind(live.services)
    assert state(live).phase is Phase.IDLE


def test_an_older_version_that_cannot_follow_any_more_ends_the_journal_and_it_is_said(
    live: World,
) -> None:
    blue = live.store.aliases()["docs"]
    begin(live, "soak", options={"embedding": NEW_MODEL, "accept_new_model": True})
    live.run()
    change(live)
    stamp = live.store.metadata(blue)
    stamp["rollouts"] = {**stamp["rollouts"], "made": {}}
    told = "will not bring back what is written from now on"
    live.store.drop(blue)
    live.store.create(blue, live.store.schema(live.store.aliases()["docs"]), {})
    assert told in following.follow_back(live.services, "docs")
    assert state(live).phase is Phase.IDLE


@pytest.mark.parametrize("way", ["report", "refuse"])
def test_who_writes_around_the_journal_after_the_comparison_is_told_and_holds_up_only_once(
    live: World, way: str
) -> None:
    live.declare("docs", source="live", writes={"way": "journal", "foreign": way})
    blue = live.store.aliases()["docs"]
    deployment = begin(live, "switch")
    live.store.delete(blue, [5])
    live.run()
    if way == "refuse":
        status = live.status(deployment)
        assert status["status"] == "paused"
        assert "somebody wrote around the journal" in status["message"]
        commands.request_action(live.services, deployment, Event.RETRY, actor="anna", reason="x")
        live.run()
        assert content(live, live.status(deployment)["green"]).get(5) is None
    status = live.status(deployment)
    assert status["status"] == "live", status["message"]
    if way == "report":
        assert "somebody wrote around the journal" in live.step(deployment, "switch")["message"]


def test_a_rollback_is_not_held_up_by_what_was_written_around_the_journal(live: World) -> None:
    blue = live.store.aliases()["docs"]
    deployment = begin(live, "soak")
    live.run()
    live.store.delete(live.status(deployment)["green"], [5])
    back = commands.start_rollback(live.services, "docs", actor="anna")
    live.run()
    assert live.status(back)["status"] == "live", live.status(back)["message"]
    assert 5 not in content(live, blue)


def test_who_deploys_the_older_version_is_held_up_by_what_was_written_around_the_journal(
    live: World,
) -> None:
    older = live.store.aliases()["docs"]
    begin(live, "soak")
    live.run()
    newer = live.store.aliases()["docs"]
    live.store.delete(newer, [5])
    deployment = live.deploy("docs", collection=older)
    live.run()
    assert live.status(deployment)["status"] == "paused"
    assert "written around the journal" in live.status(deployment)["message"]
    commands.request_action(live.services, deployment, Event.RETRY, actor="anna", reason="x")
    live.run(until=live.at(deployment, "switch"))
    live.store.delete(newer, [7])
    live.run()
    assert live.status(deployment)["status"] == "paused"
    assert "somebody wrote around the journal" in live.status(deployment)["message"]


def test_a_gate_that_waited_counts_what_was_written_to_the_followed_version_since(
    live: World,
) -> None:
    older = live.store.aliases()["docs"]
    begin(live, "soak")
    live.run()
    deployment = begin(live, "validate", collection=older)
    live.clock.move(claims.LEASE_OF_TURN + 1)
    change(live)
    assert "3 points brought to" in following.follow_back(live.services, "docs")
    live.run()
    assert live.status(deployment)["status"] == "live", live.status(deployment)["message"]
    assert live.store.aliases()["docs"] == older


def test_a_worker_that_gives_up_late_does_not_end_the_journal_of_a_new_rebuild(
    live: World,
) -> None:
    begin(live, "soak")
    live.run()
    turn = claims.claim_following(live.services, "docs", "a worker")
    assert turn is not None
    begin(live, "catch_up")
    assert state(live).phase is Phase.CAPTURING
    with pytest.raises(LeaseLost):
        rebuilding.end_rebuild(live.services, "docs", turn)
    assert state(live).phase is Phase.CAPTURING


def test_a_sweep_that_comes_late_does_not_end_the_journal_of_a_new_rebuild(live: World) -> None:
    begin(live, "soak")
    live.run()
    looked_at = state(live).version
    begin(live, "catch_up")
    rebuilding.leave_journal(live.services, "docs", decided=True, version=looked_at)
    assert state(live).phase is Phase.CAPTURING
