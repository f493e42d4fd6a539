"""A search that only the application can make, through a canary of a hybrid index on a real
server."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rollouts.adapters.client_queries import build_client_query
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.routing import RoutedArm, Router, table
from tests.contract.test_routing import STAGE, user_on
from tests.world import World

DENSE = {"model": "hashing:64", "text": "{text}"}
BM25 = {"server": "qdrant/bm25", "text": "{text}"}
WORDS = "article 7 about eta"


@pytest.fixture
def world(
    tmp_path: Path, ready_sqlite_url: str, qdrant_url: str, qdrant_grpc_port: int
) -> Iterator[World]:
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    before = made.store.collections()
    yield made
    for name in made.store.collections() - before:
        made.store.drop(name)
    made.close()


def deploy(world: World, alias: str) -> str:
    records = [{"id": number, "text": f"article {number} about eta"} for number in range(30)]
    world.declare(
        alias,
        source=world.write("articles.jsonl", records),
        embedding=None,
        vectors={"dense": DENSE, "bm25": BM25},
    )
    deployment = world.deploy(alias)
    world.run()
    assert world.status(deployment)["status"] == "live", world.status(deployment)["message"]
    return world.store.aliases()[alias]


def test_an_application_makes_hybrid_grouped_and_recommending_searches_of_both_collections(
    world: World, qdrant_url: str
) -> None:
    mark = uuid.uuid4().hex[:8]
    blue, green = (deploy(world, f"{name}{mark}") for name in ("docs", "other"))
    alias = f"docs{mark}"
    table.set_route(
        world.services, alias, blue=blue, green=green, share=5000, salt="salt", stage=STAGE
    )
    client = QdrantClient(qdrant_url)

    def fused(arm: RoutedArm) -> Any:
        return client.query_points(
            arm.collection,
            prefetch=[
                models.Prefetch(query=arm.embed(WORDS, name), using=name, limit=20)
                for name in ("dense", "bm25")
            ],
            query=models.FusionQuery(fusion=models.Fusion.RRF),
            limit=5,
        )

    def grouped(arm: RoutedArm) -> Any:
        return client.query_points_groups(
            arm.collection, group_by="id", query=arm.embed(WORDS), using="dense", limit=5
        )

    def recommended(arm: RoutedArm) -> Any:
        [liked] = fused(arm).points[:1]
        like = models.RecommendQuery(recommend=models.RecommendInput(positive=[liked.id]))
        return client.query_points(arm.collection, query=like, using="dense", limit=5)

    with Router(world.services, write_query=build_client_query) as router:
        for variant, collection in (("control", blue), ("canary", green)):
            user = user_on(variant)
            assert router.call(alias, lambda arm: arm.collection, user) == collection
            assert router.call(alias, fused, user).points[0].payload["id"] == 7
            assert len(router.call(alias, grouped, user).groups) == 5
            assert len(router.call(alias, recommended, user).points) == 5
            with router.arm(alias, user) as arm:
                assert set(arm.model) == {"dense", "bm25"}
                assert arm.model["bm25"] == "qdrant/bm25"
    client.close()
