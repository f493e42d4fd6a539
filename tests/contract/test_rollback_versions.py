"""Going back to a version by its name, versions that are marked bad, and where a rollback leads if
nobody names one."""

from typing import Any

import pytest

from qdrant_rollouts.core.collections import lineage, marks
from qdrant_rollouts.core.collections.deletion import deletions, retention_policy
from qdrant_rollouts.core.collections.version_names import find_version
from qdrant_rollouts.core.database.models import ServiceClock
from qdrant_rollouts.core.deployments import commands, engine
from qdrant_rollouts.core.errors import Malformed, Refused, Unknown
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.operations.views.overview import run
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.ports import Point
from tests.saved_worlds import SavedWorlds
from tests.world import DIMENSION, World, texts

VECTOR = [1.0] + [0.0] * (DIMENSION - 1)


def deploy_three(world: World) -> None:
    """``docs`` serves its third version; the ones before are kept for an hour."""
    for records in (20, 25, 30):
        world.declare("docs", source=world.write("docs.jsonl", texts(records)))
        world.deploy("docs")
        world.run()


def write_to_three(world: World) -> None:
    """The same where the live collection is the truth."""
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    world.deploy("docs")
    world.run()
    world.declare("docs", source="live")
    for _ in range(2):
        world.deploy("docs")
        world.run()


@pytest.fixture
def docs(world: World, saved_worlds: SavedWorlds) -> World:
    saved_worlds.begin(world, deploy_three)
    return world


@pytest.fixture
def live(world: World, saved_worlds: SavedWorlds) -> World:
    saved_worlds.begin(world, write_to_three)
    return world


def name(world: World, number: int) -> str:
    return find_version(world.services, "docs", str(number)).collection


def begin_rollback(world: World, **given: Any) -> str:
    world.clock.move(1)
    return commands.start_rollback(world.services, "docs", actor="anna", **given)


def roll_back(world: World, **given: Any) -> dict[str, Any]:
    started = begin_rollback(world, **given)
    world.run()
    return world.status(started)


def mark(world: World, version: str, *, bad: bool = True, reason: str = "wrong prices") -> Any:
    return marks.mark_version(world.services, "docs", version, bad=bad, actor="anna", reason=reason)


def row(world: World, number: int) -> dict[str, Any]:
    listed = lineage.list_versions(world.services, "docs")["versions"]
    return next(dict(one) for one in listed if one["number"] == number)


def serves(world: World) -> int:
    live = world.store.aliases()["docs"]
    return next(number for number in (1, 2, 3) if name(world, number) == live)


def due(world: World) -> dict[str, str]:
    open_ = ("scheduled", "deleting")
    return {
        one["collection"]: one["delete_after"]
        for one in queries.list_deletions(world.services)
        if one["status"] in open_
    }


def later(world: World, minutes: float) -> None:
    """Time passes while the service runs, and then what is due is deleted."""
    world.clock.move(minutes * 60)
    with world.services.sessions.begin() as session:
        deletions.advance_service_clock(session, world.clock.moment)
        clock = session.get_one(ServiceClock, 1)
        clock.elapsed += minutes * 60
    deletions.delete_due(world.services)


# --- which version --------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["1", "v1", "collection"])
def test_an_older_version_is_gone_back_to_by_number_and_by_name(docs: World, named: str) -> None:
    to = name(docs, 1) if named == "collection" else named
    status = roll_back(docs, to=to)
    assert (status["status"], serves(docs)) == ("live", 1)
    assert docs.store.count("docs") == 20


def test_without_a_name_a_rollback_goes_further_back_each_time_and_never_forward(
    docs: World,
) -> None:
    assert [row(docs, number)["rollback_target"] for number in (1, 2, 3)] == [False, True, False]
    roll_back(docs)
    assert serves(docs) == 2
    assert (row(docs, 3)["rolled_away"], row(docs, 1)["rollback_target"]) == (True, True)
    message = roll_back(docs)["message"]
    assert message.endswith(f"To return to it: `rollouts rollback docs --to {name(docs, 2)}`")
    assert serves(docs) == 1
    with pytest.raises(Refused, match=r"no version before .*`rollouts rollback docs --to VERSION`"):
        begin_rollback(docs)
    assert roll_back(docs, to="3")["status"] == "live"
    assert serves(docs) == 3


