"""Collections that another program made go live without a person if they are healthy, and do not if
they are broken: checks that cannot have evidence are not planned and are reported, and what can be
compared with live is compared."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.collections.stamps import FACTS_KEY, STAMP_KEY, read_stamp
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.deployments.commands.validating import validate_collection
from qdrant_rollouts.core.ports import Point, Schema
from qdrant_rollouts.tasks.commands import start_canary
from tests.contract.test_canary import Users, goes_on
from tests.world import DIMENSION, EMBEDDING, World, texts

MODEL = EmbeddingSpec.model_validate(EMBEDDING)
STAGES = [{"percentage": 50, "duration_minutes": 2}, {"percentage": 100, "duration_minutes": 0}]
COUNT = 40

Points = list[Point]


def points(count: int = COUNT) -> Points:
    made = open_embedder(MODEL).documents([record["text"] for record in texts(count)])
    return [
        Point(record["id"], vector, record)
        for record, vector in zip(texts(count), made, strict=True)
    ]


def schema(size: int = DIMENSION, **settings: Any) -> Schema:
    return {
        "params": {"vectors": {"size": size, "distance": "Cosine"}},
        "payload_schema": {},
        **settings,
    }


def make(world: World, name: str, filling: Points, made: Schema | None = None) -> None:
    world.store.create(name, made or schema(), {"owner": "them"})
    world.store.upsert(name, filling)


def without_a_model(world: World) -> None:
    """Collections of an application that embeds for itself; the index file has nothing to say."""
    make(world, "blue", points())
    world.store.point_alias("docs", "blue")
    world.declare("docs", embedding=None, canary={"stages": STAGES})


def ours(world: World) -> None:
    """A live collection that a deployment made, of a declared model and source."""
    world.declare("docs", source=world.write("docs.jsonl", texts(COUNT)), canary={"stages": STAGES})
    world.deploy("docs")
    world.run()


def no_source(world: World) -> None:
    """Of a declared model, and of no source that is known."""
    ours(world)
    world.declare("docs", canary={"stages": STAGES})


def proven_blue(world: World) -> None:
    """Both made elsewhere, and a model is declared."""
    make(world, "blue", points())
    world.store.point_alias("docs", "blue")
    world.declare("docs", canary={"stages": STAGES})


INDEXES = [without_a_model, ours, no_source, proven_blue]


def row(report: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((one for one in report["checks"] if one["name"] == name), None)


@pytest.mark.parametrize("index", INDEXES)
def test_a_healthy_one_is_deployed_without_a_person(
    world: World, index: Callable[[World], None]
) -> None:
    index(world)
    make(world, "green", points())
    deployment = world.deploy("docs", collection="green")
    world.run()
    seen = world.status(deployment)
    assert seen["status"] == "live", seen["message"]
    assert world.store.aliases()["docs"] == "green"


@pytest.mark.parametrize("index", INDEXES)
def test_a_healthy_one_is_canaried_without_a_person(
    world: World, index: Callable[[World], None]
) -> None:
    index(world)
    make(world, "green", points())
    started = start_canary(world.services, "docs", new_collection="green")["deployment_id"]
    seen = goes_on(world, started, Users(world))
    assert seen["status"] == "live", seen["message"]


def test_a_canary_that_probes_asks_the_vector_of_a_collection_that_was_there(world: World) -> None:
    ours(world)
    world.declare(
        "docs",
        source="jsonl:docs.jsonl",
        canary={"stages": STAGES, "probing": True},
        validation={"queries": ["text 3 about asyncio"], "min_top_score": 0.1},
    )
    make(world, "green", points())
    started = start_canary(world.services, "docs", new_collection="green")["deployment_id"]
    assert goes_on(world, started, Users(world))["status"] == "live"


@pytest.mark.parametrize("index", INDEXES)
def test_validate_passes_a_healthy_one_and_writes_nothing(
    world: World, index: Callable[[World], None]
) -> None:
    index(world)
    make(world, "green", points())
    report = validate_collection(world.services, "docs", "green")
    assert report["verdict"] == "pass", report["warnings"]
    assert world.store.metadata("green") == {"owner": "them"}


def test_the_first_lines_say_what_was_not_looked_at(world: World) -> None:
    without_a_model(world)
    make(world, "green", points())
    report = validate_collection(world.services, "docs", "green")
    assert [
        name for name in ("count", "model_stamp", "round_trip", "live_model") if row(report, name)
    ] == []
    assert report["warnings"][0].startswith(
        "green was made elsewhere, from no source that is known here"
    )
    assert any(
        said.startswith("models were not compared: the index declares none")
        for said in report["unchecked"]
    )
    assert any("carries no stamp" in said for said in report["unchecked"])


def test_one_that_is_proven_to_be_of_the_declared_model_is_stamped_when_it_is_deployed(
    world: World,
) -> None:
    ours(world)
    make(world, "green", points())
    world.deploy("docs", collection="green")
    stamp = read_stamp(world.store, "green")
    assert stamp is not None
    assert (stamp.deployment, stamp.identity) == ("", open_embedder(MODEL).identity)


def test_a_source_that_has_nothing_to_do_with_it_is_no_evidence(world: World) -> None:
    """The same texts under ids of their own: green was made of something else than the declared
    source."""
    ours(world)
    moved = [Point(one.id + 1000, one.vector, one.payload) for one in points()]  # type: ignore[operator]
    make(world, "green", moved)
    report = validate_collection(world.services, "docs", "green")
    assert (report["verdict"], row(report, "count"), row(report, "round_trip")) == (
        "pass",
        None,
        None,
    )


def test_settings_of_their_own_are_their_maker_s_business(world: World) -> None:
    ours(world)
    make(world, "green", points(), schema(hnsw_config={"m": 32, "ef_construct": 300}))
    world.deploy("docs", collection="green")
    world.run()
    assert world.store.aliases()["docs"] == "green"


# --- broken ---------------------------------------------------------------------------------------


def noise(count: int = COUNT, size: int = DIMENSION) -> Any:
    return np.random.default_rng(4).standard_normal((count, size)).astype(np.float32)


def half(world: World) -> None:
    make(world, "green", points()[: COUNT // 2])


def a_fifth_missing(world: World) -> None:
    make(world, "green", points()[: COUNT * 4 // 5])


def zero(world: World) -> None:
    made = [Point(one.id, np.zeros(DIMENSION, dtype=np.float32), one.payload) for one in points()]
    make(world, "green", made)


def other_size(world: World) -> None:
    made = [
        Point(one.id, vector, one.payload)
        for one, vector in zip(points(), noise(size=32), strict=True)
    ]
    make(world, "green", made, schema(32))


def other_distance(world: World) -> None:
    make(
        world,
        "green",
        points(),
        {"params": {"vectors": {"size": DIMENSION, "distance": "Dot"}}, "payload_schema": {}},
    )


def empty(world: World) -> None:
    make(world, "green", [])


def without_payloads(world: World) -> None:
    make(world, "green", [Point(one.id, one.vector, {}) for one in points()])


BROKEN = [without_payloads, half, a_fifth_missing, zero, other_size, other_distance, empty]


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_one_does_not_go_live_by_itself(
    world: World, index: Callable[[World], None], damage: Callable[[World], None]
) -> None:
    index(world)
    damage(world)
    before = world.store.aliases()["docs"]
    deployment = world.deploy("docs", collection="green")
    world.run()
    seen = world.status(deployment)
    assert seen["status"] in {"rolled_back", "paused"}
    assert ".. " not in seen["message"]
    assert world.store.aliases()["docs"] == before
    assert validate_collection(world.services, "docs", "green")["verdict"] != "pass"


def random(world: World) -> None:
    make(
        world,
        "green",
        [Point(one.id, vector, one.payload) for one, vector in zip(points(), noise(), strict=True)],
    )


def shuffled(world: World) -> None:
    made = points()
    make(
        world,
        "green",
        [Point(one.id, made[at - 1].vector, one.payload) for at, one in enumerate(made)],
    )


def a_third_random(world: World) -> None:
    made = zip(points(), noise(), strict=True)
    make(
        world, "green", [Point(p.id, v if p.id % 3 == 0 else p.vector, p.payload) for p, v in made]
    )  # type: ignore[operator]


@pytest.mark.parametrize("index", [ours, no_source, proven_blue])
@pytest.mark.parametrize("damage", [random, shuffled, a_third_random])
def test_vectors_that_the_declared_model_did_not_make_are_found_out_by_its_texts(
    world: World, index: Callable[[World], None], damage: Callable[[World], None]
) -> None:
    index(world)
    damage(world)
    report = validate_collection(world.services, "docs", "green")
    found = row(report, "declared_model")
    assert report["verdict"] == "block"
    assert found is not None
    assert found["verdict"] == "block"


def test_a_vector_of_live_that_is_missing_on_every_point_is_no_option(world: World) -> None:
    both = {
        "params": {"vectors": {name: {"size": 8, "distance": "Cosine"} for name in ("a", "b")}},
        "payload_schema": {},
    }
    made = [
        Point(at, {"a": one, "b": one}, {"text": f"{at}"}) for at, one in enumerate(noise(size=8))
    ]
    make(world, "blue", made, both)
    make(world, "green", [Point(one.id, {"a": one.vector["a"]}, one.payload) for one in made], both)  # type: ignore[call-overload, index]
    world.store.point_alias("docs", "blue")
    world.declare("docs", embedding=None)
    report = validate_collection(world.services, "docs", "green")
    presence = row(report, "vector_presence")
    assert presence is not None
    assert (report["verdict"], presence["verdict"]) == ("block", "block")


# --- no worse than live ---------------------------------------------------------------------------


def filled(*, zeros: int = 0, alike: int = 0, missing: int = 0) -> Points:
    """Points whose first ones have a vector of zeros, that of the last point, or none."""
    made = points()
    last = points()[-1].vector
    for at in range(COUNT):
        one = (
            np.zeros(DIMENSION, dtype=np.float32)
            if at < zeros
            else last
            if at < alike
            else made[at].vector
        )
        made[at] = Point(
            made[at].id,
            {} if at < missing else {"d": one},
            {"id": at, "text": f"{at} {'abc'[at % 3]}"},
        )
    return made


NAMED: Schema = {
    "params": {"vectors": {"d": {"size": DIMENSION, "distance": "Dot"}}},
    "payload_schema": {},
}
FLAWS: list[dict[str, int]] = [
    {"zeros": 3},
    {"zeros": COUNT},
    {"alike": 6},
    {"missing": 20},
    {"missing": COUNT},
]


@pytest.mark.parametrize("flaws", FLAWS)
def test_a_clone_of_a_live_collection_goes_live_whatever_its_vectors_are(
    world: World, flaws: dict[str, int]
) -> None:
    for name in ("blue", "green"):
        make(world, name, filled(**flaws), NAMED)
    world.store.point_alias("docs", "blue")
    world.declare("docs", embedding=None)
    deployment = world.deploy("docs", collection="green")
    world.run()
    seen = world.status(deployment)
    assert seen["status"] == "live", seen["message"]


@pytest.mark.parametrize(
    ("before", "now", "check"),
    [
        ({"zeros": 3}, {"zeros": 4}, "vector_sanity"),
        ({"alike": 3}, {"alike": 9}, "twins"),
        ({"missing": 3}, {"missing": 4}, "vector_presence"),
        ({}, {"missing": COUNT}, "vector_presence"),
    ],
)
def test_what_is_worse_than_on_live_is_stopped(
    world: World, before: dict[str, int], now: dict[str, int], check: str
) -> None:
    make(world, "blue", filled(**before), NAMED)
    make(world, "green", filled(**now), NAMED)
    world.store.point_alias("docs", "blue")
    world.declare("docs", embedding=None)
    report = validate_collection(world.services, "docs", "green")
    assert report["verdict"] == "block"
    assert check in [one["name"] for one in report["checks"] if one["verdict"] == "block"]


def test_that_nothing_can_be_asked_is_said_in_the_first_lines(world: World) -> None:
    for name in ("blue", "green"):
        make(world, name, filled(missing=COUNT), NAMED)
    world.store.point_alias("docs", "blue")
    world.declare("docs", embedding=None)
    report = validate_collection(world.services, "docs", "green")
    said = (
        "no point of green has a vector to search by, as on live: what searches find was not "
        "checked"
    )
    assert (report["verdict"], said in report["unchecked"]) == ("pass", True)
    assert [
        name
        for name in ("twins", "self_retrieval", "ann_recall@10", "overlap")
        if row(report, name)
    ] == []


def test_a_name_that_no_point_has_on_either_side_stops_nobody(world: World) -> None:
    params = {"vectors": {"d": {"size": 8, "distance": "Cosine"}}, "sparse_vectors": {"words": {}}}
    made = [
        Point(
            at,
            {"words": {"indices": [at, at + 1], "values": [1.0, 2.0]}} if at % 2 else {},
            {"text": f"text {at}"},
        )
        for at in range(COUNT)
    ]
    for name in ("blue", "green"):
        make(world, name, made, {"params": params, "payload_schema": {}})
    world.store.point_alias("docs", "blue")
    world.declare("docs", embedding=None)
    report = validate_collection(world.services, "docs", "green")
    assert report["verdict"] == "pass", report["warnings"]
    found = row(report, "self_retrieval")
    assert found is not None
    assert found["n"] > 0


def test_vectors_that_a_declared_model_should_have_made_are_missing_evidence(world: World) -> None:
    for name in ("blue", "green"):
        make(world, name, filled(missing=COUNT), NAMED)
    world.store.point_alias("docs", "blue")
    world.declare("docs", embedding={**EMBEDDING, "vector": "d"})
    assert validate_collection(world.services, "docs", "green")["verdict"] == "inconclusive"


# --- ours, and its stamp is gone ------------------------------------------------------------------


def test_a_stamp_that_vanished_from_one_of_ours_is_missing_evidence(world: World) -> None:
    ours(world)
    second = world.deploy("docs")
    world.run(until=world.at(second, "validate"))
    green = world.status(second)["green"]
    world.store.set_metadata(green, {STAMP_KEY: None})
    report = validate_collection(world.services, "docs", green)
    stamp = row(report, "model_stamp")
    assert stamp is not None
    assert (report["verdict"], stamp["verdict"]) == ("inconclusive", "inconclusive")


def test_what_remembers_that_it_is_ours_may_be_the_collection_alone(world: World) -> None:
    """The database was lost, and so was the stamp; the facts of its filling are still with it."""
    ours(world)
    green = world.store.aliases()["docs"]
    make(world, "blue", points())
    world.store.point_alias("docs", "blue")
    with world.services.sessions.begin() as session:
        session.delete(session.get_one(Version, green))
    assert "way" in world.store.metadata(green)[FACTS_KEY]
    world.store.set_metadata(green, {STAMP_KEY: None})
    report = validate_collection(world.services, "docs", green)
    stamp = row(report, "model_stamp")
    assert stamp is not None
    assert stamp["verdict"] == "inconclusive"
