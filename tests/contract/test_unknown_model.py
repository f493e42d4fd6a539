"""A live collection that says nothing of its model is unknown, never of the same model: measured
before the first deployment over it, refused where it differs, and kept apart in canaries, shadows
and experiments."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.collections.model_proof import settle_models
from qdrant_rollouts.core.collections.same_model import VectorOrigin, relate_origins
from qdrant_rollouts.core.collections.stamps import Stamp, read_stamp
from qdrant_rollouts.core.config.index_file import EmbeddingSpec, IndexSpec
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Busy, Refused, Unavailable
from qdrant_rollouts.core.experiments.commands import create_experiment
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import Point, Schema
from qdrant_rollouts.core.routing import Router, table
from tests.contract.test_canary import Users, goes_on
from tests.world import DIMENSION, EMBEDDING, World, texts

OTHER = {**EMBEDDING, "text": "words of another kind: {text}"}
STAGES = [{"percentage": 50, "duration_minutes": 2}, {"percentage": 100, "duration_minutes": 0}]


def schema(size: int = DIMENSION, distance: str = "Cosine") -> Schema:
    return {"params": {"vectors": {"size": size, "distance": distance}}, "payload_schema": {}}


def vectors(count: int, embedding: dict[str, Any]) -> Any:
    spec = EmbeddingSpec.model_validate(embedding)
    return open_embedder(spec).documents([spec.text.format_map(record) for record in texts(count)])


def fill(
    world: World,
    name: str,
    made: Any,
    distance: str = "Cosine",
    payload: bool = True,
    start: int = 0,
) -> None:
    """A collection of somebody else's."""
    world.store.create(name, schema(len(made[0]), distance), {"owner": "them"})
    records = texts(len(made), start=start)
    world.store.upsert(
        name,
        [
            Point(one["id"], vector, one if payload else {})
            for one, vector in zip(records, made, strict=True)
        ],
    )


def theirs(world: World, made: Any, **declared: Any) -> None:
    fill(world, "theirs", made)
    world.store.point_alias("docs", "theirs")
    world.declare(
        "docs", source=world.write("docs.jsonl", texts(30)), canary={"stages": STAGES}, **declared
    )


def noise(count: int = 30, size: int = DIMENSION) -> Any:
    return np.random.default_rng(4).standard_normal((count, size)).astype(np.float32)


def live(world: World, deployment: str) -> dict[str, Any]:
    world.run()
    seen = world.status(deployment)
    assert seen["status"] == "live", seen["message"]
    return seen


def row(seen: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in seen["gate"]["checks"] if one["name"] == name)


# --- proven ---------------------------------------------------------------------------------------


def test_a_script_s_collection_of_the_declared_model_is_rebuilt_without_a_question(
    world: World,
) -> None:
    theirs(world, vectors(30, EMBEDDING))
    seen = live(world, world.deploy("docs"))
    assert (row(seen, "live_model")["verdict"], row(seen, "live_model")["value"]) == ("pass", 1.0)
    stamp = read_stamp(world.store, "theirs")
    assert stamp is not None
    assert (stamp.number, stamp.deployment, stamp.identity) == (
        0,
        "",
        open_embedder(EmbeddingSpec.model_validate(EMBEDDING)).identity,
    )
    assert world.store.metadata("theirs")["owner"] == "them"


def test_a_tenth_of_the_records_may_have_a_new_text_and_their_old_vector(world: World) -> None:
    made = np.array(vectors(30, EMBEDDING))
    made[:3] = noise(3)
    theirs(world, made)
    live(world, world.deploy("docs"))


def test_kept_as_other_floats_the_model_is_the_same(world: World) -> None:
    theirs(world, np.asarray(vectors(30, EMBEDDING), dtype=np.float16).astype(np.float32) * 3)
    live(world, world.deploy("docs"))


# --- not proven -----------------------------------------------------------------------------------


def other_size(world: World) -> None:
    theirs(world, noise(size=32))


def other_model(world: World) -> None:
    theirs(world, noise())


def other_template(world: World) -> None:
    theirs(world, vectors(30, OTHER))


def mixed(world: World) -> None:
    made = np.array(vectors(30, EMBEDDING))
    made[::3] = noise(10)
    theirs(world, made)


