"""Writes through our clients, on a real Qdrant, while an index is rebuilt."""

import inspect
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import qdrant_client
from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse
from qdrant_client.qdrant_remote import QdrantRemote
from sqlalchemy import select

from qdrant_rollouts.adapters.migrate import migrate_database
from qdrant_rollouts.adapters.writing_client import QdrantClient
from qdrant_rollouts.adapters.writing_client_async import AsyncQdrantClient
from qdrant_rollouts.core.database.journal_rows import EntryStatus, JournalRow, Phase
from qdrant_rollouts.core.errors import OutcomeUnknown, Refused, Unavailable
from qdrant_rollouts.core.journal import rebuilding
from tests.journaled import (
    ALIAS,
    KINDS,
    AnyClient,
    PlainPoints,
    Rebuild,
    open_services,
    until,
)
from tests.servers import Postgres, Qdrant

UUID = "7d0b8c5e-7d3e-4a4e-9d3f-0a1b2c3d4e5f"
OURS = (QdrantClient, AsyncQdrantClient)


def create(points: PlainPoints, name: str) -> str:
    vectors = {
        "text": models.VectorParams(size=4, distance=models.Distance.DOT),
        "image": models.VectorParams(size=2, distance=models.Distance.DOT),
    }
    points.client.create_collection(name, vectors)
    points.client.create_payload_index(name, "group", models.PayloadSchemaType.INTEGER)
    return name


def fill(points: PlainPoints, *names: str) -> None:
    """Nine points and no others."""
    for name in names:
        points.client.delete(name, models.Filter(must=[]))
        points.client.upsert(name, [point(number) for number in range(1, 10)])


def point(number: int, identity: Any = None) -> models.PointStruct:
    vector = {"text": [float(number)] * 4, "image": [1.0, float(number)]}
    payload = {"group": number % 3, "number": number, "more": {"a": 1}}
    return models.PointStruct(
        id=number if identity is None else identity, vector=vector, payload=payload
    )


def of_group(number: int) -> models.Filter:
    return models.Filter(
        must=[models.FieldCondition(key="group", match=models.MatchValue(value=number))]
    )


