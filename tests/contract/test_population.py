"""Filling green from records and collections: what arrives, what is reused, what is refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from qdrant_rollouts.core.collections.records import MARK_KEY
from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.database.models import StepRow
from qdrant_rollouts.core.errors import Limited, Refused
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.ports import Point, Room, Server
from qdrant_rollouts.core.routing import Router
from tests.contract.test_engine import Failing
from tests.world import DIMENSION, World, texts

VECTOR = [1.0] + [0.0] * (DIMENSION - 1)


def deployed(world: World, alias: str = "docs", **arguments: Any) -> dict[str, Any]:
    deployment = world.deploy(alias, **arguments)
    world.run()
    return world.status(deployment)


def populated(status: dict[str, Any]) -> dict[str, Any]:
    output: dict[str, Any] = next(step for step in status["steps"] if step["name"] == "populate")[
        "output"
    ]
    return output


def test_unchanged_records_take_their_vectors_from_blue(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    assert populated(deployed(world))["embedded"] == 30
    changed = texts(30)
    changed[3]["text"] = "something else"
    world.write("docs.jsonl", changed)
    output = populated(deployed(world))
    assert (output["reused"], output["embedded"]) == (29, 1)


def test_a_reused_vector_is_the_one_that_would_be_made(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    first = deployed(world)
    second = deployed(world)
    made, _ = world.store.scroll(first["green"], None, 30)
    reused, _ = world.store.scroll(second["green"], None, 30)
    for one, other in zip(made, reused, strict=True):
        assert list(one.vector) == pytest.approx(list(other.vector), abs=1e-6)


def test_the_embedded_store_cannot_clone_and_says_so(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    deployed(world)
    output = populated(deployed(world))
    assert output["way"] == "records"
    assert output["note"] == "not by delta: the embedded Qdrant cannot clone a collection"
    assert output["summary"] == "30 points read from the source, 30 reused"


def test_another_model_takes_nothing_over(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    deployed(world)
    world.declare(
        "docs", source="jsonl:docs.jsonl", embedding={"model": "hashing:32", "text": "{text}"}
    )
    status = deployed(world)
    assert status["status"] == "live"
    assert populated(status).get("reused", 0) == 0
    assert world.store.schema(status["green"])["params"]["vectors"]["size"] == 32


def test_a_record_that_is_gone_from_the_source_is_gone_from_green(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    deployed(world)
    world.write("docs.jsonl", texts(10))
    assert world.store.count(deployed(world)["green"]) == 10


def test_ids_stay_as_they_are_and_the_records_id_stays_in_the_payload(world: World) -> None:
    uuid = "0f6ed2e4-6ad8-4a0e-9e6e-0c8a4f1e2b11"
    records = [{"id": 7, "text": "a"}, {"id": uuid, "text": "b"}, {"id": "page-3", "text": "c"}]
    world.declare("docs", source=world.write("docs.jsonl", records))
    status = deployed(world)
    points, _ = world.store.scroll(status["green"], None, 10)
    assert {point.payload["id"] for point in points} == {7, uuid, "page-3"}
    assert {7, uuid} < {point.id for point in points}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"text": "no id"}', "docs.jsonl:2: id"),
        ('{"id": 9}', "docs.jsonl:2: text"),
        ('{"id": 9, "vector": [1, 2]}', "docs.jsonl:2: vector"),
        ('{"id": 9, "vector": [NaN' + ", 0" * (DIMENSION - 1) + "]}", "docs.jsonl:2: vector"),
        ("{not json", "docs.jsonl:2"),
        ('{"id": 0, "text": "twice"}', "docs.jsonl:2: id"),
    ],
)
def test_a_bad_record_fails_the_deployment_with_file_line_and_field(
    world: World, line: str, found: str
) -> None:
    (world.folder / "docs.jsonl").write_text('{"id": 0, "text": "good"}\n' + line + "\n")
    world.declare("docs", source="jsonl:docs.jsonl")
    status = deployed(world)
    assert status["status"] == "rolled_back"
    assert found in status["message"]


def test_bad_records_may_be_skipped_counted_and_listed(world: World) -> None:
    (world.folder / "docs.jsonl").write_text(
        '{"id": 0, "text": "good"}\n{"id": 1}\n{"id": 2, "text": "good"}\n'
    )
    world.declare("docs", source="jsonl:docs.jsonl", on_bad_record="skip")
    status = deployed(world)
    assert status["status"] == "live"
    output = populated(status)
    assert output["bad"] == 1
    assert "docs.jsonl:2" in output["bad_samples"][0]
    assert world.store.count(status["green"]) == 2


def test_more_bad_records_than_allowed_fail_the_deployment(world: World) -> None:
    (world.folder / "docs.jsonl").write_text('{"id": 0, "text": "good"}\n{"id": 1}\n{"id": 2}\n')
    world.declare("docs", source="jsonl:docs.jsonl", on_bad_record="skip", max_bad_records=1)
    status = deployed(world)
    assert status["status"] == "rolled_back"
    assert "max_bad_records=1" in status["message"]


def test_an_id_that_comes_again_much_later_in_the_source_is_noticed(world: World) -> None:
    world.declare(
        "docs", source=world.write("docs.jsonl", [*texts(3000), {"id": 5, "text": "again"}])
    )
    status = deployed(world)
    assert status["status"] == "rolled_back"
    assert "5 is not unique" in status["message"]


def test_a_source_that_changes_while_it_is_read_fails_the_deployment(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(500)))
    deployment = world.deploy("docs")
    world.run(until=lambda: world.step(deployment, "populate")["message"].startswith("filling"))
    world.write("docs.jsonl", texts(400))
    world.run()
    assert "changed while it was being read" in world.status(deployment)["message"]


def test_a_window_that_is_repeated_writes_the_same_points(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(100)))
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "populate"))
    store = world.store
    green = world.status(deployment)["green"]
    world.run(until=lambda: store.count(green) > 0)
    with world.services.sessions.begin() as session:
        row = session.get_one(StepRow, (deployment, 1))
        row.state = {
            key: row.state[key] for key in ("way", "print")
        }  # as a crash before the save leaves it
    world.run()
    status = world.status(deployment)
    assert status["status"] == "live"
    assert store.count(green) == 100


def test_gzip_globs_and_several_files_are_read(world: World) -> None:
    world.write("a-1.jsonl", texts(10))
    with gzip.open(world.folder / "a-2.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(record) + "\n" for record in texts(10, start=10))
    world.declare("docs", source="jsonl:a-*.jsonl*")
    assert world.store.count(deployed(world)["green"]) == 20


def test_csv_is_read(world: World) -> None:
    (world.folder / "docs.csv").write_text('id,text\n1,"first, with comma"\n2,"two\nlines"\n')
    world.declare("docs", source="csv:docs.csv")
    status = deployed(world)
    points, _ = world.store.scroll(status["green"], None, 10)
    assert {point.payload["text"] for point in points} == {"first, with comma", "two\nlines"}


def test_records_may_bring_their_vectors_to_an_index_without_a_model(world: World) -> None:
    records = [{"id": number, "vector": VECTOR, "title": "t"} for number in range(5)]
    world.declare("docs", source=world.write("docs.jsonl", records), embedding=None)
    status = deployed(world)
    assert status["status"] == "live"
    assert world.store.count(status["green"]) == 5


def test_a_collection_is_copied_as_it_is(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    first = deployed(world)
    world.declare("docs", source=f"collection:{first['green']}")
    second = deployed(world)
    assert second["status"] == "live"
    assert populated(second)["way"] == "copy"
    one, _ = world.store.scroll(first["green"], None, 50)
    other, _ = world.store.scroll(second["green"], None, 50)
    assert [(point.id, point.payload) for point in one] == [
        (point.id, point.payload) for point in other
    ]


def test_a_collection_of_sparse_vectors_alone_is_copied_too(world: World) -> None:
    world.store.create(
        "sparse",
        {"params": {"vectors": {}, "sparse_vectors": {"words": {}}}, "payload_schema": {}},
        {},
    )
    world.store.upsert(
        "sparse", [Point(1, {"words": {"indices": [3], "values": [0.5]}}, {"title": "t"})]
    )
    world.store.point_alias("docs", "sparse")
    status = deployed(world, source="collection:sparse")
    assert status["status"] == "live", status["message"]
    assert world.store.schema(status["green"])["params"]["sparse_vectors"].keys() == {"words"}


def test_a_collection_of_another_model_is_embedded_anew(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    first = deployed(world)
    world.declare(
        "docs",
        source=f"collection:{first['green']}",
        embedding={"model": "hashing:32", "text": "{text}"},
    )
    second = deployed(world)
    assert second["status"] == "live", second["message"]
    assert populated(second)["embedded"] == 30
    with Router(world.services) as router:
        assert router.search("docs", "text 3 asyncio python", limit=3).collection == second["green"]


class OnePageATurn:
    """A store in which the rate of a collection allows one page of points, and then a wait."""

    def __init__(self, store: Any, collection: str) -> None:
        self.store = store
        self.collection = collection
        self.used = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def pace(self, collection: str) -> None:
        if collection == self.collection and self.used:
            self.used = False
            raise Limited("no more reads for now", 0.1)

    def scroll(self, collection: str, *arguments: Any, **named: Any) -> Any:
        self.used |= collection == self.collection
        return self.store.scroll(collection, *arguments, **named)


def test_a_source_whose_rate_limit_is_used_up_is_still_read_to_its_end(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(700)))
    first = deployed(world)["green"]
    world.declare(
        "docs",
        source=f"collection:{first}",
        embedding={"model": "hashing:32", "text": "{text}"},
    )
    world.over(OnePageATurn(world.store, first))
    status = deployed(world)
    assert status["status"] == "live", status["message"]
    assert (populated(status)["way"], populated(status)["written"]) == ("records", 700)


def test_payload_indexes_are_cloned(world: World) -> None:
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(30)),
        collection={"payload_indexes": {"lang": "keyword"}},
    )
    first = deployed(world)
    world.declare("docs", source="jsonl:docs.jsonl")
    second = deployed(world)
    assert second["status"] == "live", second["message"]
    assert (
        world.store.schema(second["green"])["payload_schema"]
        == world.store.schema(first["green"])["payload_schema"]
    )
    assert "lang" in world.store.schema(second["green"])["payload_schema"]


def test_green_is_stamped_with_its_model_and_number(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    deployed(world)
    stamp = read_stamp(world.store, deployed(world)["green"])
    assert stamp is not None
    assert (stamp.alias, stamp.number) == ("docs", 2)
    assert stamp.spec is not None
    assert stamp.spec.model == f"hashing:{DIMENSION}"


def test_points_lost_on_the_way_are_seen_by_the_gate(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    first = deployed(world)

    class Losing(Failing):
        def __init__(self) -> None:
            super().__init__(world.store)

        def upsert(self, collection: str, points: list[Point]) -> None:
            self._store.upsert(collection, points[:-1])

    world.over(Losing())
    status = deployed(world)
    assert status["status"] == "rolled_back"
    assert "count 29 against 30" in status["message"]
    assert world.store.aliases() == {"docs": first["green"]}


def test_our_own_mark_is_the_only_thing_added_to_a_payload(world: World) -> None:
    record = {"id": 1, "text": "hello", "lang": "en", "nested": {"a": [1, 2]}}
    world.declare("docs", source=world.write("docs.jsonl", [record]))
    status = deployed(world)
    points, _ = world.store.scroll(status["green"], None, 1)
    payload = dict(points[0].payload)
    assert set(payload.pop(MARK_KEY)) == {"from", "hash", "n"}
    assert payload == record


def test_a_server_too_old_for_stamps_is_refused_by_name_and_version(world: World) -> None:
    class Old(Failing):
        def server(self) -> Server:
            return Server((1, 12, 4), "http://127.0.0.1:6333")

    world.declare("docs", source=world.write("docs.jsonl", texts(3)))
    world.over(Old(world.store))
    refused(world, "docs", "http://127.0.0.1:6333 is 1.12.4; deployments need 1.15.4")


def refused(world: World, alias: str, match: str, **arguments: Any) -> None:
    with pytest.raises(Refused, match=match):
        world.deploy(alias, **arguments)
    assert queries.list_deployments(world.services) == []


def test_what_makes_no_sense_is_refused_before_anything_changes(world: World) -> None:
    refused(world, "docs", "neither exists nor is declared")
    refused(world, "no spaces", "name 'no spaces' is not allowed")
    world.declare("docs")
    refused(world, "docs", "has no source")
    refused(world, "docs", "missing.jsonl", source="jsonl:missing.jsonl")
    refused(world, "docs", "outside the folders", source="jsonl:/etc/hostname")
    refused(world, "docs", "nosuchkind", source="nosuchkind:x")
    (world.folder / "empty.jsonl").write_text("")
    refused(world, "docs", "empty", source="jsonl:empty.jsonl")
    source = world.write("docs.jsonl", texts(3))
    refused(world, "docs", "soak.seconds", source=source, options={"soak": {"seconds": -1}})
    refused(world, "docs", "soka", source=source, options={"soka": 1})
    refused(world, "docs", "rainbow", source=source, strategy="rainbow")
    world.store.create(
        "taken",
        {"params": {"vectors": {"size": 4, "distance": "Cosine"}}, "payload_schema": {}},
        {},
    )
    world.declare("taken", source=source)
    refused(world, "taken", "collection's name")


# --- room -----------------------------------------------------------------------------------------


class Tight:
    """A store that says how much is free, and is as it is for all else."""

    def __init__(self, store: Any, *rooms: Room) -> None:
        self._store = store
        self.rooms = list(rooms)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def room(self) -> Room:
        return self.rooms.pop(0) if len(self.rooms) > 1 else self.rooms[0]


def test_a_collection_that_clearly_does_not_fit_is_waited_for_and_never_made(world: World):
    world.declare("docs", source=world.write("docs.jsonl", texts(50)), progress_deadline_seconds=15)
    world.over(Tight(world.store, Room(disk=100)))
    id = world.deploy("docs")
    world.run()

    seen = world.status(id)
    assert seen["status"] == "rolled_back"
    assert "of disk for 50 points, and at most 0 KiB are free" in seen["message"]
    assert "rollouts gc" in seen["message"]
    assert "check_room: false" in seen["message"]
    assert world.store.collections() == set()


def test_it_goes_on_once_there_is_room(world: World):
    world.declare("docs", source=world.write("docs.jsonl", texts(50)))
    world.over(Tight(world.store, Room(disk=100), Room(disk=10**9)))
    id = world.deploy("docs")
    world.run()

    assert world.status(id)["status"] == "live"
    assert "room: at least" in world.step(id, "create")["message"]


def test_who_knows_better_has_it_made_all_the_same(world: World):
    world.declare("docs", source=world.write("docs.jsonl", texts(50)), check_room=False)
    world.over(Tight(world.store, Room(disk=100)))
    id = world.deploy("docs")
    world.run()

    assert world.status(id)["status"] == "live"


def test_the_room_for_a_compressed_file_is_not_guessed_from_its_first_block(world: World):
    plain = world.write("docs.jsonl", texts(500)).removeprefix("jsonl:")
    packed = Path(plain + ".gz")
    packed.write_bytes(gzip.compress(Path(plain).read_bytes()))
    world.declare("docs", source=f"jsonl:{packed}")
    id = world.deploy("docs")
    world.run()

    assert "room: the number of points is not known" in world.step(id, "create")["message"]


def test_what_nobody_tells_stops_nobody_and_is_said(world: World):
    world.declare("docs", source=world.write("docs.jsonl", texts(50)))
    world.over(Tight(world.store, Room()))
    id = world.deploy("docs")
    world.run()

    assert world.status(id)["status"] == "live"
    assert "the free space is not known" in world.step(id, "create")["message"]