def no_text(world: World) -> None:
    fill(world, "theirs", vectors(30, EMBEDDING), payload=False)
    world.store.point_alias("docs", "theirs")
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), canary={"stages": STAGES})


def other_lengths(world: World) -> None:
    fill(world, "theirs", np.asarray(vectors(30, EMBEDDING)) * 4, distance="Dot")
    world.store.point_alias("docs", "theirs")
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), canary={"stages": STAGES})


UNKNOWN = [other_size, other_model, other_template, mixed, no_text, other_lengths]


@pytest.mark.parametrize("damage", UNKNOWN)
def test_any_other_is_refused_before_anything_is_built_with_what_was_measured(
    world: World, damage: Any
) -> None:
    damage(world)
    before = world.store.collections()
    with pytest.raises(Refused, match="does not say which model made it") as refused:
        world.deploy("docs")
    said = str(refused.value)
    assert "  docs:\n    accept_new_model: true" in said
    assert "--accept-new-model" in said
    assert any(word in said for word in ("agree", "numbers", "no point has the texts"))
    assert world.store.collections() == before
    assert world.store.metadata("theirs") == {"owner": "them"}
    assert world.broker.waiting == []


@pytest.mark.parametrize("damage", UNKNOWN)
def test_accepted_in_the_index_file_it_is_built_and_goes_live(world: World, damage: Any) -> None:
    damage(world)
    declared = world.indexes["docs"].model_dump(mode="json")
    world.indexes["docs"] = IndexSpec.model_validate({**declared, "accept_new_model": True})
    seen = live(world, world.deploy("docs"))
    assert "accepted by accept_new_model" in row(seen, "live_model")["detail"]


def test_accepted_by_the_request_it_goes_live_and_the_next_one_needs_no_word(world: World) -> None:
    theirs(world, noise())
    live(world, world.deploy("docs", options={"accept_new_model": True}))
    live(world, world.deploy("docs"))


def test_judged_queries_that_nobody_can_ask_of_an_unknown_model_stop_nothing_and_are_told_of(
    world: World,
) -> None:
    lines = [{"query": f"text {at} about asyncio", "relevant": [at]} for at in range(30)]
    world.write("judged.jsonl", lines)
    theirs(
        world,
        noise(),
        validation={
            "judged": "judged.jsonl",
            "samples": {"records": 12, "queries": 12, "judged": 5},
        },
    )
    seen = live(world, world.deploy("docs", options={"accept_new_model": True}))
    names = {one["name"] for one in seen["gate"]["checks"]}
    assert not names & {"judged_quality", "overlap", "score_shift", "regressions", "holes@10"}
    assert any(
        "nobody knows how to ask theirs in words" in said for said in seen["gate"]["unchecked"]
    )


class Away:
    """A model whose endpoint does not answer."""

    dimension = DIMENSION
    identity = "away"

    def documents(self, given: Any) -> Any:
        raise Unavailable("nobody answers at https://models")


def test_a_model_that_is_away_proves_nothing(world: World) -> None:
    theirs(world, vectors(30, EMBEDDING))
    world.services = replace(world.services, embedder=lambda spec: Away())  # type: ignore[arg-type, return-value]
    with pytest.raises(Refused, match="could not be asked: nobody answers"):
        world.deploy("docs")


def test_an_empty_collection_has_no_model_and_nobody_asks(world: World) -> None:
    world.store.create("theirs", schema(32), {})
    world.store.point_alias("docs", "theirs")
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(30)),
        validation={"checks": {"count_vs_live": False}},
    )
    world.deploy("docs")