@pytest.fixture
def services(ready_sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("ROLLOUTS_DATABASE_URL", ready_sqlite_url)
    with closing(open_services(ready_sqlite_url)) as opened:
        yield opened


@pytest.fixture
def points(qdrant_url: str) -> Iterator[PlainPoints]:
    made = PlainPoints(qdrant_url)
    with closing(made.client):
        yield made


@pytest.fixture
def rebuild(services: Any, points: PlainPoints) -> Rebuild:
    """Nine points; the alias shows them, and nothing is announced yet."""
    made = Rebuild(services, points, create(points, "blue"), create(points, "green"))
    fill(points, "blue")
    act = models.CreateAlias(collection_name="blue", alias_name=ALIAS)
    points.client.update_collection_aliases([models.CreateAliasOperation(create_alias=act)])
    return made


@pytest.fixture(params=KINDS)
def client(
    request: pytest.FixtureRequest, rebuild: Rebuild, qdrant_url: str, qdrant_grpc_port: int
) -> Iterator[AnyClient]:
    made = AnyClient(request.param, qdrant_url, qdrant_grpc_port)
    yield made
    made.close()


@pytest.fixture
def rest(rebuild: Rebuild, qdrant_url: str, qdrant_grpc_port: int) -> Iterator[AnyClient]:
    made = AnyClient("sync REST", qdrant_url, qdrant_grpc_port)
    yield made
    made.close()


def rows(services: Any) -> list[JournalRow]:
    with services.sessions() as session:
        return list(session.scalars(select(JournalRow).order_by(JournalRow.seq)))


def ids_in_journal(services: Any) -> list[Any]:
    return [one for row in rows(services) for one in row.point_ids]


# --- it is the client that it was -----------------------------------------------------------------

Write = Callable[[Any, str], Any]
SET = models.SetPayload
#: Each changes points in its own way, and most of them in several.
WRITES: dict[str, Write] = {
    "upsert": lambda client, name: client.upsert(name, [point(20), point(21, UUID), point(1)]),
    "upsert a batch": lambda client, name: client.upsert(
        collection_name=name,
        points=models.Batch(
            ids=[30, 31], vectors={"text": [[1.0] * 4] * 2}, payloads=[{"group": 1}, {"group": 2}]
        ),
        wait=False,
    ),
    "update vectors": lambda client, name: client.update_vectors(
        name, [models.PointVectors(id=2, vector={"text": [9.0] * 4})]
    ),
    "delete vectors": lambda client, name: client.delete_vectors(name, ["image"], [3]),
    "delete vectors by a filter": lambda client, name: client.delete_vectors(
        name, ["image"], of_group(1)
    ),
    "delete": lambda client, name: client.delete(name, [4]),
    "delete by a list": lambda client, name: client.delete(name, models.PointIdsList(points=[5])),
    "delete by a filter": lambda client, name: client.delete(
        name, models.FilterSelector(filter=of_group(2)), wait=True
    ),
    "delete nothing": lambda client, name: client.delete(name, of_group(99)),
    "set payload": lambda client, name: client.set_payload(name, {"x": 1}, [1, 2]),
    "set payload by a filter": lambda client, name: client.set_payload(
        name, {"x": 2}, of_group(0), key="more"
    ),
    "overwrite payload": lambda client, name: client.overwrite_payload(name, {"y": 1}, [1]),
    "delete payload": lambda client, name: client.delete_payload(name, ["number"], of_group(1)),
    "clear payload": lambda client, name: client.clear_payload(name, [2]),
    "clear payload by a filter": lambda client, name: client.clear_payload(name, of_group(1)),
    "batch": lambda client, name: client.batch_update_points(
        name,
        [
            models.UpsertOperation(upsert=models.PointsList(points=[point(40)])),
            models.DeleteOperation(delete=models.PointIdsList(points=[1])),
            models.SetPayloadOperation(set_payload=SET(payload={"z": 1}, points=[2])),
            models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=[3])),
            models.UpdateVectorsOperation(
                update_vectors=models.UpdateVectors(
                    points=[models.PointVectors(id=6, vector={"image": [0.5, 0.5]})]
                )
            ),
        ],
    ),
    "batch by filters that follow from each other": lambda client, name: client.batch_update_points(
        name,
        [
            models.SetPayloadOperation(set_payload=SET(payload={"group": 7}, points=[1, 2])),
            models.OverwritePayloadOperation(
                overwrite_payload=SET(payload={"group": 8}, filter=of_group(7))
            ),
            models.DeletePayloadOperation(
                delete_payload=models.DeletePayload(keys=["more"], filter=of_group(0))
            ),
            models.DeleteVectorsOperation(
                delete_vectors=models.DeleteVectors(vector=["image"], filter=of_group(8))
            ),
            models.DeleteOperation(delete=models.FilterSelector(filter=of_group(1))),
            models.SetPayloadOperation(set_payload=SET(payload={"q": 1}, filter=of_group(99))),
        ],
    ),
    "upload points": lambda client, name: client.upload_points(
        name, (point(number) for number in range(50, 60)), batch_size=4, wait=True
    ),
    "upload columns": lambda client, name: client.upload_collection(
        name,
        {"text": np.ones((5, 4), dtype=np.float32), "image": np.ones((5, 2), dtype=np.float32)},
        [{"group": 1}] * 5,
        range(60, 65),
        2,
        wait=True,
    ),
}


@pytest.mark.parametrize("phase", ["idle", "capturing"])
def test_each_write_does_what_it_does_through_the_plain_client(rebuild, client, phase):
    """And once it was caught up with, the new collection is the same."""
    points = rebuild.points
    create(points, "twin")
    if phase == "capturing":
        rebuild.capture()
    for name, write in WRITES.items():
        fill(points, "blue", "green", "twin")
        write(client, ALIAS)
        write(points.client, "twin")
        assert points.content("blue") == points.content("twin"), name
        if phase == "capturing":
            assert rows(rebuild.services), name
            rebuild.catch_up()
            assert points.content("green") == points.content("twin"), name
    if phase == "idle":
        assert rows(rebuild.services) == []


def test_an_answer_is_what_the_plain_client_answers(rebuild, client):
    rebuild.capture()
    assert client.upsert(ALIAS, [point(1)]).status is models.UpdateStatus.COMPLETED
    results = client.batch_update_points(
        ALIAS, [models.DeleteOperation(delete=models.PointIdsList(points=[1]))]
    )
    assert [one.status for one in results] == [models.UpdateStatus.COMPLETED]