def test_a_command_that_is_said_to_lead_back_leads_there(docs: World) -> None:
    """Each is typed as it is told: on the page of what serves, in its message, and with a mark."""

    def told(deployment: str) -> tuple[str, str]:
        seen = run.describe_deployment(docs.services, deployment, StoreSnapshot())
        return seen["situation"].back, docs.status(deployment)["message"]

    gone_back = roll_back(docs)["id"]
    way = f"rollouts rollback docs --to {name(docs, 3)}"
    assert told(gone_back)[0] == f"`{way}` brings back version 3, while it is kept"
    mark(docs, "2")
    page, message = told(deploy_again(docs))
    way = f"rollouts rollback docs --to {name(docs, 2)} --force"
    assert page.startswith(f"`{way}` brings back")
    assert message.endswith(f"`{way}`")
    roll_back(docs, to="1")
    assert "there is no version before it" in mark(docs, "1")["next"]


def deploy_again(world: World) -> str:
    world.clock.move(1)
    deployment = world.deploy("docs")
    world.run()
    return deployment


def test_a_version_that_is_marked_bad_is_passed_over_and_needs_a_confirmation(docs: World) -> None:
    answer = mark(docs, "2")
    assert (answer["changed"], answer["marked_bad"]["by"]) == (True, "anna")
    assert mark(docs, "2")["changed"] is False
    assert row(docs, 2)["marked_bad"]["reason"] == "wrong prices"
    with pytest.raises(
        Refused,
        match=r"marked bad by anna: wrong prices; `rollouts rollback docs "
        r"--to 2 --force`",
    ):
        begin_rollback(docs, to="2")
    with pytest.raises(Refused, match="name it with --to"):
        begin_rollback(docs, force=True)
    assert roll_back(docs)["status"] == "live"
    assert serves(docs) == 1
    assert roll_back(docs, to="2", force=True)["status"] == "live"
    assert serves(docs) == 2


def test_a_mark_is_taken_back(docs: World) -> None:
    mark(docs, "2")
    assert mark(docs, "v2", bad=False, reason="")["marked_bad"] is None
    assert row(docs, 2)["rollback_target"] is True
    events = [one["event"] for one in docs.list_events("docs", 2)]
    assert events == ["version.mark_removed", "version.marked_bad"]


def test_a_mark_needs_a_version_and_a_reason_and_says_what_to_do_next(docs: World) -> None:
    with pytest.raises(Malformed, match="say why"):
        mark(docs, "2", reason=" ")
    with pytest.raises(Unknown, match="no version '9'"):
        mark(docs, "9")
    assert "`rollouts rollback docs` goes back" in mark(docs, "3")["next"]
    running = begin_rollback(docs, to="1")
    assert f"`rollouts abort {running}`" in mark(docs, "1")["next"]


# --- what is refused ------------------------------------------------------------------------------


def test_what_serves_and_what_is_not_of_this_alias_is_refused(docs: World) -> None:
    docs.declare("other", source=docs.write("other.jsonl", texts(20)))
    docs.deploy("other")
    docs.run()
    elsewhere = docs.store.aliases()["other"]
    for to, said in (
        ("3", "serves docs already"),
        ("7", "no version '7'; the latest: 1"),
        (elsewhere, f"{elsewhere} is version 1 of other, not of docs"),
    ):
        with pytest.raises(Refused, match=said):
            begin_rollback(docs, to=to)


def test_a_version_that_has_never_served_goes_through_the_gate(docs: World) -> None:
    built = docs.deploy("docs", strategy="build_only")
    docs.run()
    green = docs.status(built)["green"]
    with pytest.raises(Refused, match=f"never served docs.*rollouts deploy --collection {green}"):
        begin_rollback(docs, to=green)


