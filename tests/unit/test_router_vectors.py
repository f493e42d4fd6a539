"""The published test vectors, by which a router in another language is written, are what our own
router does."""

import json
from pathlib import Path

import pytest

from qdrant_rollouts.core.routing.exposures import unit_of_user
from qdrant_rollouts.core.routing.route import Route
from qdrant_rollouts.core.statistics.assignment import bucket, canary_ranges, group_of_unit
from qdrant_rollouts.core.statistics.histogram import bucket_index

FILE = Path(__file__).parents[2] / "docs/assets/router-vectors.json"
VECTORS = json.loads(FILE.read_text(encoding="utf-8"))


def test_a_user_has_the_published_bucket_and_group() -> None:
    for row in VECTORS["users"]:
        assert bucket(row["salt"], row["user"]) == row["bucket"]
        assert group_of_unit(row["salt"], row["user"]) == row["group"]


def test_a_user_has_the_published_name_in_an_experiment() -> None:
    for row in VECTORS["units"]:
        assert unit_of_user(row["experiment"], row["user"]) == row["unit"]


def test_a_latency_has_the_published_bucket() -> None:
    for row in VECTORS["latencies"]:
        assert bucket_index(row["seconds"]) == row["bucket"]


def test_a_share_has_the_published_ranges() -> None:
    for row in VECTORS["canary_ranges"]:
        control, canary = (
            tuple(tuple(pair) for pair in row[name]) for name in ("control", "canary")
        )
        assert canary_ranges(row["share"]) == (control, canary)


@pytest.mark.parametrize("row", VECTORS["routes"], ids=lambda row: row["route"]["stage"] or "rest")
def test_a_route_gives_each_user_the_published_collection(row) -> None:
    route = Route.of(row["route"])
    assert route.to_json() == row["route"]
    for user in row["users"]:
        variant = route.variant(bucket(route.salt, user["user"]))
        assert (variant, route.collection(variant)) == (user["variant"], user["collection"])