def test_a_refused_write_raises_what_the_plain_client_raises_and_has_ended(rebuild, rest):
    rebuild.capture()
    with pytest.raises(UnexpectedResponse):
        rest.upsert(ALIAS, [models.PointStruct(id=1, vector={"nowhere": [1.0]})])
    assert [row.status for row in rows(rebuild.services)] == [EntryStatus.DONE]


def test_another_collection_is_written_to_as_ever_while_a_rebuild_captures(rebuild, client):
    rebuild.capture()
    create(rebuild.points, "other")
    client.upsert("other", [point(1)])
    client.upload_points("other", [point(2)], wait=True)
    client.delete("other", of_group(1))
    assert list(rebuild.points.content("other")) == [2]
    client.upsert("blue", [point(99)])
    assert rows(rebuild.services) == [], "a collection by its own name is nobody's index"


@pytest.mark.parametrize(("ours", "remote"), [(OURS[0], QdrantRemote)])
def test_every_method_that_changes_points_is_overridden(ours, remote):
    """Every request that changes points is found in the client's own source."""
    changes = re.compile(
        r"grpc_points\.(Upsert|Delete|UpdateVectors|DeleteVectors|SetPayload|OverwritePayload"
        r"|DeletePayload|ClearPayload|UpdateBatch)\b"
        r"|points_api\.(upsert_|update_vectors|delete_points|delete_vectors|set_|overwrite_"
        r"|delete_payload|clear_|batch_update)|self\._upload_collection\("
    )
    writing = {
        name
        for name, method in inspect.getmembers(remote, inspect.isfunction)
        if not name.startswith("_") and changes.search(inspect.getsource(method))
    }
    assert len(writing) == 11
    for client in OURS:
        overridden = {name for name in vars(client) if not name.startswith("_")}
        assert writing <= overridden
        assert overridden - writing == {"close"}


def test_every_request_of_the_api_is_known_to_read_or_to_be_overridden():
    """A new release of qdrant-client may bring one."""
    from qdrant_client.http.api.points_api import SyncPointsApi

    known = {
        "batch_update", "clear_payload", "delete_payload", "delete_points", "delete_vectors",
        "overwrite_payload", "set_payload", "update_vectors", "upsert_points",
    }  # fmt: skip
    reading = {"count_points", "facet", "get_point", "get_points", "scroll_points"}
    found = {name for name, _ in inspect.getmembers(SyncPointsApi, inspect.isfunction)}
    assert {name for name in found if not name.startswith("_")} == known | reading


# --- leases ---------------------------------------------------------------------------------------


def test_a_capture_begins_when_every_client_has_learnt_of_it(rebuild, client):
    client.upsert(ALIAS, [point(1)])
    assert rebuild.try_capture() == [client.process]
    until(lambda: rebuild.try_capture() == [])
    client.upsert(ALIAS, [point(2)])
    assert ids_in_journal(rebuild.services) == [2]


def test_a_closed_client_keeps_no_capture_waiting(rebuild, client):
    client.upsert(ALIAS, [point(1)])
    client.client.desk_of_client.close()
    assert rebuild.try_capture() == []


def test_after_the_rebuild_no_rows_are_written(rebuild, client):
    rebuild.capture()
    client.upsert(ALIAS, [point(1)])
    rebuild.end()
    client.upsert(ALIAS, [point(2)])
    client.delete(ALIAS, of_group(0))
    assert rows(rebuild.services) == []


def test_the_state_and_the_lag_of_a_rebuild_can_be_looked_at(rebuild, rest):
    assert rebuilding.read_state(rebuild.services, ALIAS) is None
    rebuild.capture()
    state = rebuilding.read_state(rebuild.services, ALIAS)
    assert (state.leader, state.follower, state.phase) == ("blue", "green", Phase.CAPTURING)
    rest.upsert(ALIAS, [point(1)])
    assert rebuild.catcher.ledger.measure_lag(ALIAS).left == 1
    rebuild.catch_up()
    assert rebuild.catcher.ledger.measure_lag(ALIAS).left == 0


# --- rounds ---------------------------------------------------------------------------------------


