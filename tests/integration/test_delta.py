"""A night in which little changed: green is a clone of blue, and only what differs is written. On a
real server, for only a server can clone."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import select

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.database.write_rows import SeenIds
from qdrant_rollouts.core.ports import Point, PointId
from tests.backups import through
from tests.world import World, texts

SOAK = {"seconds": 1, "interval_seconds": 1}
#: So many short texts are too much alike for the small model; these tests look at what is there.
LOOSE = {"min_top_score": -1.0, "checks": {"self_retrieval": False, "score_floor": False}}
FULL = {"populate": {"delta_at_most": 0.0}}


@pytest.fixture
def world(
    tmp_path: Path, qdrant_url: str, qdrant_grpc_port: int, ready_sqlite_url: str
) -> Iterator[World]:
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    made.change_services(times=replace(made.services.times, ready_look=0.1))
    yield made
    made.close()


def declare(world: World, **settings: Any) -> None:
    base = {"source": "jsonl:docs.jsonl", "soak": SOAK, "validation": LOOSE}
    world.declare("docs", **{**base, **settings})


def deploy(world: World) -> dict[str, Any]:
    """Deploys, and nothing is left over."""
    seen = through(world, world.deploy("docs"))
    assert seen["status"] == "live", seen["message"]
    with world.services.sessions() as session:
        assert not session.scalars(select(SeenIds)).all()
    assert all(not world.store.snapshots(name) for name in (seen["blue"], seen["green"]) if name)
    return seen


def populated(world: World, seen: dict[str, Any]) -> dict[str, Any]:
    output: dict[str, Any] = world.step(seen["id"], "populate")["output"]
    return output


def points(world: World, collection: str) -> dict[PointId, tuple[Any, Any]]:
    """Payloads without the number of the record, and vectors with as many digits as both have."""
    found, _ = world.store.scroll(collection, None, 10_000)
    return {point.id: (_payload(point), _rounded(point.vector)) for point in found}


def _payload(point: Point) -> dict[str, Any]:
    mark = {key: value for key, value in point.payload["_rollouts"].items() if key != "n"}
    return {**point.payload, "_rollouts": mark}


def _rounded(vector: Any) -> Any:
    if hasattr(vector, "items"):
        return {name: _rounded(inner) for name, inner in vector.items()}
    return np.asarray(vector, dtype=np.float64).round(5).tolist()


def some_changed() -> list[dict[str, Any]]:
    """Of a hundred records two have another text, one another payload, two are gone, one is new."""
    changed = texts(101)
    changed[3]["text"] = "another text about python"
    changed[70]["text"] = "one more text about python"
    changed[50]["lang"] = "en"
    del changed[20:22]
    return changed


def test_only_what_differs_is_written_and_the_result_is_that_of_the_full_way(world: World) -> None:
    world.write("docs.jsonl", texts(100))
    declare(world)
    first = deploy(world)
    world.write("docs.jsonl", some_changed())
    second = deploy(world)
    output = populated(world, second)
    assert output["way"] == "delta"
    assert (output["renewed"], output["dropped"], output["deltas"]) == (4, 2, 1)
    assert (output["embedded"], output["reused"]) == (3, 96)
    assert output["summary"] == (
        "99 points by delta, 4 written anew, 2 deleted, 3 embedded, 96 reused"
    )
    declare(world, **FULL)
    third = deploy(world)
    assert populated(world, third)["way"] == "records"
    assert points(world, second["green"]) == points(world, third["green"])
    assert world.store.count(first["green"]) == 100


@pytest.fixture
def live(world: World) -> World:
    """A hundred records serve."""
    world.write("docs.jsonl", texts(100))
    declare(world)
    deploy(world)
    return world


def test_a_night_without_any_change_writes_nothing(live: World) -> None:
    blue = live.store.aliases()["docs"]
    output = populated(live, deploy(live))
    assert (output["way"], output["renewed"], output["dropped"]) == ("delta", 0, 0)
    assert points(live, live.store.aliases()["docs"]) == points(live, blue)


def test_the_new_collection_says_of_itself_what_a_fresh_one_says(live: World) -> None:
    live.write("docs.jsonl", some_changed())
    cloned = deploy(live)
    declare(live, **FULL)
    fresh = deploy(live)
    ours, theirs = (live.store.metadata(seen["green"]) for seen in (cloned, fresh))
    assert ours["rollouts"]["deployment"] == cloned["id"]
    assert ours["rollouts"]["number"] == theirs["rollouts"]["number"] - 1
    assert ours["rollouts"] | {"deployment": "", "number": 0} == theirs["rollouts"] | {
        "deployment": "",
        "number": 0,
    }
    assert ours["rollouts_version"]["parent"] == cloned["blue"]
    facts = {key: ours["rollouts_version"][key] for key in ("way", "records", "points", "deltas")}
    assert facts == {"way": "delta", "records": 99, "points": 99, "deltas": 1}
    assert live.store.schema(cloned["green"]) == live.store.schema(fresh["green"])


# --- when it is not taken -------------------------------------------------------------------------


def test_more_changes_than_allowed_take_the_full_way(live: World) -> None:
    live.write("docs.jsonl", [*texts(21, about="trees"), *texts(79, start=21)])
    output = populated(live, deploy(live))
    assert output["way"] == "records"
    assert output["summary"].endswith(
        "not by delta: more than 20 of 100 points would change, a share of 0.2 "
        "(populate.delta_at_most)"
    )
    assert (output["embedded"], output["reused"]) == (21, 79)


def test_records_that_are_gone_count_as_changed(live: World) -> None:
    live.write("docs.jsonl", [*texts(11, about="trees"), *texts(79, start=11)])
    output = populated(live, deploy(live))
    assert output["way"] == "records"
    assert "11 records changed and 10 gone, of 100 points" in output["note"]


def test_a_fresh_index_is_made_after_so_many_in_a_row(live: World) -> None:
    declare(live, populate={"full_every": 2})
    ways = []
    for night in range(4):
        live.write("docs.jsonl", [*texts(100), {"id": 1000, "text": f"night {night}"}])
        ways.append(populated(live, deploy(live))["way"])
    assert ways == ["delta", "delta", "records", "delta"]


def test_a_deployment_that_was_rolled_back_is_not_counted(live: World) -> None:
    declare(live, populate={"full_every": 1}, on_bad_record="fail")
    live.write("docs.jsonl", [*texts(100), {"id": 1000}])
    seen = through(live, live.deploy("docs"))
    assert seen["status"] == "rolled_back"
    assert "docs.jsonl:101: text: missing" in seen["message"]
    live.write("docs.jsonl", texts(101))
    assert populated(live, deploy(live))["way"] == "delta"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"embedding": {"model": "hashing:64", "text": "{id} {text}"}}, "another text template"),
        (
            {"embedding": {"model": "hashing:32", "text": "{text}"}},
            "another model makes the vector",
        ),
        ({"collection": {"hnsw": {"m": 32}}}, "the collection's settings change: hnsw_config.m"),
        ({"source": "jsonl:other.jsonl"}, "docs.jsonl"),
        (
            {"vectors": {"more": {"server": "qdrant/bm25", "text": "{text}"}}},
            "has other vectors that are made from text",
        ),
    ],
    ids=["template", "model", "settings", "source", "vectors"],
)
def test_what_blue_was_not_made_by_takes_the_full_way(
    live: World, settings: dict[str, Any], why: str
) -> None:
    live.write("other.jsonl", texts(100))
    declare(live, **{"accept_new_model": True, **settings})
    output = populated(live, deploy(live))
    assert output["way"] == "records"
    assert why in output["note"]


def test_a_live_collection_as_the_source_is_never_compared_with_itself(live: World) -> None:
    declare(live, source="live")
    assert populated(live, deploy(live))["way"] == "snapshot"
    declare(live)
    assert "was not made from records here" in populated(live, deploy(live))["note"]


# --- what others did to blue ----------------------------------------------------------------------


def test_what_applications_wrote_to_the_live_collection_is_not_taken_over(live: World) -> None:
    blue = live.store.aliases()["docs"]
    [one] = live.store.fetch(blue, [5], vectors=True)
    live.store.patch_points(blue, [Point(4, {}, {"text": "theirs", "lang": "de"})])
    live.store.upsert(blue, [Point(1000, one.vector, {"id": 1000, "text": "theirs"})])
    live.store.upsert(blue, [Point(6, one.vector, {"id": 6, "text": "theirs"})])
    live.store.delete(blue, [7])
    output = populated(live, deploy(live))
    assert (output["way"], output["renewed"], output["dropped"]) == ("delta", 3, 1)
    found = points(live, live.store.aliases()["docs"])
    assert [found[id][0]["text"] for id in (4, 6, 7)] == [
        one["text"] for one in texts(8)[4:8:2]
    ] + ["text 7 about asyncio and python"]
    assert 1000 not in found


# --- what is gone ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("left", "way"), [(780, "delta"), (600, "records")])
def test_records_that_are_gone_ask_nobody_in_either_way_as_long_as_half_of_them_are_there(
    world: World, left: int, way: str
) -> None:
    world.write("docs.jsonl", texts(900))
    declare(world)
    first = deploy(world)
    world.write("docs.jsonl", texts(left))
    second = deploy(world)
    assert populated(world, second)["way"] == way
    assert (world.store.count(first["green"]), world.store.count(second["green"])) == (900, left)


@pytest.mark.parametrize("delta_at_most", [0.0, 1.0], ids=["records", "delta"])
def test_a_person_decides_in_either_way_if_more_than_half_is_gone(
    world: World, delta_at_most: float
) -> None:
    world.write("docs.jsonl", texts(300))
    declare(world, populate={"delta_at_most": delta_at_most})
    deploy(world)
    world.write("docs.jsonl", texts(140))
    second = world.deploy("docs")
    seen = through(world, second, until="paused")
    assert seen["status"] == "paused", seen["message"]
    assert "The new collection has 140 points, live has 300" in seen["message"]
    assert populated(world, seen)["way"] == ("delta" if delta_at_most else "records")


# --- records that break a rule --------------------------------------------------------------------


def test_bad_records_are_those_of_the_full_way(live: World) -> None:
    declare(live, on_bad_record="skip")
    live.write("docs.jsonl", [*texts(99), {"id": 200}, {"text": "without an id"}])
    cloned = populated(live, deploy(live))
    declare(live, on_bad_record="skip", **FULL)
    fresh = populated(live, deploy(live))
    assert (cloned["way"], fresh["way"]) == ("delta", "records")
    assert cloned["bad"] == fresh["bad"] == 2
    assert cloned["expected"] == fresh["expected"] == 99
    assert cloned["bad_samples"] == fresh["bad_samples"]


def test_a_source_that_changes_meanwhile_fails_the_deployment(live: World) -> None:
    deployment = live.deploy("docs")
    through(live, deployment, until="create")
    live.turn(live.broker.take_next())
    live.write("docs.jsonl", texts(90))
    seen = through(live, deployment)
    assert seen["status"] == "rolled_back"
    assert "changed while it was being read; deploy again" in seen["message"]


# --- every vector of a point ----------------------------------------------------------------------

MANY = {
    "dense": {"model": "hashing:64", "text": "{text}"},
    "title": {"model": "hashing:32", "text": "{title}"},
    "bm25": {"server": "qdrant/bm25", "text": "{text}"},
    "own": "given",
    "some": "optional",
    "rows": "optional",
}


def own_vector(number: int) -> list[float]:
    """Other for each record."""
    return [math.cos(number), math.sin(number), math.cos(3 * number)]


def record(number: int) -> dict[str, Any]:
    vector: dict[str, Any] = {"own": own_vector(number)}
    if number % 2:
        vector["some"] = {"indices": [number, 5000], "values": [0.5, 0.25]}
    if number % 5 == 0:
        vector["rows"] = [[1.0, float(number)], [2.0, 1.0]]
    said = {"title": f"title {number}", "text": f"text {number} of several words"}
    return {"id": number, **said, "vector": vector}


def test_every_vector_is_that_of_the_full_way(world: World) -> None:
    first = record(0) | {"vector": {**record(0)["vector"], "some": record(1)["vector"]["some"]}}
    world.write("docs.jsonl", [first, *(record(number) for number in range(1, 60))])
    declare(world, embedding=None, vectors=MANY)
    deploy(world)
    changed = [record(number) for number in range(61)]
    changed[3]["title"] = "another title"
    changed[4]["text"] = "another text"
    changed[6] |= {"text": "text 6 of a vector", "vector": {"own": [9.0, 1.0, 1.0]}}
    changed[9]["vector"].pop("some")
    changed[10]["vector"]["rows"] = [[3.0, 1.0]]
    del changed[30]
    world.write("docs.jsonl", changed)
    cloned = deploy(world)
    output = populated(world, cloned)
    assert (output["way"], output["renewed"], output["dropped"]) == ("delta", 7, 1)
    assert output["by_vector"]["title"]["embedded"] == 2
    assert output["by_vector"]["bm25"]["embedded"] == 3
    declare(world, embedding=None, vectors=MANY, **FULL)
    fresh = deploy(world)
    assert points(world, cloned["green"]) == points(world, fresh["green"])
    assert count_vectors(world, cloned) == count_vectors(world, fresh)


def count_vectors(world: World, seen: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, dict[str, int]] = populated(world, seen)["by_vector"]
    return {name: one["points"] for name, one in counts.items()}


def test_a_carried_vector_stays_where_nothing_changed(world: World) -> None:
    records = [{**one, "vector": {"own": own_vector(one["id"])}} for one in texts(40)]
    world.write("docs.jsonl", records)
    dense = {"dense": {"model": "hashing:64", "text": "{text}"}}
    declare(world, embedding=None, vectors={**dense, "own": "given"})
    deploy(world)
    carried = {**dense, "own": {"carried": {"when_changed": "drop"}}}
    world.write("docs.jsonl", texts(40))
    declare(world, embedding=None, vectors=carried)
    deploy(world)
    changed = texts(41)
    changed[5]["text"] = "another text"
    world.write("docs.jsonl", changed)
    cloned = deploy(world)
    declare(world, embedding=None, vectors=carried, **FULL)
    assert populated(world, cloned)["way"] == "delta"
    assert world.store.count(cloned["green"], having="own") == 39
    fresh = deploy(world)
    assert points(world, cloned["green"]) == points(world, fresh["green"])


def test_points_that_lack_a_made_vector_take_the_full_way(world: World, qdrant_url: str) -> None:
    vectors = {"dense": {"model": "hashing:64", "text": "{text}"}, "own": "given"}
    records = [{**one, "vector": {"own": own_vector(one["id"])}} for one in texts(30)]
    world.write("docs.jsonl", records)
    declare(world, embedding=None, vectors=vectors)
    blue = deploy(world)["green"]
    body = {"points": [3], "vector": ["dense"]}
    place = f"{qdrant_url}/collections/{blue}/points/vectors/delete?wait=true"
    httpx.post(place, json=body).raise_for_status()
    output = populated(world, deploy(world))
    assert output["way"] == "records"
    assert f"1 points of {blue} lack vector dense" in output["note"]


def test_documents_that_are_cut_are_compared_piece_by_piece(world: World) -> None:
    chunked = {"model": "hashing:64", "text": "{text}", "chunk": {"max_tokens": 20}}
    records = [
        {"id": at, "text": " ".join(f"Sentence {at} {part} has words." for part in range(12))}
        for at in range(30)
    ]
    world.write("docs.jsonl", records)
    declare(world, embedding=chunked)
    deploy(world)
    records[4]["text"] = "Short now."
    records[9]["text"] += " One more sentence."
    world.write("docs.jsonl", records)
    cloned = deploy(world)
    assert populated(world, cloned)["way"] == "delta"
    assert populated(world, cloned)["dropped"] > 0
    declare(world, embedding=chunked, **FULL)
    assert points(world, cloned["green"]) == points(world, deploy(world)["green"])
