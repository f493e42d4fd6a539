"""A search by text asks what the index file declares: one vector, or several whose results become
one list."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections.text_search import build_text_search
from qdrant_rollouts.core.config.index_file import IndexSpec, SearchSpec
from qdrant_rollouts.core.deployments.commands.validating import validate_collection
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Fused, Hit, SearchParams
from qdrant_rollouts.core.routing import Router
from tests.world import World, texts

ONE = {"model": "hashing:64", "text": "{text}"}
OTHER = {"model": "hashing:32", "text": "{text}"}
QUERY = "text 3 about asyncio"


@pytest.fixture
def world(tmp_path: Path, ready_sqlite_url: str) -> Iterator[World]:
    made = World(tmp_path, ready_sqlite_url)
    yield made
    made.close()


def live(world: World, **settings: Any) -> str:
    world.declare("docs", source=world.write("docs.jsonl", texts(20)), embedding=None, **settings)
    deployment = world.deploy("docs")
    world.run()
    status = world.status(deployment)
    assert status["status"] == "live", status["message"]
    return str(status["green"])


def searched(world: World, **options: Any) -> list[Hit]:
    with Router(world.services) as router:
        return router.search("docs", QUERY, limit=5, **options).results


class Listening:
    """A store that remembers what it was asked."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.asked = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def search(self, collection: str, query: Any, limit: int, how: SearchParams) -> Any:
        self.asked.append((query, how.using))
        return self._store.search(collection, query, limit, how)


def test_one_made_vector_is_asked_alone(world: World) -> None:
    live(world, vectors={"one": ONE})
    listening = Listening(world.store)
    world.over(listening)
    assert searched(world)[0].id == 3
    (query, using) = listening.asked[0]
    assert using == "one"
    assert not isinstance(query, Fused)


def test_two_made_vectors_are_both_asked_and_their_results_fused_by_rank(world: World) -> None:
    live(world, vectors={"one": ONE, "other": OTHER})
    listening = Listening(world.store)
    world.over(listening)
    assert searched(world)[0].id == 3
    (query, _) = listening.asked[0]
    assert [part.using for part in query.parts] == ["one", "other"]
    assert query.fusion == "rrf"


def test_the_declared_search_is_what_is_asked(world: World) -> None:
    search = {"prefetch": [{"vector": "other", "limit": 7}, {"vector": "one"}], "fusion": "dbsf"}
    live(world, vectors={"one": ONE, "other": OTHER}, search=search)
    listening = Listening(world.store)
    world.over(listening)
    assert searched(world)[0].id == 3
    (query, _) = listening.asked[0]
    assert [(part.using, part.limit) for part in query.parts] == [("other", 7), ("one", 50)]
    assert query.fusion == "dbsf"


def test_a_declared_search_of_one_vector_leaves_the_others_alone(world: World) -> None:
    live(world, vectors={"one": ONE, "other": OTHER}, search={"prefetch": [{"vector": "other"}]})
    listening = Listening(world.store)
    world.over(listening)
    searched(world)
    assert [using for _, using in listening.asked] == ["other"]


def test_a_vector_named_by_the_application_is_asked_by_a_text_of_its_own_model(
    world: World,
) -> None:
    live(world, vectors={"one": ONE, "other": OTHER})
    for name in ("one", "other"):
        assert searched(world, using=name)[0].id == 3
    with pytest.raises(Refused, match=r"vector third of .* is made of no text.*: one, other"):
        searched(world, using="third")


def test_pages_of_a_fused_search_follow_each_other(world: World) -> None:
    live(world, vectors={"one": ONE, "other": OTHER})
    with Router(world.services) as router:
        whole = [hit.id for hit in router.search("docs", QUERY, limit=10).results]
        pages = [router.search("docs", QUERY, limit=5, offset=offset).results for offset in (0, 5)]
    assert [hit.id for page in pages for hit in page] == whole


