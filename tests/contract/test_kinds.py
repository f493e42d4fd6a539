"""Every kind of vector that a collection can have, through everything: created, filled, judged,
switched to, watched, searched, compared and reused; on a server and embedded."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import comparing
from qdrant_rollouts.core.collections.schema import vector_names, vector_params
from qdrant_rollouts.core.config.vector_kinds import kind_of, vectors_by_name
from qdrant_rollouts.core.deployments.commands import adoption
from qdrant_rollouts.core.deployments.steps.observed import sum_tallies
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Point, Schema, SearchParams, VectorStore
from qdrant_rollouts.core.routing import table, traffic
from qdrant_rollouts.core.routing.router import Router
from tests.world import EMBEDDING, World, texts

SIZE = 6
NUMBERS = 24
ROWS = {"comparator": "max_sim"}
DISTANCES = ("Cosine", "Dot", "Euclid", "Manhattan")
DATATYPES = (None, "float16", "uint8")


def dense(distance: str, datatype: str | None = None, **more: Any) -> dict[str, Any]:
    kept = {"datatype": datatype} if datatype else {}
    return {"size": SIZE, "distance": distance, **kept, **more}


def schema(vectors: dict[str, Any], sparse: dict[str, Any] | None = None) -> Schema:
    params = {"vectors": vectors, **({"sparse_vectors": sparse} if sparse else {})}
    return {"params": params, "payload_schema": {}}


def _shapes() -> Iterator[tuple[str, Schema]]:
    for distance in DISTANCES:
        for datatype in DATATYPES:
            kept = f"{distance} {datatype or 'float32'}"
            yield f"unnamed {kept}", schema(dense(distance, datatype))
            yield f"multivector {kept}", schema(dense(distance, datatype, multivector_config=ROWS))
        yield f"named {distance} float32", schema({"text": dense(distance)})
    yield "named multivector", schema({"colbert": dense("Cosine", multivector_config=ROWS)})
    for modifier in (None, "idf"):
        for datatype in DATATYPES:
            index = {"index": {"datatype": datatype}} if datatype else {}
            kept = f"{modifier or 'plain'} {datatype or 'float32'}"
            yield (
                f"sparse {kept}",
                schema({}, {"bm25": {**({"modifier": modifier} if modifier else {}), **index}}),
            )
    yield "unnamed beside sparse", schema(dense("Cosine"), {"bm25": {"modifier": "idf"}})
    yield "two dense", schema({"a": dense("Euclid"), "b": dense("Cosine")})
    several = {
        "dense": dense("Cosine"),
        "colbert": dense("Dot", multivector_config=ROWS),
        "place": dense("Euclid"),
    }
    yield "all at once", schema(several, {"bm25": {"modifier": "idf"}, "splade": {}})
    yield "no vector at all", schema({})


SHAPES = dict(_shapes())
#: On a server each takes seconds: those that differ most, and in ``make proof`` all.
ON_A_SERVER = (
    "unnamed Cosine float16",
    "unnamed Dot float32",
    "unnamed Euclid uint8",
    "named Manhattan float32",
    "multivector Cosine uint8",
    "multivector Dot float32",
    "multivector Euclid float32",
    "multivector Manhattan float16",
    "sparse plain uint8",
    "sparse idf float32",
    "unnamed beside sparse",
    "all at once",
    "no vector at all",
)


def everywhere(shapes: Iterable[str]) -> Any:
    """Each of them embedded, and on a server those that are tried there."""
    whole = bool(os.environ.get("ROLLOUTS_TEST_PROOF"))
    pairs = [("embedded", name) for name in shapes]
    pairs += [("server", name) for name in shapes if whole or name in ON_A_SERVER]
    each = pytest.mark.parametrize(("store", "name"), pairs, indirect=["store"])
    return lambda test: pytest.mark.proof(each(test))


def with_vectors() -> list[str]:
    return [name for name, shape in SHAPES.items() if vector_names(shape)]


both = pytest.mark.parametrize("store", ["embedded", "server"], indirect=True)


def made(params: dict[str, Any], rng: np.random.Generator, number: int) -> Any:
    """As JSON; whole numbers where only those are kept, and texts of unequal lengths."""
    scale = 100 if params.get("datatype") == "uint8" else 1
    kind = kind_of(params).name
    if kind == "sparse":
        places = sorted(rng.choice(40, size=3 + number % 4, replace=False).tolist())
        return {
            "indices": places[::-1],
            "values": [round(float(one) + 0.1, 3) for one in rng.random(len(places))],
        }
    rows = (rng.random((1 + number % 4, SIZE)) * scale).round(3)
    return rows.tolist() if kind == "multi" else rows[0].tolist()


def records(shape: Schema, count: int = NUMBERS, seed: int = 1) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "id": number,
            "text": f"text {number}",
            "vector": {
                name: made(vector_params(shape, name), rng, number) for name in vector_names(shape)
            },
        }
        for number in range(count)
    ]


def points(rows: list[dict[str, Any]]) -> list[Point]:
    return [Point(row["id"], row["vector"], {"id": row["id"], "text": row["text"]}) for row in rows]


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[VectorStore]:
    if request.param == "embedded":
        opened: VectorStore = LocalStore(":memory:")
    else:
        url = request.getfixturevalue("qdrant_url")
        port = request.getfixturevalue("qdrant_grpc_port")
        opened = ServerStore(url, "", port)
    yield opened
    opened.close()


@pytest.fixture
def world(tmp_path: Path, ready_sqlite_url: str, store: VectorStore) -> Iterator[World]:
    made = World(tmp_path, ready_sqlite_url, store)
    yield made
    made.engine.dispose()


def begun(world: World, shape: Schema, rows: list[dict[str, Any]]) -> str:
    """An index whose first collection somebody else has made."""
    world.store.create("theirs", shape, {})
    world.store.upsert("theirs", points(rows))
    world.store.point_alias("docs", "theirs")
    return "theirs"


def declared(world: World, source: str, **settings: Any) -> None:
    samples = {"records": NUMBERS, "queries": NUMBERS}
    world.declare(
        "docs",
        source=source,
        embedding=None,
        validation={"samples": samples, **settings.pop("validation", {})},
        progress_deadline_seconds=1e6,
        **settings,
    )


def run(world: World, until: Callable[[], bool] = lambda: False) -> None:
    """The clock is moved by hand, and a server takes its own time to recover a snapshot."""
    pause = 0.0 if world.store.server().embedded else 0.02

    def over() -> bool:
        time.sleep(pause)
        return until()

    world.run(until=over, turns=5000)


def live(world: World, **arguments: Any) -> str:
    """Deploys; the new collection, which must have passed everything."""
    deployment = world.deploy("docs", **arguments)
    run(world)
    status = world.status(deployment)
    assert status["status"] == "live", status["message"]
    report = world.step(deployment, "validate")["output"]["gate"]
    assert {row["verdict"] for row in report["checks"] if row["level"] != "shown"} == {"pass"}
    return str(status["green"])


@everywhere(with_vectors())
def test_given_vectors_go_live_and_are_found_by(world: World, name: str) -> None:
    """Twice: beside what somebody else has made, and beside our own. On a server, searches by
    them are timed too."""
    shape = SHAPES[name]
    rows = records(shape)
    begun(world, shape, rows)
    declared(world, world.write("docs.jsonl", rows), validation={"checks": {}})
    for collection in (live(world), live(world)):
        _found_by_every_vector(world, collection, shape)
    content = comparing.diff_versions(world.services, "docs", "1", "2")["content"]
    assert {
        told: content[told]["count"] for told in ("added", "removed", "changed")
    } == dict.fromkeys(("added", "removed", "changed"), 0)


def _found_by_every_vector(world: World, collection: str, shape: Schema) -> None:
    store = world.store
    assert store.count(collection) == NUMBERS
    (point,) = store.fetch(collection, [7], vectors=True)
    with Router(world.services) as router:
        for name, vector in vectors_by_name(point.vector).items():
            params = vector_params(shape, name)
            hits = router.search("docs", vector, using=name, limit=NUMBERS).results
            own = next(hit.score for hit in hits if hit.id == 7)
            kind = kind_of(params)
            best = max if kind.rising(params) else min
            assert kind.beatable(params) or own == pytest.approx(
                best(hit.score for hit in hits), rel=1e-3, abs=1e-3
            )


@everywhere(with_vectors())
def test_one_record_is_an_index(world: World, name: str) -> None:
    shape = SHAPES[name]
    rows = records(shape, count=1)
    begun(world, shape, rows)
    declared(world, world.write("docs.jsonl", rows))
    live(world)


@everywhere(with_vectors())
def test_a_single_other_vector_is_seen(world: World, name: str) -> None:
    shape = SHAPES[name]
    rows = records(shape)
    begun(world, shape, rows)
    declared(world, world.write("docs.jsonl", rows))
    for vector in vector_names(shape):
        deployment = world.deploy("docs")
        run(world, world.at(deployment, "validate"))
        other = records(shape, seed=2)[7]
        point = {**rows[7], "vector": {**rows[7]["vector"], vector: other["vector"][vector]}}
        (stored,) = world.store.fetch(str(world.status(deployment)["green"]), [7], vectors=False)
        changed = replace(points([point])[0], payload=stored.payload)
        world.store.upsert(str(world.status(deployment)["green"]), [changed])
        run(world)
        status = world.status(deployment)
        assert status["status"] == "rolled_back", status["message"]
        assert "1 another vector" in str(status["gate"]["checks"])


@everywhere(SHAPES)
def test_a_collection_of_any_kind_is_taken_from_another_and_adopted(
    world: World, name: str
) -> None:
    shape = SHAPES[name]
    theirs = begun(world, shape, records(shape))
    declared(world, f"collection:{theirs}")
    assert adoption.adopt_collection(world.services, "docs", actor="anna")["number"] == 1
    live(world)


@both
@pytest.mark.parametrize(
    "name", ["sparse idf float32", "unnamed beside sparse", "two dense", "all at once"]
)
def test_points_may_lack_a_vector_or_have_an_empty_one(world: World, name: str) -> None:
    """The text of a point need not have a known word, and not every point was embedded by every
    model."""
    shape = SHAPES[name]
    rows = _with_holes(shape)
    declared(world, world.write("docs.jsonl", rows))
    theirs = begun(world, shape, rows)
    live(world)
    live(world, source=f"collection:{theirs}")


def _with_holes(shape: Schema) -> list[dict[str, Any]]:
    rows = records(shape)
    for row in rows[:9]:
        if len(row["vector"]) > 1:
            del row["vector"][list(row["vector"])[row["id"] % len(row["vector"])]]
    for row in rows[:6]:
        row["vector"] |= {
            sparse: {"indices": [], "values": []}
            for sparse in shape["params"].get("sparse_vectors", {})
        }
    return rows


@both
def test_rows_of_zeros_fill_up_a_multivector_of_dot_products(world: World) -> None:
    shape = SHAPES["multivector Dot float32"]
    rows = records(shape)
    for row in rows:
        row["vector"][""].append([0.0] * SIZE)
    begun(world, shape, rows)
    declared(world, world.write("docs.jsonl", rows))
    deployment = world.deploy("docs")
    run(world)
    status = world.status(deployment)
    assert status["status"] == "live", status["message"]
    counted = sum(len(row["vector"][""]) for row in rows)
    assert f"{counted} rows of it" in str(status["gate"]["checks"])


@both
@pytest.mark.parametrize(
    ("name", "query", "words"),
    [
        (
            "unnamed Cosine float32",
            [[1.0] * SIZE] * 2,
            "2 rows of 6 numbers, and .* searched with 6 numbers",
        ),
        (
            "unnamed Cosine float32",
            {"indices": [1], "values": [1.0]},
            "a sparse vector, and .* 6 numbers",
        ),
        ("unnamed Cosine float32", [1.0] * 5, "5 numbers"),
        (
            "multivector Dot float32",
            [[1.0] * 5],
            "1 rows of 5 numbers, and .* rows of 6 numbers each",
        ),
        ("multivector Dot float32", {"indices": [1], "values": [1.0]}, "a sparse vector"),
        (
            "sparse plain float32",
            [1.0, 2.0],
            "2 numbers, and .* a sparse vector, indices and values",
        ),
        ("sparse plain float32", [[1.0], [2.0]], "2 rows of 1 numbers"),
    ],
)
def test_a_query_of_another_kind_is_refused_in_words(
    world: World, name: str, query: Any, words: str
) -> None:
    begun(world, SHAPES[name], records(SHAPES[name]))
    with Router(world.services) as router, pytest.raises(Refused, match=words):
        router.search("docs", query)
    (using,) = vector_names(SHAPES[name])
    with pytest.raises(Refused):
        world.store.search("theirs", query, 3, SearchParams(using=using))


@both
@pytest.mark.parametrize("name", ["multivector Dot float32", "sparse idf float32"])
def test_a_model_that_cannot_make_such_vectors_is_refused_before_anything_is_made(
    world: World, name: str
) -> None:
    shape = SHAPES[name]
    begun(world, shape, records(shape))
    declare: Callable[..., None] = partial(
        world.declare, "docs", source=world.write("docs.jsonl", texts(20))
    )
    for vector in {"", *vector_names(shape)}:
        declare(embedding={**EMBEDDING, "vector": vector})
        with pytest.raises(Refused, match="model makes"):
            world.deploy("docs")
        assert world.store.aliases()["docs"] == "theirs"
        with pytest.raises(Refused, match="model makes"):
            adoption.adopt_collection(world.services, "docs", actor="anna")


@both
def test_a_vector_with_a_name_is_embedded_probed_and_searched_without_naming_it(
    world: World,
) -> None:
    """The only one that a model can make is meant."""
    shape = schema({"text": {"size": 64, "distance": "Cosine"}}, {"bm25": {}})
    world.store.create("theirs", shape, {})
    rng = np.random.default_rng(1)
    world.store.upsert("theirs", [Point(n, {"text": rng.random(64)}, {}) for n in range(20)])
    world.store.point_alias("docs", "theirs")
    world.declare("docs", source=world.write("docs.jsonl", texts(20)), accept_new_model=True)
    with Router(world.services) as router:
        assert len(router.search("docs", "text 3 about asyncio", limit=5).results) == 5
        deployment = world.deploy("docs")
        world.run()
        assert world.status(deployment)["status"] == "live", world.status(deployment)["message"]
    with Router(world.services) as router:
        assert router.search("docs", "text 3 about asyncio", limit=5).results[0].id == 3


@both
@pytest.mark.parametrize(
    "name", ["named Dot float32", "multivector Dot float32", "sparse idf float32", "all at once"]
)
def test_searches_by_any_vector_are_split_and_compared_in_shadow(world: World, name: str) -> None:
    """A canary, and an experiment, send one user's search to either; in shadow both are asked."""
    shape = SHAPES[name]
    rows = records(shape)
    blue = begun(world, shape, rows)
    declared(world, world.write("docs.jsonl", rows))
    green = live(world)
    for share, shadow in ((5000, 0), (0, 10_000)):
        stage = f"deployment/{share}"
        table.set_route(
            world.services,
            "docs",
            blue=blue,
            green=green,
            share=share,
            shadow=shadow,
            salt="s",
            stage=stage,
        )
        with Router(world.services) as router:
            found = [
                router.search("docs", vector, f"user {number}", using=using, limit=5)
                for number in range(12)
                for using, vector in rows[number]["vector"].items()
            ]
        assert {answer.collection for answer in found} == ({blue, green} if share else {blue})
        assert not any(answer.fallback for answer in found)
        assert all(answer.results for answer in found)
    with world.services.sessions() as session:
        tallies = traffic.read_tallies(session, "docs", stage)
    seen = sum_tallies(tallies, "canary", "shadow")
    assert (seen.pairs, seen.errors) == (len(found), 0)
    assert seen.overlap / seen.pairs > 0.95