def test_a_version_that_is_gone_is_refused_with_what_became_of_it(docs: World) -> None:
    first, second = name(docs, 1), name(docs, 2)
    later(docs, 61)
    assert docs.store.collections() == {name(docs, 3)}
    with pytest.raises(
        Refused,
        match=rf"{first} is no longer there: it was deleted 2026.*no "
        r"backup of it is kept; `rollouts deploy docs`",
    ):
        begin_rollback(docs, to="1")
    with pytest.raises(Refused, match=f"{second}, .* no longer retained: it was deleted"):
        begin_rollback(docs)


def test_where_the_version_before_is_gone_the_others_that_are_there_are_named(docs: World) -> None:
    docs.store.drop(name(docs, 2))
    with pytest.raises(Refused, match=r"no longer retained: .*; `rollouts versions docs` shows"):
        begin_rollback(docs)
    docs.store.drop(name(docs, 1))
    with pytest.raises(Refused, match=r"`rollouts deploy docs` builds a new version$"):
        begin_rollback(docs)


def test_a_version_without_a_vector_that_searches_ask_is_refused(docs: World) -> None:
    docs.declare("docs", source="jsonl:docs.jsonl", search={"prefetch": [{"vector": "title"}]})
    with pytest.raises(Refused, match=r"cannot serve docs now: search.prefetch.0.vector.*'title'"):
        begin_rollback(docs, to="1")


# --- deletions ------------------------------------------------------------------------------------


def test_what_was_left_has_its_whole_grace_period_and_what_serves_is_not_deleted(
    docs: World,
) -> None:
    first, second, third = (name(docs, number) for number in (1, 2, 3))
    before = due(docs)
    assert set(before) == {first, second}
    later(docs, 30)
    roll_back(docs, to="1")
    assert set(due(docs)) == {second, third}
    assert due(docs)[second] == before[second]
    later(docs, 40)
    assert docs.store.collections() == {first, third}
    later(docs, 25)
    assert docs.store.collections() == {first}


def test_a_version_that_was_to_serve_and_did_not_is_deleted_after_a_new_grace_period(
    docs: World,
) -> None:
    first = name(docs, 1)
    later(docs, 30)
    started = begin_rollback(docs, to="1")
    assert first not in due(docs)
    commands.request_action(docs.services, started, Event.ABORT, actor="anna")
    docs.run()
    assert docs.status(started)["status"] == "rolled_back"
    assert first in due(docs)
    later(docs, 59)
    assert first in docs.store.collections()
    later(docs, 2)
    assert first not in docs.store.collections()


def test_a_kept_version_stays_kept_after_a_rollback_to_it_that_was_aborted(docs: World) -> None:
    first = name(docs, 1)
    retention_policy.keep_collection(docs.services, first, actor="anna")
    started = begin_rollback(docs, to="1")
    commands.request_action(docs.services, started, Event.ABORT, actor="anna")
    docs.run()
    assert first not in due(docs)


# --- writes ---------------------------------------------------------------------------------------


def test_an_older_version_gets_what_was_written_since_and_the_answer_says_so(live: World) -> None:
    third = name(live, 3)
    live.store.upsert(third, [Point(77, VECTOR, {"id": 77, "text": "new"})])
    live.store.delete(third, [9])
    started = begin_rollback(live, to="1")
    (said,) = queries.describe_started(live.services, started)["warnings"]
    assert said == f"what was written to {third} since is brought to {name(live, 1)} first"
    live.run()
    assert live.status(started)["status"] == "live", live.status(started)["message"]
    assert live.store.fetch("docs", [77, 9], vectors=False)[0].payload["text"] == "new"


