"""Filters still find what they found: empty payload indexes are noticed, and healthy changes are
accepted."""

from collections.abc import Callable
from typing import Any

import pytest

from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.ports.payload_values import is_held_by_index, values_at
from tests.saved_worlds import SavedWorlds
from tests.world import World, texts

INDEXES = {"price": "integer", "seen": "datetime", "tags": "keyword", "rare": "keyword"}
Records = list[dict[str, Any]]


def articles(count: int = 60) -> Records:
    """``rare`` is on one in twenty, ``note`` has no index."""
    return [
        {
            **record,
            "price": at,
            "seen": f"2026-11-{1 + at % 28:02}T10:00:00Z",
            "tags": ["python", f"group {at % 3}"],
            "note": f"note {at}",
            **({"rare": "yes"} if at % 20 == 0 else {}),
        }
        for at, record in enumerate(texts(count))
    ]


def each(change: Callable[[dict[str, Any], int], dict[str, Any]]) -> Callable[[Records], Records]:
    return lambda records: [change(dict(record), at) for at, record in enumerate(records)]


def without(field: str) -> Callable[[dict[str, Any], int], dict[str, Any]]:
    return lambda record, at: {name: value for name, value in record.items() if name != field}


def renamed(record: dict[str, Any], at: int) -> dict[str, Any]:
    return {**without("price")(record, at), "cost": record["price"]}


DAMAGES = {
    "a number became text": each(lambda record, at: {**record, "price": f"{at}"}),
    "a number became a fraction": each(lambda record, at: {**record, "price": at + 0.5}),
    "a moment in another form": each(
        lambda record, at: {**record, "seen": f"11/{1 + at % 28:02}/2026"}
    ),
    "a moment became seconds": each(lambda record, at: {**record, "seen": 1_794_000_000 + at}),
    "a keyword became a list of objects": each(
        lambda record, at: {**record, "tags": [{"name": "python"}]}
    ),
    "a field renamed in the source": each(renamed),
    "a field became null": each(lambda record, at: {**record, "price": None}),
    "a third in another form": each(
        lambda record, at: {**record, "price": f"{at}" if at % 3 == 0 else at}
    ),
}
HEALTHY = {
    "the same": list,
    "a rare field gone": each(without("rare")),
    "5 % of the records without the field": each(
        lambda record, at: without("price")(record, at) if at % 20 == 0 else record
    ),
    "growth by records that lack the fields": lambda records: records + texts(40, start=1000),
    "a keyword instead of a list of them": each(lambda record, at: {**record, "tags": "python"}),
    "moments with another offset": each(
        lambda record, at: {**record, "seen": "2026-11-02T10:00:00+02:00"}
    ),
    "one value in another form": each(
        lambda record, at: {**record, "price": "unknown" if at == 7 else at}
    ),
    "a third fewer records": lambda records: records[:40],
}


def deploy_articles(world: World) -> None:
    world.declare(
        "docs",
        source=world.write("docs.jsonl", articles()),
        collection={"payload_indexes": INDEXES},
    )
    first = world.deploy("docs")
    world.run()
    assert world.status(first)["status"] == "live", world.status(first)["message"]


@pytest.fixture
def live(world: World, saved_worlds: SavedWorlds) -> World:
    saved_worlds.begin(world, deploy_articles)
    return world


def rebuilt(world: World, records: Records, **declared: Any) -> dict[str, Any]:
    world.write("docs.jsonl", records)
    if declared:
        world.declare("docs", source="jsonl:docs.jsonl", **declared)
    deployment = world.deploy("docs")
    world.run()
    return world.status(deployment)


def row(seen: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in seen["gate"]["checks"] if one["name"] == "payload_coverage")


@pytest.mark.parametrize("what", DAMAGES)
def test_an_index_that_no_longer_holds_what_it_held_blocks(live: World, what: str) -> None:
    seen = rebuilt(live, DAMAGES[what](articles()))
    assert row(seen)["verdict"] == "block", row(seen)["detail"]
    assert seen["status"] == "rolled_back"
    assert row(seen)["means"]
    assert row(seen)["act"]


@pytest.mark.parametrize("what", HEALTHY)
def test_what_filters_lose_by_right_stops_nothing(live: World, what: str) -> None:
    seen = rebuilt(live, HEALTHY[what](articles()))
    assert row(seen)["verdict"] == "pass", row(seen)["detail"]
    assert seen["status"] == "live", seen["message"]


def test_a_field_on_every_point_that_half_of_them_lost_is_for_a_person(live: World) -> None:
    seen = rebuilt(
        live,
        each(lambda record, at: without("price")(record, at) if at % 2 else record)(articles()),
    )
    assert (row(seen)["verdict"], seen["status"]) == ("inconclusive", "paused")
    assert "where it is on nearly every point" in row(seen)["found"]