def test_points_that_cannot_be_made_stay_to_be_done_and_deletions_go_through(rebuild, rest):
    rebuild.capture()
    fill(rebuild.points, "green")
    rest.upsert(ALIAS, [point(50)])
    rest.delete(ALIAS, [1])

    def fail(found: Any) -> Any:
        raise Unavailable("the model does not answer")

    with pytest.raises(Unavailable, match="the model"):
        rebuilding.do_round(replace(rebuild.catcher, make_points=fail))
    assert 1 not in rebuild.points.content("green")
    assert rebuild.catcher.ledger.measure_lag(ALIAS).left == 2
    rebuild.catch_up()
    assert rebuild.points.content("green") == rebuild.points.content("blue")


def test_a_point_that_the_new_collection_shall_not_have_is_deleted_there(rebuild, rest):
    rebuild.capture()
    fill(rebuild.points, "green")
    rest.upsert(ALIAS, [point(1), point(2)])

    def leave_out(found: Any) -> Any:
        return [one for one in found if one.id != 1]

    rebuilding.do_round(replace(rebuild.catcher, make_points=leave_out))
    assert 1 not in rebuild.points.content("green")
    assert 2 in rebuild.points.content("green")


# --- the fence ------------------------------------------------------------------------------------


def test_a_new_collection_that_is_not_the_same_drops_the_fence(rebuild, rest):
    rebuild.capture()
    fenced = rebuild.close_writes()
    assert "green has 0 points and blue 9" in fenced.why_not
    rest.upsert(ALIAS, [point(1)])


def test_a_write_waits_for_the_switch_and_goes_to_the_new_collection(rebuild, client):
    rebuild.capture()
    rebuild.backfill()
    client.upsert(ALIAS, [point(1)])
    rebuild.catch_up()
    assert rebuild.close_writes().decided
    writing = threading.Thread(target=client.upsert, args=(ALIAS, [point(77)]))
    writing.start()
    threading.Event().wait(0.1)
    assert 77 not in rebuild.points.content("blue")
    rebuild.finish("green")
    writing.join()
    assert 77 in rebuild.points.content("green")
    assert 77 not in rebuild.points.content("blue")
    rebuild.catch_up()
    assert rebuild.points.content("blue") == rebuild.points.content("green")


def test_a_write_that_waits_too_long_is_not_sent_and_says_so(rebuild, client):
    rebuild.capture()
    rebuild.backfill()
    rebuild.close_writes()
    with pytest.raises(Unavailable, match=r"closed .* not sent; repeat it"):
        client.upsert(ALIAS, [point(77)])
    assert 77 not in rebuild.points.content("blue")


def test_a_filter_with_too_many_points_is_refused_with_the_way_out(rebuild, client):
    rebuild.points.client.upload_points(
        "blue", (point(number * 3) for number in range(1, 10_003)), batch_size=1000, wait=True
    )
    rebuild.capture()
    with pytest.raises(Refused, match="more than 10,000 points; scroll the ids"):
        client.delete(ALIAS, of_group(0))
    assert rows(rebuild.services) == []


# --- servers away ---------------------------------------------------------------------------------


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


def why_not_sent(client: AnyClient, number: int) -> str:
    """Writes a point. A write under way when the lease ends may be lost; the next is not sent."""
    try:
        client.upsert(ALIAS, [point(number)])
    except Unavailable as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", ["sync REST", "async gRPC"])
def test_without_the_database_no_write_to_an_alias_is_sent(
    own_postgres, rebuild, qdrant_url, qdrant_grpc_port, kind, monkeypatch
):
    monkeypatch.setenv("ROLLOUTS_DATABASE_URL", own_postgres.url)
    rebuild.services.close()
    rebuild.services = open_services(own_postgres.url)
    migrate_database(rebuild.services.sessions.kw["bind"])
    with closing(AnyClient(kind, qdrant_url, qdrant_grpc_port)) as client:
        client.upsert(ALIAS, [point(1)])
        own_postgres.stop()
        client.upsert("blue", [point(50)])
        until(lambda: "not known whether a rebuild captures" in why_not_sent(client, 51))
        client.upsert("blue", [point(52)])
        own_postgres.start()
        until(lambda: not why_not_sent(client, 53))
        rebuild.capture()
        client.upsert(ALIAS, [point(54)])
        own_postgres.stop()
        with pytest.raises(Unavailable, match="not sent"):
            client.upsert(ALIAS, [point(55)])
        found = rebuild.points.content("blue")
        assert {50, 52, 53, 54} <= found.keys()
        assert 55 not in found
        rebuild.services.close()


