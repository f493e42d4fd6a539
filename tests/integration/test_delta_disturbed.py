"""A clone of the live collection is made while something goes wrong, or while others work on the
same collection. On a real server, for only a server can clone."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.exc import OperationalError

from qdrant_rollouts.core.collections import room
from qdrant_rollouts.core.collections.deletion.garbage_collection import collect_garbage
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import (
    Interrupted,
    LeaseLost,
    Limited,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import Embedder, FloatArray, Point, Room
from tests.backups import through
from tests.integration.test_delta import (
    FULL,
    declare,
    deploy,
    points,
    populated,
    some_changed,
    world,
)
from tests.world import World, texts

__all__ = ["world"]

Act = Callable[..., Any]


class Disturbed:
    """A store where something else happens in place of some calls: each act is given the store's
    own method first, and then the arguments."""

    def __init__(self, store: Any, **acts: Act) -> None:
        self.store = store
        self.acts = acts

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.store, name)
        act = self.acts.get(name)
        if act is None:
            return found
        return lambda *arguments, **named: act(found, *arguments, **named)


def disturb(world: World, **acts: Act) -> None:
    world.over(Disturbed(world.store, **acts))


@pytest.fixture
def live(world: World) -> World:
    """A hundred records serve, and some have changed since."""
    world.write("docs.jsonl", texts(100))
    declare(world)
    deploy(world)
    world.write("docs.jsonl", some_changed())
    return world


def raising(error: BaseException, *, after: bool = False) -> Act:
    """Raises instead of the call, or ``after`` it was done."""

    def act(call: Act, *arguments: Any, **named: Any) -> Any:
        if after:
            call(*arguments, **named)
        raise error

    return act


def expect_that_of_the_full_way(world: World, cloned: dict[str, Any]) -> None:
    declare(world, **FULL)
    assert points(world, cloned["green"]) == points(world, deploy(world)["green"])


# --- the server does not do what it is asked for --------------------------------------------------


@pytest.mark.parametrize(
    ("acts", "why"),
    [
        ({"make_snapshot": raising(Refused("no room"))}, "no room"),
        ({"make_snapshot": raising(Unavailable("too slow"))}, "too slow"),
        ({"check_recovery": raising(Refused("a proxy"))}, "a proxy"),
        ({"recover": raising(Refused("not this one"))}, "not this one"),
    ],
    ids=["snapshot refused", "snapshot slow", "own address", "recovery refused"],
)
def test_a_server_that_makes_no_clone_takes_the_full_way_and_nothing_is_left(
    live: World, acts: dict[str, Act], why: str
) -> None:
    disturb(live, **acts)
    seen = deploy(live)
    output = populated(live, seen)
    assert output["way"] == "records"
    assert why in output["note"]
    assert live.store.count(seen["green"]) == 99


def test_a_snapshot_that_takes_too_long_takes_the_full_way_and_is_told(live: World) -> None:
    def never(call: Act, *arguments: Any) -> Any:
        time.sleep(5)
        raise Unavailable("nobody waits")

    declare(live, progress_deadline_seconds=1)
    disturb(live, make_snapshot=never)
    output = populated(live, deploy(live))
    assert output["way"] == "records"
    assert "there was no answer within 1 s" in output["note"]
    assert "1 snapshots of " in output["summary"]
    assert "may be left on the server" in output["summary"]


def test_a_snapshot_that_is_never_listed_as_finished_is_recovered_all_the_same(
    live: World,
) -> None:
    """Storage of objects may give no checksum."""
    disturb(
        live,
        snapshots=lambda call, *arguments: set(),
        make_snapshot=lambda call, *arguments: replace(call(*arguments), sha256=""),
    )
    seen = through(live, live.deploy("docs"))
    assert populated(live, seen)["way"] == "delta"
    live.over(live.store.store)
    assert live.store.snapshots(seen["blue"]) == set()


@pytest.mark.parametrize(
    "error", [OutcomeUnknown("the connection is lost"), Interrupted("the time limit was reached")]
)
def test_a_recovery_whose_answer_is_lost_is_awaited_and_not_asked_for_again(
    live: World, error: BaseException
) -> None:
    late: list[threading.Thread] = []

    def recover_late(call: Act, *arguments: Any) -> Any:
        late.append(threading.Thread(target=lambda: (time.sleep(0.5), call(*arguments))))
        late[-1].start()
        raise error

    disturb(live, recover=recover_late)
    cloned = through(live, live.deploy("docs"))
    late[0].join()
    assert (cloned["status"], len(late)) == ("live", 1), cloned["message"]
    assert populated(live, cloned)["way"] == "delta"
    live.over(live.store.store)
    assert live.store.snapshots(cloned["blue"]) == set()
    expect_that_of_the_full_way(live, cloned)


def test_a_green_of_several_shards_that_a_late_recovery_could_change_is_never_used(
    world: World,
) -> None:
    """The server has recovered it here, but its answer is lost."""
    live = world
    live.write("docs.jsonl", texts(100))
    declare(live, collection={"shard_number": 2})
    deploy(live)
    live.write("docs.jsonl", some_changed())
    disturb(live, recover=raising(OutcomeUnknown("the connection is lost"), after=True))
    seen = through(live, live.deploy("docs"))
    assert seen["status"] == "rolled_back"
    assert "It may still replace all points of" in seen["message"]
    assert "deploy again" in seen["message"]
    assert seen["green"] not in live.store.collections()
    assert live.store.snapshots(seen["blue"]) == set()


def test_a_lost_answer_is_remembered_for_some_weeks_and_names_the_setting_that_ends_it(
    live: World,
) -> None:
    """As behind a proxy that ends every silent request, and with it what the server does."""
    declare(live, progress_deadline_seconds=5)
    disturb(live, recover=raising(OutcomeUnknown("the connection is lost")))
    seen = through(live, live.deploy("docs"))
    assert seen["status"] == "rolled_back"
    assert "populate.delta_at_most: 0" in seen["message"]
    output = populated(live, deploy(live))
    assert output["way"] == "records"
    assert "the server's answer to the recovery into" in output["note"]
    assert "populate.delta_at_most: 0" in output["note"]
    declare(live, source="live")
    copied = populated(live, deploy(live))
    assert (copied["way"], "not by snapshot: on 2026-11-02" in copied["note"]) == ("copy", True)
    live.over(live.store.store)
    declare(live)
    live.clock.move(31 * 24 * 3600)
    live.write("docs.jsonl", texts(100))
    deploy(live)
    assert populated(live, deploy(live))["way"] == "delta"


def test_a_snapshot_whose_answer_is_lost_takes_the_full_way_and_leaves_one_snapshot_in_all(
    live: World,
) -> None:
    disturb(live, make_snapshot=raising(OutcomeUnknown("HTTP 504"), after=True))
    seen = through(live, live.deploy("docs"))
    assert (seen["status"], populated(live, seen)["way"]) == ("live", "records")
    assert "may be left on the server" in populated(live, seen)["summary"]
    assert len(live.store.snapshots(seen["blue"])) == 1
    again = populated(live, deploy(live))
    assert "the request for a snapshot" in again["note"]
    for name in live.store.snapshots(seen["blue"]):
        live.store.drop_snapshot(seen["blue"], name)


@pytest.mark.parametrize("what", ["make_snapshot", "check_recovery", "recover"])
def test_a_server_that_does_not_answer_once_is_asked_again(live: World, what: str) -> None:
    calls = []

    def away_once(call: Act, *arguments: Any) -> Any:
        calls.append(what)
        if len(calls) == 1:
            raise Unavailable("no connection")
        return call(*arguments)

    disturb(live, **{what: away_once})
    assert populated(live, deploy(live))["way"] == "delta"
    assert len(calls) == 2


def test_a_database_that_does_not_answer_meanwhile_ends_nothing(live: World) -> None:
    failed = []

    def fail(*arguments: Any) -> None:
        statement = arguments[2]
        if statement.startswith("SELECT deployments.requested \n"):
            failed.append(statement)
            raise OperationalError(statement, {}, Exception("the connection is lost"))

    def recover_slowly(call: Act, *arguments: Any) -> None:
        event.listen(live.engine, "before_cursor_execute", fail)
        time.sleep(1.2)
        event.remove(live.engine, "before_cursor_execute", fail)
        call(*arguments)

    disturb(live, recover=recover_slowly)
    assert populated(live, deploy(live))["way"] == "delta"
    assert failed


def test_too_little_room_for_a_clone_takes_the_full_way(live: World) -> None:
    """Green itself has room: a clone needs half as much again."""
    blue = live.store.aliases()["docs"]
    found, _ = live.store.scroll(blue, None, 100, vectors=False)
    size = room.payload_bytes([point.payload for point in found])
    need = room.estimate_need(live.store.schema(blue), 100, size, live.store.server())
    free = Room(disk=int(need.disk * 1.25), memory=None)
    disturb(live, room=lambda call: free)
    output = populated(live, deploy(live))
    assert output["way"] == "records"
    assert "a clone needs at least" in output["note"]


def test_what_the_server_makes_again_late_is_deleted_by_gc(live: World) -> None:
    asked: list[Any] = []

    def answer_never(call: Act, *arguments: Any) -> Any:
        asked.extend(arguments)
        raise OutcomeUnknown("the connection is lost")

    declare(live, progress_deadline_seconds=5)
    disturb(live, recover=answer_never, drop_snapshot=lambda call, *arguments: None)
    seen = through(live, live.deploy("docs"))
    assert "`rollouts gc` deletes it" in seen["message"]
    assert seen["green"] not in live.store.collections()
    live.over(live.store.store)
    live.store.recover(*asked)
    assert seen["green"] in live.store.collections()
    swept = collect_garbage(live.services, actor="anna")
    assert [one["collection"] for one in swept["leftovers"]] == [seen["green"]]
    assert seen["green"] not in live.store.collections()
    for name in live.store.snapshots(seen["blue"]):
        live.store.drop_snapshot(seen["blue"], name)


def test_a_recovery_that_the_release_before_has_asked_for_is_awaited(live: World) -> None:
    """That release did not wait for answers, and wrote the first form."""
    declare(live, source="live")
    deployment = live.deploy("docs")
    through(live, deployment, until="create")
    seen = live.status(deployment)
    state: dict[str, Any] = {"form": 1, "way": "snapshot", "phase": "recovering", "own": True}
    made = live.store.make_snapshot(seen["blue"], 30)
    live.store.recover(seen["green"], seen["blue"], made, 30)
    state |= {"snapshot": made.name, "known": [], "low": 100, "high": 100, "print": None}
    with live.services.sessions.begin() as session:
        mine = StepRow.deployment_id == deployment, StepRow.name == "populate"
        session.execute(update(StepRow).where(*mine).values(state=state))
    seen = through(live, deployment)
    assert seen["status"] == "live", seen["message"]
    assert populated(live, seen)["expected"] == 100
    assert "may be left on the server" in populated(live, seen)["summary"]
    live.store.drop_snapshot(seen["blue"], made.name)


def test_no_piece_of_a_pass_loads_what_the_pieces_before_have_met(world: World) -> None:
    """The ids are loaded only when they are merged: once for the look, once for the pass, and once
    for what is gone."""
    world.write("docs.jsonl", texts(1000))
    declare(world)
    deploy(world)
    world.write("docs.jsonl", texts(990))
    loaded: list[str] = []

    def count(*arguments: Any) -> None:
        if arguments[2].startswith("SELECT seen_ids.ids"):
            loaded.append(arguments[2])

    world.change_services(times=replace(world.services.times, turn_time=0.01))
    event.listen(world.engine, "before_cursor_execute", count)
    seen = through(world, world.deploy("docs"), until="populate")
    event.remove(world.engine, "before_cursor_execute", count)
    assert populated(world, seen)["dropped"] == 10
    assert len(loaded) == 3


# --- a slow source --------------------------------------------------------------------------------


def test_a_window_of_a_slow_source_ends_with_its_time_and_is_kept(live: World) -> None:
    opened = live.services.source

    class Slow:
        def __init__(self, source: Any) -> None:
            self.source = source

        def __getattr__(self, name: str) -> Any:
            return getattr(self.source, name)

        def read(self, cursor: Any) -> Iterator[Any]:
            for row in self.source.read(cursor):
                time.sleep(0.02)
                yield row

    live.change_services(
        source=lambda text: Slow(opened(text)), times=replace(live.services.times, turn_time=0.2)
    )
    deployment = live.deploy("docs")
    through(live, deployment, until="create")
    reached = []
    for _ in range(5):
        knock = live.broker.take_next()
        assert knock is not None
        live.turn(knock)
        reached.append((state_of(live, deployment).get("look") or {}).get("read", 0))
    assert 0 == reached[0] < reached[1] < reached[2] < reached[4] < 99
    live.change_services(source=opened)
    assert populated(live, through(live, deployment))["way"] == "delta"


def test_a_source_that_is_slow_to_its_first_row_is_read_in_few_turns(live: World) -> None:
    """Such as a compressed file, which is read from its beginning to find a place in it."""
    opened = live.services.source
    openings = []

    class Slow:
        def __init__(self, source: Any) -> None:
            self.source = source

        def __getattr__(self, name: str) -> Any:
            return getattr(self.source, name)

        def read(self, cursor: Any) -> Iterator[Any]:
            openings.append(cursor)
            time.sleep(0.3)
            yield from self.source.read(cursor)

    live.change_services(
        source=lambda text: Slow(opened(text)), times=replace(live.services.times, turn_time=0.2)
    )
    deployment = live.deploy("docs")
    through(live, deployment, until="create")
    openings.clear()
    for _ in range(40):
        knock = live.broker.take_next()
        assert knock is not None
        live.turn(knock)
        if live.step(deployment, "populate")["status"] == "done":
            break
    assert populated(live, live.status(deployment))["way"] == "delta"
    assert len(openings) <= 8


# --- a rate limit ---------------------------------------------------------------------------------


@dataclass
class Rate:
    """How many requests of points a collection allows in a turn."""

    collection: str
    most: int
    made: int = 0

    def pace(self, call: Act, collection: str) -> None:
        if collection == self.collection and self.made >= self.most:
            raise Limited("no more reads for now", 0.1)

    def count(self, call: Act, collection: str, **named: Any) -> Any:
        self.made += collection == self.collection
        return call(collection, **named)

    def fetch(self, call: Act, collection: str, *arguments: Any, **named: Any) -> Any:
        self.made += collection == self.collection
        return call(collection, *arguments, **named)


@pytest.mark.parametrize("most", [1, 2])
def test_a_look_goes_on_however_few_reads_the_live_collection_allows(
    live: World, most: int
) -> None:
    deployment = live.deploy("docs")
    through(live, deployment, until="create")
    rate = Rate(live.status(deployment)["blue"], most)
    disturb(live, pace=rate.pace, count=rate.count, fetch=rate.fetch)
    for _ in range(40):
        rate.made = 0
        knock = live.broker.take_next()
        assert knock is not None
        time.sleep(min(0.1, knock.countdown))
        live.turn(knock)
        if live.step(deployment, "populate")["status"] == "done":
            break
    assert populated(live, live.status(deployment))["way"] == "delta"


def test_windows_before_a_rate_limit_are_kept(live: World) -> None:
    """The server itself refuses a read, because applications have used up the rate."""
    compared: list[int] = []

    def refuse_each_second(call: Act, collection: str, ids: Sequence[Any], **named: Any) -> Any:
        if collection == blue and len(compared) % 2:
            compared.append(0)
            raise Limited("no more reads for now", 0.1)
        if collection == blue:
            compared.append(len(ids))
        return call(collection, ids, **named)

    deployment = live.deploy("docs")
    through(live, deployment, until="create")
    blue = live.status(deployment)["blue"]
    disturb(live, fetch=refuse_each_second)
    seen = through(live, deployment, until="populate")
    assert populated(live, seen)["way"] == "delta"
    estimated = 99
    assert [size for size in compared if size > 10] == [estimated, 64, 35]


def test_a_recovery_that_comes_after_the_deployment_was_given_up_leaves_no_collection(
    live: World,
) -> None:
    def answer_never(call: Act, *arguments: Any) -> Any:
        def recover_late() -> None:
            time.sleep(0.7)
            with suppress(Refused, Unavailable):  # green is dropped meanwhile on a busy machine
                call(*arguments)

        late.append(threading.Thread(target=recover_late))
        late[0].start()
        raise OutcomeUnknown("the connection is lost")

    late: list[threading.Thread] = []
    declare(live, progress_deadline_seconds=0.5)
    disturb(live, recover=answer_never, drop_snapshot=lambda call, *arguments: None)
    seen = through(live, live.deploy("docs"))
    late[0].join()
    live.over(live.store.store)
    assert seen["status"] == "rolled_back"
    assert seen["green"] not in live.store.collections()
    for name in live.store.snapshots(seen["blue"]):
        live.store.drop_snapshot(seen["blue"], name)


def test_a_recovery_that_was_never_begun_ends_the_deployment_in_time(live: World) -> None:
    asked = []

    def die(call: Act, *arguments: Any) -> Any:
        asked.append(arguments)
        raise Interrupted("the time limit was reached")

    declare(live, progress_deadline_seconds=5)
    disturb(live, recover=die)
    seen = through(live, live.deploy("docs"))
    assert (seen["status"], len(asked)) == ("rolled_back", 1)
    assert "its worker died or was stopped meanwhile" in seen["message"]


def test_a_recovery_that_failed_half_way_is_not_filled_up(live: World) -> None:
    def fail(call: Act, target: str, source: str, *arguments: Any) -> Any:
        live.store.upsert(target, live.store.fetch(source, [1, 2], vectors=True))
        raise Refused("a shard is damaged")

    disturb(live, recover=fail)
    seen = through(live, live.deploy("docs"))
    assert seen["status"] == "rolled_back"
    assert "failed and left 2 points: a shard is damaged" in seen["message"]
    assert live.store.snapshots(seen["blue"]) == set()


def test_a_green_that_cannot_be_read_after_a_refused_recovery_ends_the_night_and_not_the_next(
    live: World,
) -> None:
    """As on 1.16.3 until the collection is dropped."""
    refused = []

    def refuse(call: Act, *arguments: Any) -> Any:
        refused.append(arguments)
        raise Refused("the archive is damaged")

    def fail_to_count(call: Act, collection: str, **named: Any) -> Any:
        if refused and collection.endswith("_2"):
            raise Unavailable("HTTP 500")
        return call(collection, **named)

    disturb(live, recover=refuse, count=fail_to_count)
    seen = through(live, live.deploy("docs"))
    assert seen["status"] == "rolled_back"
    assert "cannot be read since: the archive is damaged" in seen["message"]
    assert len(refused) == 1
    live.over(live.store.store)
    assert populated(live, deploy(live))["way"] == "records"


def test_a_clone_is_complete_when_the_server_says_so_and_not_when_most_points_are_there(
    world: World,
) -> None:
    world.write("docs.jsonl", texts(100))
    declare(world, collection={"shard_number": 6})
    deploy(world)
    world.write("docs.jsonl", some_changed())

    def recover_slowly(call: Act, target: str, source: str, *arguments: Any) -> None:
        world.store.upsert(target, world.store.fetch(source, list(range(95)), vectors=True))
        time.sleep(2.5)
        call(target, source, *arguments)

    disturb(world, recover=recover_slowly)
    cloned = deploy(world)
    assert populated(world, cloned)["way"] == "delta"
    declare(world, collection={"shard_number": 6}, **FULL)
    assert points(world, cloned["green"]) == points(world, deploy(world)["green"])


def test_a_snapshot_whose_name_was_not_heard_stays_and_the_passes_end(world: World) -> None:
    """Each record brings a vector that is otherwise made, so a pass always has something to
    write."""
    vectors = {"dense": {"model": "hashing:64", "text": "{text}"}}
    declare(world, embedding=None, vectors=vectors)
    model = world.services.embedder(world.indexes["docs"].models[0])
    records = texts(60)
    for one in records[:10]:
        one["vector"] = {"dense": model.documents([one["text"]])[0].tolist()}
    world.write("docs.jsonl", records)
    blue = deploy(world)["green"]
    world.write("docs.jsonl", records)
    died = []

    def die_once(call: Act, *arguments: Any) -> Any:
        made = call(*arguments)
        if not died:
            died.append(made.name)
            time.sleep(1.1)  # two of one second have the same name
            raise Interrupted("the time limit was reached")
        return made

    disturb(world, make_snapshot=die_once)
    seen = through(world, world.deploy("docs"))
    assert seen["status"] == "live", seen["message"]
    output = populated(world, seen)
    assert (output["way"], output["renewed"]) == ("delta", 10)
    assert f"1 snapshots of {blue} were asked for without an answer" in output["summary"]
    assert world.store.snapshots(blue) == set(died)
    world.store.drop_snapshot(blue, died[0])


# --- an abort, and a lost turn --------------------------------------------------------------------


def test_an_abort_does_not_wait_for_the_server(live: World) -> None:
    goes_on = threading.Event()
    ended = []

    def wait_long(call: Act, *arguments: Any) -> Any:
        commands.request_action(live.services, deployment, Event.ABORT, actor="anna")
        goes_on.wait(60)
        ended.append(call)
        raise Unavailable("too late")

    disturb(live, recover=wait_long)
    deployment = live.deploy("docs")
    seen = through(live, deployment)
    assert ended == []
    goes_on.set()
    assert seen["status"] == "rolled_back"
    assert seen["green"] not in live.store.collections()
    assert live.store.snapshots(seen["blue"]) == set()


def test_a_worker_that_has_lost_its_turn_does_not_wait_for_the_server(live: World) -> None:
    goes_on = threading.Event()
    ended = []

    def lose(call: Act, *arguments: Any) -> Any:
        with live.services.sessions.begin() as session:
            mine = Deployment.id == deployment
            session.execute(update(Deployment).where(mine).values(turn=Deployment.turn + 1))
        goes_on.wait(60)
        ended.append(call)
        raise Unavailable("too late")

    times = replace(live.services.times, lease=12.0, renew_every=0.2)
    live.change_services(times=times)
    declare(live, progress_deadline_seconds=5)
    disturb(live, recover=lose)
    deployment = live.deploy("docs")
    with pytest.raises(LeaseLost):
        through(live, deployment)
    assert ended == []
    goes_on.set()
    live.over(live.store.store)
    seen = through(live, deployment)
    assert "its worker died or was stopped meanwhile" in seen["message"]


def test_a_turn_that_waits_for_the_server_has_no_short_time_limit(live: World) -> None:
    deployment = live.deploy("docs")
    long = set()
    for _ in range(400):
        seen = live.status(deployment)
        if seen["status"] == "live":
            break
        knock = live.broker.take_next()
        assert knock is not None
        time.sleep(min(0.1, knock.countdown))
        before = state_of(live, deployment)
        if knock.long:
            long.add(before.get("phase", ""))
        live.turn(knock)
    assert long == {"", "made", "recovered"}


def state_of(world: World, deployment: str) -> dict[str, Any]:
    with world.services.sessions() as session:
        mine = StepRow.deployment_id == deployment, StepRow.name == "populate"
        return dict(session.scalars(select(StepRow.state).where(*mine)).one())


# --- others work on the same collection -----------------------------------------------------------


def test_what_is_written_to_the_live_collection_after_the_look_is_not_in_the_new_one(
    live: World,
) -> None:
    def write_first(call: Act, collection: str, *arguments: Any) -> Any:
        [one] = live.store.fetch(collection, [5], vectors=True)
        live.store.patch_points(collection, [Point(4, {}, {"text": "theirs", "lang": "de"})])
        live.store.upsert(collection, [Point(1000, one.vector, {"id": 1000, "text": "theirs"})])
        live.store.upsert(collection, [Point(6, one.vector, {"id": 6, "text": "theirs"})])
        live.store.delete(collection, [7, 8])
        return call(collection, *arguments)

    disturb(live, make_snapshot=write_first)
    cloned = deploy(live)
    output = populated(live, cloned)
    assert (output["way"], output["renewed"], output["dropped"]) == ("delta", 8, 3)
    expect_that_of_the_full_way(live, cloned)


@pytest.mark.parametrize("source", ["jsonl:docs.jsonl", "live"])
def test_a_snapshot_of_somebody_else_stays(live: World, source: str) -> None:
    theirs = []

    def take_theirs_first(call: Act, collection: str, *arguments: Any) -> Any:
        theirs.append(call(collection, *arguments).name)
        time.sleep(1.1)
        made = call(collection, *arguments)
        theirs.append(call(collection, *arguments).name)
        return made

    declare(live, source=source)
    disturb(live, make_snapshot=take_theirs_first)
    seen = through(live, live.deploy("docs"))
    assert seen["status"] == "live", seen["message"]
    assert populated(live, seen)["way"] == ("snapshot" if source == "live" else "delta")
    left = live.store.snapshots(seen["blue"])
    assert theirs[0] in left
    for name in left:
        live.store.drop_snapshot(seen["blue"], name)


# --- records with the same id ---------------------------------------------------------------------


@pytest.mark.parametrize("apart", [1, 80], ids=["in one window", "in two windows"])
def test_an_id_that_is_in_the_source_twice_is_reported_by_the_full_way(
    live: World, apart: int
) -> None:
    records = texts(100)
    records.insert(3 + apart, {"id": 3, "text": texts(4)[3]["text"]})
    live.write("docs.jsonl", records)
    declare(live, on_bad_record="skip")
    output = populated(live, deploy(live))
    assert (output["way"], output["bad"]) == ("records", 1)
    assert "an id is in the source more than once" in output["note"]
    assert "3 is not unique" in output["bad_samples"][0]


# --- a slow model ---------------------------------------------------------------------------------


@dataclass
class FewAtOnce:
    """A model so slow that the time limit of a worker comes first if it gets more than ``most``
    texts at once."""

    made: Embedder
    most: int
    asked: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> object:
        return getattr(self.made, name)

    def documents(self, wanted: Sequence[str]) -> FloatArray:
        self.asked.append(len(wanted))
        if len(wanted) > self.most:
            raise Interrupted("the time limit was reached")
        return self.made.documents(wanted)


def test_a_slow_model_embeds_few_at_once_and_what_it_has_embedded_is_kept(live: World) -> None:
    live.write("docs.jsonl", [*texts(19, about="trees"), *texts(81, start=19)])
    model = FewAtOnce(live.services.embedder(live.indexes["docs"].models[0]), 3)
    live.change_services(embedder=lambda spec: model)
    seen = through(live, live.deploy("docs"), until="populate")
    assert seen["status"] == "running", seen["message"]
    assert populated(live, seen)["way"] == "delta"
    done = [size for size in model.asked if size <= 3]
    assert sum(done) == 19
    assert len(model.asked) - len(done) > 2


def test_a_slice_that_is_too_short_for_a_window_keeps_what_was_embedded(live: World) -> None:
    live.write("docs.jsonl", [*texts(60, about="trees"), *texts(40, start=60)])
    declare(live, populate={"delta_at_most": 0.9})
    model = FewAtOnce(live.services.embedder(live.indexes["docs"].models[0]), 1000)
    times = replace(live.services.times, turn_time=0.01)
    live.change_services(embedder=lambda spec: model, times=times)
    seen = through(live, live.deploy("docs"), until="populate")
    output = populated(live, seen)
    assert (output["way"], output["renewed"], output["embedded"]) == ("delta", 60, 60)
    assert sum(model.asked) == 60
    assert len(model.asked) > 2
