"""Payloads whose fields have the names of our own: whatever the source is, they arrive
unchanged."""

import csv
import json
from typing import Any

import numpy as np
import pytest

from qdrant_rollouts.core.collections.records import MARK_KEY, read_mark
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Point
from tests.world import DIMENSION, World

VECTOR = [1.0] + [0.0] * (DIMENSION - 1)
#: Of an application about diseases; every name means something to one part of this program or
#: another.
THEIRS: dict[str, Any] = {
    "id": ["ICD-10", "A90"],
    "vector": "Aedes aegypti",
    "vectors": ["Aedes aegypti", "Aedes albopictus"],
    "text": "dengue is carried by mosquitoes",
    "title": "Dengue",
    "chunk": {"page": 3},
    "payload": {"vector": [1, 2]},
    "point_id": 17,
    "hash": "h",
    "n": -1,
    "score": 0.5,
    "source": None,
    "hash_of_64_bits": 2**64 - 1,
}


def deployed(world: World, **arguments: Any) -> dict[str, Any]:
    deployment = world.deploy("docs", **arguments)
    world.run()
    status = world.status(deployment)
    assert status["status"] == "live", status["message"]
    assert status["gate"]["verdict"] == "pass", status["gate"]
    return status


def payloads(world: World, collection: str) -> dict[Any, dict[str, Any]]:
    points, _ = world.store.scroll(collection, None, 100)
    return {
        one.id: {key: value for key, value in one.payload.items() if key != MARK_KEY}
        for one in points
    }


def theirs(world: World, *payloads_of_points: dict[str, Any]) -> str:
    """Somebody else's collection behind the alias."""
    world.store.create(
        "theirs", {"params": {"vectors": {"size": DIMENSION, "distance": "Cosine"}}}, {}
    )
    vectors = np.random.default_rng(7).standard_normal((len(payloads_of_points), DIMENSION))
    points = [
        Point(number, vectors[number].tolist(), {**payload, "text": f"{payload['text']} {number}"})
        for number, payload in enumerate(payloads_of_points)
    ]
    world.store.upsert("theirs", points)
    world.store.point_alias("docs", "theirs")
    return "collection:theirs"


@pytest.mark.parametrize(
    "vector", ["Aedes aegypti", VECTOR, {"": VECTOR}, {"kind": "insect"}, [], None, 5, ["flea"]]
)
@pytest.mark.parametrize(
    "settings", [{}, {"embedding": {"model": "hashing:32", "text": "{text}"}}], ids=["copy", "anew"]
)
def test_a_collections_payload_is_the_same_copied_or_embedded_anew(
    world: World, vector: Any, settings: dict[str, Any]
) -> None:
    source = theirs(world, *[{**THEIRS, "vector": vector}] * 12, {"text": "no id"})
    before = payloads(world, "theirs")
    world.declare("docs", source=source, accept_new_model=True, **settings)

    first = deployed(world)

    assert payloads(world, first["green"]) == before
    world.declare(
        "docs",
        source=f"collection:{first['green']}",
        embedding={"model": "hashing:48", "text": "{text}"},
    )
    assert payloads(world, deployed(world)["green"]) == before


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_files_field_that_can_be_no_vector_is_payload(world: World, kind: str) -> None:
    records = [{**THEIRS, "id": number, "text": f"about {number}"} for number in range(12)]
    if kind == "jsonl":
        source = world.write("docs.jsonl", records)
    else:
        records = [
            {name: record[name] for name in ("id", "vector", "text", "vectors")}
            for record in records
        ]
        records = [{**record, "vectors": "two"} for record in records]
        with (world.folder / "docs.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, records[0].keys())
            writer.writeheader()
            writer.writerows(records)
        source = "csv:docs.csv"
    world.declare("docs", source=source)

    assert payloads(world, deployed(world)["green"]) == {record["id"]: record for record in records}


def test_a_document_whose_vector_is_a_word_is_cut_into_chunks_and_keeps_it(world: World) -> None:
    long = " ".join(f"Sentence {number} is about fever." for number in range(40))
    records = [{"id": number, "text": f"{number} {long}", "vector": "Aedes"} for number in range(3)]
    embedding = {"model": f"hashing:{DIMENSION}", "text": "{text}", "chunk": {"max_tokens": 40}}
    world.declare("docs", source=world.write("docs.jsonl", records), embedding=embedding)

    found = payloads(world, deployed(world)["green"])

    assert len(found) > 6
    assert {payload["vector"] for payload in found.values()} == {"Aedes"}
    assert {payload["chunk"]["document"] for payload in found.values()} == {0, 1, 2}


def test_the_index_file_names_another_field_for_vectors(world: World) -> None:
    vectors = np.random.default_rng(7).standard_normal((12, DIMENSION)).tolist()
    records = [{"id": number, "numbers": vectors[number], "vector": [9]} for number in range(12)]
    world.declare(
        "docs", source=world.write("docs.jsonl", records), embedding=None, vector_field="numbers"
    )

    green = deployed(world)["green"]

    assert payloads(world, green) == {
        record["id"]: {"id": record["id"], "vector": [9]} for record in records
    }
    assert world.store.schema(green)["params"]["vectors"]["size"] == DIMENSION


@pytest.mark.parametrize("name", ["", " ", "id", MARK_KEY])
def test_a_field_that_can_hold_no_vector_is_refused(world: World, name: str) -> None:
    world.declare("docs", source=world.write("docs.jsonl", [{"id": 1, "text": "x"}]))
    with pytest.raises(Refused, match="vector_field"):
        world.deploy("docs", options={"vector_field": name})


@pytest.mark.parametrize("value", ["theirs", {"team": "search"}, None, [1]])
def test_a_field_called_as_our_mark_stops_a_new_embedding_and_is_copied_as_it_is(
    world: World, value: Any
) -> None:
    source = theirs(world, *[{"text": "x", MARK_KEY: value}] * 12)
    world.declare("docs", source=source, embedding=None)
    green = deployed(world)["green"]
    assert {
        json.dumps(one.payload[MARK_KEY]) for one in world.store.scroll(green, None, 100)[0]
    } == {json.dumps(value)}

    embedding = {"model": "hashing:32", "text": "{text}"}
    world.declare("docs", source=source, embedding=embedding, accept_new_model=True)
    status = world.status(world.deploy("docs"))
    world.run()
    status = world.status(status["id"])

    assert status["status"] == "rolled_back"
    assert f"{MARK_KEY}: is a payload key of this program" in status["message"]


def test_a_live_collection_with_such_a_field_is_no_hindrance_to_one_made_of_files(
    world: World,
) -> None:
    theirs(world, *[{"text": "x", MARK_KEY: "theirs"}] * 12)
    records = [{"id": number, "text": f"x {number}"} for number in range(12)]
    world.declare("docs", source=world.write("docs.jsonl", records), accept_new_model=True)

    green = deployed(world)["green"]

    assert all(read_mark(one.payload) for one in world.store.scroll(green, None, 100)[0])