def test_a_field_that_is_dropped_by_declaration_stops_nothing_and_loses_its_index(
    live: World,
) -> None:
    indexes = {**INDEXES, "price": "dropped"}
    seen = rebuilt(
        live, each(without("price"))(articles()), collection={"payload_indexes": indexes}
    )
    assert seen["status"] == "live", seen["message"]
    assert "price was dropped, as declared" in row(seen)["found"]
    assert "price" not in live.store.schema(seen["green"])["payload_schema"]
    # And it stays away: the next rebuild is made like this one.
    seen = rebuilt(live, each(without("price"))(articles()))
    assert seen["status"] == "live", seen["message"]


def test_a_field_declared_anew_with_another_type_is_judged_by_that_type(live: World) -> None:
    as_text = each(lambda record, at: {**record, "price": f"{at}"})
    seen = rebuilt(
        live, as_text(articles()), collection={"payload_indexes": {**INDEXES, "price": "keyword"}}
    )
    assert seen["status"] == "live", row(seen)["detail"]
    seen = rebuilt(live, articles())
    assert row(seen)["verdict"] == "block", (
        "the source went back to numbers, and the index takes text"
    )


def test_a_first_deployment_whose_declared_index_would_stay_empty_is_stopped(world: World) -> None:
    as_text = each(lambda record, at: {**record, "price": f"{at}"})(articles())
    world.declare(
        "docs", source=world.write("docs.jsonl", as_text), collection={"payload_indexes": INDEXES}
    )
    deployment = world.deploy("docs")
    world.run()
    assert row(world.status(deployment))["verdict"] == "block"
    assert "such as '" in row(world.status(deployment))["detail"]


def test_a_first_deployment_may_have_values_that_no_index_holds(world: World) -> None:
    mixed = each(lambda record, at: {**record, "price": "n/a" if at % 4 == 0 else at})(articles())
    world.declare(
        "docs", source=world.write("docs.jsonl", mixed), collection={"payload_indexes": INDEXES}
    )
    deployment = world.deploy("docs")
    world.run()
    assert world.status(deployment)["status"] == "live", world.status(deployment)["message"]


def test_fields_without_an_index_that_are_gone_or_of_another_type_are_shown(live: World) -> None:
    seen = rebuilt(
        live,
        each(lambda record, at: {**without("note")(record, at), "text": record["text"]})(
            articles()
        ),
    )
    assert seen["status"] == "live"
    assert [one["field"] for one in row(seen)["facts"]["gone"]] == ["note"]
    assert "note (filters by it find nothing)" in row(seen)["found"]
    live.write("docs.jsonl", each(lambda record, at: {**record, "note": f"note {at}"})(articles()))
    rebuilt(live, articles())
    seen = rebuilt(live, each(lambda record, at: {**record, "note": at})(articles()))
    assert row(seen)["facts"]["changed"] == [{"field": "note", "live": "text", "now": "number"}]


def test_what_cannot_be_looked_at_is_no_pass(live: World) -> None:
    from qdrant_rollouts.core.gate.checks import CHECKS

    green = live.store.aliases()["docs"]
    found = CHECKS["payload_coverage"].judge(
        GateContext(live.store, green, live.indexes["docs"]), None
    )
    assert found.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("a", "keyword", True),
        (["a", 1], "keyword", True),
        ([{"a": 1}], "keyword", False),
        (12, "integer", True),
        ("12", "integer", False),
        (12.0, "integer", False),
        (True, "integer", False),
        (2**70, "integer", False),
        (12, "float", True),
        (True, "bool", True),
        ("true", "bool", False),
        ("2026-01-02", "datetime", True),
        ("2026-01-02T03:04:05.123+01:00", "datetime", True),
        ("2026-01-02 03:04", "datetime", True),
        ("2026-01-02T03:04Z", "datetime", False),
        ("20260102", "datetime", False),
        ("550e8400e29b41d4a716446655440000", "uuid", True),
        ("no", "uuid", False),
        ({"lon": 1, "lat": 2.5}, "geo", True),
        ({"lon": 1000, "lat": 2}, "geo", False),
        (None, "keyword", False),
        ([], "keyword", False),
        ({"x": 1}, "of a later release", True),
    ],
)
def test_an_index_holds_values_of_its_own_type_alone(value: Any, kind: str, expected: bool) -> None:
    """As a Qdrant 1.16.3 does, see ``tests/integration/test_qdrant_schema.py``."""
    assert is_held_by_index({"f": value}, "f", kind) is expected


def test_paths_lead_into_objects_and_lists_as_the_server_spells_them() -> None:
    assert values_at({"a": {"b": ["x", None]}}, "a.b") == ["x"]
    assert values_at({"a": [{"b": "x"}, {"c": 1}, {"b": ["y"]}]}, "a[].b") == ["x", "y"]
    assert values_at({"a": [{"b": "x"}]}, "a.b") == values_at({"a": {"b": "x"}}, "a[].b") == []