@pytest.mark.parametrize(
    ("vectors", "named", "words"),
    [
        ({"one": ONE}, "two", "found 'two', and there is no such vector; expected one"),
        (
            {"one": ONE, "mine": "given"},
            "mine",
            "found 'mine', which nothing makes of a text; expected one",
        ),
        ({"mine": "given"}, "mine", "expected nothing: no vector is made of a text"),
    ],
)
def test_a_name_that_no_text_can_ask_is_refused_before_anything_is_built(
    world: World, vectors: dict[str, Any], named: str, words: str
) -> None:
    search = {"prefetch": [{"vector": named}]}
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(20)),
        embedding=None,
        vectors=vectors,
        search=search,
    )
    with pytest.raises(Refused, match=words):
        world.deploy("docs")
    assert world.store.collections() == set()


def test_a_vector_that_comes_with_the_next_deployment_stops_no_search_of_today(
    world: World,
) -> None:
    live(world, vectors={"one": ONE})
    search = {"prefetch": [{"vector": "one"}, {"vector": "other"}]}
    source = world.write("docs.jsonl", texts(20))
    world.declare(
        "docs", source=source, embedding=None, vectors={"one": ONE, "other": OTHER}, search=search
    )
    assert searched(world)[0].id == 3
    world.declare("docs", source=source, embedding=None, vectors={"one": ONE}, search=search)
    with pytest.raises(Refused, match="found 'other', and there is no such vector; expected one"):
        searched(world)


def test_a_vector_that_is_to_be_made_from_the_next_deployment_on_stops_no_search_of_today(
    world: World,
) -> None:
    """Live has it, brought by its records; the index file already says what makes it."""
    records = [
        {**record, "vector": {"other": [1.0, float(record["id"]), *[0.5] * 30]}}
        for record in texts(20)
    ]
    world.declare(
        "docs",
        source=world.write("docs.jsonl", records),
        embedding=None,
        vectors={"one": ONE, "other": "given"},
    )
    world.deploy("docs")
    world.run()
    search = {"prefetch": [{"vector": "one"}, {"vector": "other"}]}
    source = world.write("docs.jsonl", texts(20))
    world.declare(
        "docs", source=source, embedding=None, vectors={"one": ONE, "other": OTHER}, search=search
    )
    assert searched(world)[0].id == 3
    collection = world.store.aliases()["docs"]
    assert validate_collection(world.services, "docs", collection)["collection"] == collection
    world.deploy("docs", options={"accept_new_model": True})
    world.run()
    assert world.store.aliases()["docs"] != collection
    assert searched(world)[0].id == 3


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({"prefetch": [{"vector": "a"}, {"vector": "a"}]}, "vector 'a' appears twice"),
        ({"prefetch": [{"vector": "a", "limit": 0}]}, "prefetch"),
        ({"fusion": "sum"}, "fusion"),
        ({"limit": 5}, "limit"),
    ],
)
def test_a_search_that_means_nothing_is_refused_by_its_path(
    search: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        IndexSpec.model_validate({"search": search})


def test_fusion_alone_says_how_all_made_vectors_are_fused() -> None:
    found = build_text_search(SearchSpec(fusion="dbsf"), ["a", "b"], ["a", "b", "c"])
    assert (found.names, found.fusion, found.fused) == (("a", "b"), "dbsf", True)


def test_a_server_that_allows_few_results_at_once_is_asked_for_no_more(
    tmp_path: Path, ready_sqlite_url: str, qdrant_url: str, qdrant_grpc_port: int
) -> None:
    """Strict mode limits what each part of a fused search may ask for, too."""
    world = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    try:
        vectors = {"one": ONE, "bm25": {"server": "qdrant/bm25", "text": "{text}"}}
        green = live(world, vectors=vectors)
        world.store.set_strict_mode(green, {"enabled": True, "max_query_limit": 10})
        assert searched(world)[0].id == 3
    finally:
        world.close()


def test_a_sparse_vector_that_the_server_makes_is_asked_by_text_alone(
    tmp_path: Path, ready_sqlite_url: str, qdrant_url: str, qdrant_grpc_port: int
) -> None:
    world = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    try:
        live(world, vectors={"bm25": {"server": "qdrant/bm25", "text": "{text}"}})
        assert searched(world)[0].id == 3
    finally:
        world.close()
