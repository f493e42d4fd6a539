"""An index of a handful of records, or of one, is as healthy as a large one; and one of none is
not."""

from typing import Any

import pytest

from qdrant_rollouts.core.deployments.commands.validating import validate_collection
from qdrant_rollouts.core.errors import Refused
from tests.world import World, texts

FEW = (1, 2, 3, 5, 10)


def deployed(world: World, count: int, **settings: Any) -> dict[str, Any]:
    world.declare("docs", source=world.write("docs.jsonl", texts(count)), **settings)
    deployment = world.deploy("docs")
    world.run()
    return world.status(deployment)


def held(status: dict[str, Any]) -> set[str]:
    return {row["verdict"] for row in status["gate"]["checks"] if row["level"] != "shown"}


@pytest.mark.parametrize("count", FEW)
@pytest.mark.parametrize("queries", [(), ("asyncio and python",)])
def test_a_small_index_goes_live_at_first_and_over_another(
    world: World, count: int, queries: tuple[str, ...]
) -> None:
    """With everything that is planned by itself: also beside one that is smaller, larger or the
    same."""
    rules = {"queries": queries, "min_top_score": 0.1}
    for size in (count, count, count + 1):
        status = deployed(world, size, validation=rules)
        assert status["status"] == "live", status["message"]
        assert held(status) == {"pass"}


@pytest.mark.parametrize("count", FEW)
def test_a_small_index_passes_every_check_that_can_be_planned_beside_it(
    world: World, count: int
) -> None:
    """But for judgments, of which 50 decide, and latency, which is no matter of size."""
    records = [{**record, "lang": "en"} for record in texts(count)]
    checks = {
        "filtered_recall@10": True,
        "slices": 0,
        "count_vs_live": 0,
        "overlap": 0.9,
        "score_shift": 0.2,
        "query_path": True,
        "self_retrieval": 1,
        "ann_recall@10": 1,
        "zero_result": 0,
    }
    rules = {
        "queries": ["asyncio and python"],
        "min_top_score": 0.1,
        "slices": ["lang"],
        "checks": checks,
    }
    for _ in range(2):
        world.declare(
            "docs",
            source=world.write("docs.jsonl", records),
            collection={"payload_indexes": {"lang": "keyword"}},
            validation=rules,
        )
        deployment = world.deploy("docs")
        world.run()
        status = world.status(deployment)
        assert status["status"] == "live", status["message"]
    assert checks.keys() <= {row["name"] for row in status["gate"]["checks"]}


def test_more_results_than_there_are_points_are_wanted_by_those_who_say_so(world: World) -> None:
    status = deployed(world, 3, validation={"queries": ["asyncio"], "min_top_score": -1})
    assert status["status"] == "live", status["message"]
    for stricter, bound in (({"checks": {"min_results": 5}}, 5), ({"min_results": 4}, 4)):
        status = deployed(
            world, 3, validation={"queries": ["asyncio"], "min_top_score": -1, **stricter}
        )
        assert status["status"] == "rolled_back"
        assert f"min_results 3 against {bound}" in status["message"]


def test_an_empty_index_is_not_built_and_does_not_pass(world: World) -> None:
    status = deployed(world, 3)
    world.store.create(
        "empty", world.store.schema(status["green"]), world.store.metadata(status["green"])
    )
    with pytest.raises(Refused, match="collection empty is empty"):
        world.deploy("docs", source="collection:empty")
    world.folder.joinpath("docs.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(Refused, match="holds no record"):
        world.deploy("docs")
    world.write("docs.jsonl", texts(3))
    report = validate_collection(world.services, "docs", "empty")
    assert report["verdict"] == "block"  # its records are missing
    seen = {row["name"]: row["verdict"] for row in report["checks"]}
    assert seen["vector_sanity"] == seen["zero_result"] == seen["self_retrieval"] == "inconclusive"