def test_what_the_live_version_never_got_is_not_deleted_in_the_older_one(live: World) -> None:
    second, third = name(live, 2), name(live, 3)
    live.store.upsert(third, [Point(77, VECTOR, {"id": 77, "text": "only here"})])
    assert roll_back(live, to="2", now=True)["status"] == "live"
    with pytest.raises(
        Refused,
        match=rf"{second} never got what was written to {third}.*"
        r"`rollouts rollback docs --to 3 --now`",
    ):
        begin_rollback(live, to="3")
    assert "only with --now" in commands.describe_rollback(live.services, "docs", "3")
    started = begin_rollback(live, to="3", now=True)
    (said,) = queries.describe_started(live.services, started)["warnings"]
    assert said == f"what was written to {second} since stays there, and is listed"
    live.run()
    assert live.status(started)["status"] == "live"
    assert live.store.fetch("docs", [77], vectors=False)[0].payload["text"] == "only here"


def deploy(world: World, **given: Any) -> str:
    world.clock.move(1)
    started = world.deploy("docs", **given)
    world.run()
    status = world.status(started)
    assert status["status"] == "live", status["message"]
    return str(status["green"])


def write_only_here(world: World, *collections: str) -> None:
    for collection in collections:
        world.store.upsert(collection, [Point(77, VECTOR, {"id": 77, "text": "only here"})])


def has_what_was_written(world: World, collection: str) -> bool:
    return bool(world.store.fetch(collection, [77], vectors=False))


def test_what_a_version_between_left_behind_is_not_deleted_further_back(live: World) -> None:
    first, second, third = (name(live, number) for number in (1, 2, 3))
    write_only_here(live, second, third)
    assert roll_back(live, to="1", now=True)["status"] == "live"
    fourth = deploy(live)
    with pytest.raises(
        Refused,
        match=rf"{first} never got what was written to {third}, so to make {second} like {fourth}",
    ):
        begin_rollback(live, to="2")
    assert has_what_was_written(live, second)


def test_what_a_version_got_before_one_without_its_writes_is_not_deleted_there(
    live: World,
) -> None:
    second, third = name(live, 2), name(live, 3)
    write_only_here(live, third)
    deploy(live, collection=second, options={"writes": "none"})
    deploy(live)
    mark(live, "2")
    with pytest.raises(Refused, match=rf"{second} never got what was written to {third}"):
        begin_rollback(live)
    assert has_what_was_written(live, third)


def test_what_was_written_while_a_person_had_moved_the_alias_is_not_deleted(live: World) -> None:
    second, third = name(live, 2), name(live, 3)
    live.clock.move(1)
    commands.switch_alias(live.services, "docs", second, actor="anna")
    write_only_here(live, second)
    commands.switch_alias(live.services, "docs", third, actor="anna")
    with pytest.raises(Refused, match=rf"a person has moved docs since {second} was replaced"):
        begin_rollback(live)
    assert has_what_was_written(live, second)


def test_an_alias_that_was_moved_by_hand_brings_nothing_back_unasked(live: World) -> None:
    commands.switch_alias(live.services, "docs", name(live, 2), actor="anna")
    with pytest.raises(Refused, match=r"no deployment has brought.*--to 3 --now`"):
        begin_rollback(live, to="3")
    assert roll_back(live, to="3", now=True)["status"] == "live"


def test_a_source_shows_the_older_version_as_it_was_built(docs: World) -> None:
    said = commands.describe_rollback(docs.services, "docs", "1")
    assert said == f"it shows the records as they were when {name(docs, 1)} was built"


def test_a_rollback_that_is_knocked_for_twice_is_one(docs: World) -> None:
    started = begin_rollback(docs, to="1")
    engine.knock_overdue_turns(docs.services)
    for _, knock in list(docs.broker.waiting):
        docs.turn(knock)
        docs.turn(knock)
    docs.run()
    assert (docs.status(started)["status"], serves(docs)) == ("live", 1)


def test_a_rollback_that_finds_too_few_points_says_how_to_go_there_all_the_same(
    live: World,
) -> None:
    more = [Point(number, VECTOR, {"id": number, "text": "more"}) for number in range(100, 230)]
    live.store.upsert(name(live, 1), more)
    message = roll_back(live, to="1")["message"]
    assert f"`rollouts rollback docs --to {name(live, 1)} --now` goes back without" in message