def test_a_first_deployment_is_asked_nothing(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    seen = live(world, world.deploy("docs"))
    assert "live_model" not in {one["name"] for one in seen["gate"]["checks"]}


class Shut:
    """A store of which another process has the settings."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def metadata(self, collection: str) -> Any:
        raise Busy("open in another process")


def test_the_step_looks_where_the_request_could_not(world: World) -> None:
    theirs(world, noise())
    store = world.store
    world.over(Shut(store))  # type: ignore[arg-type]  # a double
    deployment = world.deploy("docs")
    world.over(store)
    world.run()
    seen = world.status(deployment)
    assert seen["status"] == "rolled_back"
    assert "accept_new_model: true" in seen["message"]
    assert seen["green"] not in world.store.collections()


@pytest.mark.parametrize(("made", "expected"), [(noise, 30), (lambda: vectors(30, EMBEDDING), 0)])
def test_vectors_of_a_source_that_another_model_made_are_made_anew(
    world: World, made: Any, expected: int
) -> None:
    fill(world, "theirs", made())
    world.declare("docs", source="collection:theirs")
    seen = live(world, world.deploy("docs"))
    filled = next(step["output"] for step in seen["steps"] if step["name"] == "populate")
    assert filled.get("embedded", 0) == expected


# --- kept apart -----------------------------------------------------------------------------------


def searched(world: World, made: Any, count: int = 200, **named: Any) -> Counter[str]:
    with Router(world.services) as router:
        found = [
            router.search("docs", made[at % len(made)], f"user {at}", **named)
            for at in range(count)
        ]
    return Counter(answer.variant for answer in found)


def canary(world: World, **options: Any) -> str:
    deployment = world.deploy("docs", strategy="canary", options=options)
    world.run(until=lambda: not table.current_route(world.services, "docs").at_rest)
    assert not table.current_route(world.services, "docs").at_rest, world.status(deployment)[
        "message"
    ]
    return deployment


@pytest.mark.parametrize("options", [{}, {"accept_new_model": True}])
def test_a_canary_keeps_every_search_by_vector_on_a_blue_of_an_unknown_model(
    world: World, options: dict[str, Any]
) -> None:
    made = noise()
    theirs(world, made)
    canary(world, **options)
    assert searched(world, made) == {"live": 200}
    with Router(world.services) as router:
        words = Counter(router.search("docs", "asyncio", f"user {at}").variant for at in range(200))
    assert words["canary"] > 60


def test_a_canary_over_a_proven_blue_splits_searches_by_vector(world: World) -> None:
    theirs(world, vectors(30, EMBEDDING))
    canary(world)
    assert searched(world, vectors(30, EMBEDDING))["canary"] > 60


def test_a_router_that_saw_blue_before_it_was_proven_learns_of_it(world: World) -> None:
    made = vectors(30, EMBEDDING)
    theirs(world, made)
    with Router(world.services) as router:
        router.search("docs", made[0], "user")
        canary(world)
        router._core.routes.look("docs")
        found = Counter(router.search("docs", made[0], f"user {at}").variant for at in range(200))
    assert found["canary"] > 60


def test_before_its_switch_such_a_canary_asks_a_person(world: World) -> None:
    theirs(world, noise())
    deployment = canary(world)
    seen = goes_on(world, deployment, Users(world))
    assert (seen["status"], world.store.aliases()["docs"]) == ("paused", "theirs")
    assert "nobody wrote down which model made theirs" in seen["message"]
    commands.request_action(world.services, deployment, Event.PROMOTE, actor="anna")
    assert goes_on(world, deployment, Users(world))["status"] == "live"


def test_an_accepted_one_asks_nobody(world: World) -> None:
    theirs(world, noise())
    deployment = canary(world, accept_new_model=True)
    assert goes_on(world, deployment, Users(world))["status"] == "live"


def test_a_shadow_asks_green_nothing_by_vectors_of_an_unknown_model(world: World) -> None:
    made = noise()
    theirs(world, made)
    stages = [{"percentage": 0, "duration_minutes": 2, "shadow": True}, *STAGES]
    canary(world, canary={"stages": stages, "shadow_percentage": 100})
    asked = []
    search = world.store.search

    def noted(collection: str, *rest: Any, **named: Any) -> Any:
        asked.append(collection)
        return search(collection, *rest, **named)

    world.store.search = noted  # type: ignore[method-assign]
    assert searched(world, made, 20) == {"live": 20}
    green = table.current_route(world.services, "docs").green
    assert asked
    assert green not in asked


@pytest.mark.parametrize(("declared", "expected"), [(True, 0), (False, 60)])
def test_an_experiment_splits_searches_by_vector_only_where_no_model_is_declared(
    world: World, declared: bool, expected: int
) -> None:
    made = noise()
    fill(world, "theirs", made)
    fill(world, "newer", made)
    world.store.point_alias("docs", "theirs")
    if declared:
        world.declare("docs")
    create_experiment(world.services, "which", "theirs", ["newer"], actor="anna")
    seen = searched(world, made)
    assert seen["treatment"] >= expected
    assert expected or not seen["treatment"]


# --- the one function -----------------------------------------------------------------------------

A = VectorOrigin(known=True, identity="a")
B = VectorOrigin(known=True, identity="b")
GIVEN = VectorOrigin(known=True)
NOBODY = VectorOrigin()


@pytest.mark.parametrize(
    ("one", "other", "declared", "expected"),
    [
        (A, A, True, "same"),
        (A, A, False, "same"),
        (A, B, True, "other"),
        (A, GIVEN, True, "other"),
        (A, NOBODY, True, "unknown"),
        (A, NOBODY, False, "unknown"),
        (NOBODY, NOBODY, True, "unknown"),
        (NOBODY, NOBODY, False, "own"),
        (GIVEN, GIVEN, False, "own"),
        (GIVEN, NOBODY, False, "own"),
    ],
)
def test_what_nobody_wrote_down_is_never_the_same_model(
    one: VectorOrigin, other: VectorOrigin, declared: bool, expected: str
) -> None:
    assert (
        relate_origins(one, other, declared=declared)
        == relate_origins(other, one, declared=declared)
        == expected
    )


def test_settling_twice_writes_once_and_asks_nothing_of_a_stamped_collection(world: World) -> None:
    fill(world, "theirs", vectors(30, EMBEDDING))
    made = {"": EmbeddingSpec.model_validate(EMBEDDING)}
    assert settle_models(world.services, "docs", "theirs", made)[""].proven
    before = world.store.metadata("theirs")
    assert settle_models(world.services, "docs", "theirs", made) == {}
    assert world.store.metadata("theirs") == before
    stamp = Stamp.of(before)
    assert stamp is not None
    assert set(stamp.made) == {""}


# --- copies ---------------------------------------------------------------------------------------


def copied(world: World, made: Any) -> str:
    """Returns a version with other settings that was copied while no model was declared."""
    theirs(world, made)
    world.declare("docs", source="live", embedding=None, collection={"hnsw": {"m": 24}})
    return str(live(world, world.deploy("docs"))["green"])


@pytest.mark.parametrize("source", ["live", "jsonl:docs.jsonl"])
def test_a_copy_of_an_unknown_model_is_as_unknown_and_a_new_model_over_it_is_refused(
    world: World, source: str
) -> None:
    copied(world, noise())
    world.declare("docs", source=source)
    with pytest.raises(Refused) as refused:
        world.deploy("docs")
    assert "of 30 stored texts that were embedded again 0 agree" in str(refused.value)
    assert "accept_new_model: true" in str(refused.value)


@pytest.mark.parametrize("source", ["live", "jsonl:docs.jsonl"])
def test_accepted_over_a_copy_the_new_model_makes_every_vector(world: World, source: str) -> None:
    copied(world, noise())
    world.declare("docs", source=source, accept_new_model=True)
    seen = live(world, world.deploy("docs"))
    assert "accepted by accept_new_model" in row(seen, "live_model")["detail"]
    filled = next(step["output"] for step in seen["steps"] if step["name"] == "populate")
    assert filled["embedded"] == 30


def test_a_copy_whose_model_is_proven_keeps_its_vectors_and_its_own_stamp(world: World) -> None:
    first = copied(world, vectors(30, EMBEDDING))
    before = read_stamp(world.store, first)
    world.declare("docs", source="live")
    seen = live(world, world.deploy("docs"))
    assert row(seen, "live_model")["detail"] == f"{first} was made by the same model"
    filled = next(step["output"] for step in seen["steps"] if step["name"] == "populate")
    assert filled.get("embedded", 0) == 0
    stamp = read_stamp(world.store, first)
    assert before is not None
    assert stamp is not None
    assert (before.unknown, before.made) == ([""], {})
    assert (stamp.unknown, list(stamp.made)) == ([], [""])
    assert (stamp.deployment, stamp.number) == (before.deployment, before.number)


def test_a_copy_of_a_copy_is_as_unknown(world: World) -> None:
    copied(world, noise())
    world.declare("docs", source="live", embedding=None, collection={"hnsw": {"m": 32}})
    second = live(world, world.deploy("docs"))
    stamp = read_stamp(world.store, second["green"])
    assert stamp is not None
    assert stamp.unknown == [""]
    assert "models were not compared" in str(second["gate"]["unchecked"])