def test_a_write_without_an_answer_counts_as_unknown(
    services, own_qdrant: Qdrant, monkeypatch: pytest.MonkeyPatch
):
    points = PlainPoints(own_qdrant.url)
    rebuild = Rebuild(services, points, create(points, "blue"), create(points, "green"))
    act = models.CreateAlias(collection_name="blue", alias_name=ALIAS)
    points.client.update_collection_aliases([models.CreateAliasOperation(create_alias=act)])
    for number, kind in enumerate(KINDS, 1):
        client = AnyClient(kind, own_qdrant.url, own_qdrant.grpc_port, timeout=1)
        client.upsert("blue", [point(1)])
        rebuild.capture()
        with own_qdrant.frozen(), pytest.raises(OutcomeUnknown, match="repeat it"):
            client.upsert(ALIAS, [point(2)])
        assert rows(services)[-1].status == EntryStatus.UNKNOWN
        assert f"without an answer: {number}" in rebuild.close_writes().why_not
        client.close()
    points.client.close()


# --- all of it ------------------------------------------------------------------------------------


class Writer(threading.Thread):
    """Writes to points that are its own, and knows what must be there."""

    def __init__(self, number: int, client: AnyClient, stopped: threading.Event) -> None:
        super().__init__()
        self.client = client
        self.first = 1_000 * (number + 1)
        self.random = random.Random(number)
        self.expected: dict[int, Any] = {}
        self.count = 0
        self.failed: list[BaseException] = []
        self.stopped = stopped

    def run(self) -> None:
        try:
            while not self.stopped.is_set():
                self.write()
                self.count += 1
        except Exception as error:  # noqa: BLE001  # whatever it is, the test shows it
            self.failed.append(error)

    def write(self) -> None:
        one = self.first + self.random.randrange(200)
        chance = self.random.random()
        if chance < 0.5 or one not in self.expected:
            self.client.upsert(ALIAS, [point(one)])
            self.expected[one] = dict(point(one).payload)
        elif chance < 0.75:
            self.client.set_payload(ALIAS, {"number": self.count}, [one])
            self.expected[one]["number"] = self.count
        else:
            self.client.delete(ALIAS, [one])
            del self.expected[one]


def test_nothing_is_lost_while_writers_of_every_kind_never_stop(
    ready_postgres_url, monkeypatch, points, qdrant_url, qdrant_grpc_port
):
    """Through capture, backfill, switch and rollback."""
    monkeypatch.setenv("ROLLOUTS_DATABASE_URL", ready_postgres_url)
    services = open_services(ready_postgres_url)
    rebuild = Rebuild(services, points, create(points, "blue"), create(points, "green"))
    act = models.CreateAlias(collection_name="blue", alias_name=ALIAS)
    points.client.update_collection_aliases([models.CreateAliasOperation(create_alias=act)])
    stopped = threading.Event()
    clients = [AnyClient(kind, qdrant_url, qdrant_grpc_port) for kind in KINDS]
    writers = [Writer(number, one, stopped) for number, one in enumerate(clients)]
    for writer in writers:
        writer.start()
    try:
        until(lambda: all(writer.count > 50 or writer.failed for writer in writers))
        rebuild.capture()
        rebuild.backfill()
        for leader in ("green", "blue"):
            begun = {writer: writer.count + 50 for writer in writers}
            rebuild.switch(leader)
            until(
                lambda begun=begun: all(
                    writer.count > count or writer.failed for writer, count in begun.items()
                )
            )
    finally:
        stopped.set()
        for writer in writers:
            writer.join()
    rebuild.catch_up()
    assert [writer.failed for writer in writers] == [[]] * len(writers)
    expected = {one: payload for writer in writers for one, payload in writer.expected.items()}
    for collection in ("blue", "green"):
        found = points.content(collection)
        assert {one: payload for one, (_, payload) in found.items()} == expected
    for client in clients:
        client.close()
    services.close()


def test_the_clients_are_subclasses_of_the_clients_own_classes():
    assert issubclass(QdrantClient, qdrant_client.QdrantClient)
    assert issubclass(AsyncQdrantClient, qdrant_client.AsyncQdrantClient)
