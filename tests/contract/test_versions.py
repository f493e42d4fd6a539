"""What is known of each version, in its row and in the collection's own metadata."""

from typing import Any

import pytest

from qdrant_rollouts.core.collections import lineage, versions
from qdrant_rollouts.core.collections import version_facts as facts
from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.collections.stamps import FACTS_KEY, STAMP_KEY, Stamp, read_stamp
from qdrant_rollouts.core.collections.version_names import find_version
from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.errors import Refused, Unknown
from tests.world import DIMENSION, EMBEDDING, World, texts


def row(world: World, collection: str) -> dict[str, Any]:
    with world.services.sessions() as session:
        return facts.version_as_dict(session.get_one(Version, collection))


def carried(world: World, collection: str) -> dict[str, Any]:
    facts: dict[str, Any] = world.store.metadata(collection)[FACTS_KEY]
    return facts


def deployed(world: World, count: int = 30, **arguments: Any) -> str:
    """The green of a deployment of ``docs`` that has come to its end."""
    world.write("docs.jsonl", texts(count))
    deployment = world.deploy("docs", **arguments)
    world.run()
    return str(world.status(deployment)["green"])


@pytest.fixture
def docs(world: World) -> World:
    world.declare("docs", source="jsonl:docs.jsonl", on_bad_record="skip")
    return world


def test_a_version_knows_what_it_was_made_of_and_how_it_was_judged(docs: World) -> None:
    docs.write("docs.jsonl", [*texts(30), {"id": 99}])
    deployment = docs.deploy("docs")
    docs.run()
    green = docs.status(deployment)["green"]
    facts = row(docs, green)
    model = {
        "model": EMBEDDING["model"],
        "dtype": "float32",
        "revision": None,
        "template": "{text}",
        "chunk": None,
    }
    made = {"alias": "docs", "number": 1, "parent": None, "deployment": deployment, "actor": "anna"}
    counts = {"records": 31, "points": 30, "bad": 1, "reused": 0, "embedded": 30, "truncated": 0}
    assert (
        facts.items() >= {**model, **made, **counts, "dimension": DIMENSION, "reads": None}.items()
    )
    assert facts["source"] == docs.services.source("jsonl:docs.jsonl").address
    assert facts["fingerprint"] == docs.services.source("jsonl:docs.jsonl").fingerprint()
    assert facts["gate"]["verdict"] == "pass"
    assert facts["gate"]["failed"] == facts["gate"]["inconclusive"] == []
    assert facts["served"]["deployment"] == deployment


def test_the_collection_carries_what_its_row_says(docs: World) -> None:
    first = deployed(docs)
    second = deployed(docs, 40)
    for collection in (first, second):
        assert carried(docs, collection) == row(docs, collection)
    assert carried(docs, second)["parent"] == first
    assert (carried(docs, second)["reused"], carried(docs, second)["embedded"]) == (30, 10)


def test_the_facts_leave_the_stamp_as_it_was(docs: World) -> None:
    green = deployed(docs)
    stamp = read_stamp(docs.store, green)
    assert stamp is not None
    assert stamp == Stamp(**docs.store.metadata(green)[STAMP_KEY])
    assert stamp.identity == carried(docs, green)["identity"]


def test_every_turn_twice_leaves_the_facts_of_every_turn_once(docs: World) -> None:
    docs.write("docs.jsonl", texts(30))
    deployment = docs.deploy("docs")
    seen = []
    while knock := docs.broker.take_next():
        docs.turn(knock)
        before = row(docs, docs.status(deployment)["green"])
        docs.turn(knock)
        seen.append(before == row(docs, docs.status(deployment)["green"]))
    assert all(seen)
    assert carried(docs, docs.status(deployment)["green"])["points"] == 30


def test_a_version_that_failed_says_which_checks_failed(docs: World) -> None:
    deployed(docs)
    docs.write("docs.jsonl", texts(30))
    failed = docs.deploy("docs", queries=["zebra crossing"])
    docs.run()
    facts = row(docs, docs.status(failed)["green"])
    assert facts["gate"]["verdict"] == "block"
    assert "min_top_score" in facts["gate"]["failed"]
    assert "served" not in facts


def test_the_schemas_hash_changes_with_a_setting_and_not_with_its_place() -> None:
    one = {"params": {"vectors": {"size": 4, "distance": "Dot"}}, "payload_schema": {}}
    turned = {"payload_schema": {}, "params": {"vectors": {"distance": "Dot", "size": 4}}}
    other = {"params": {"vectors": {"size": 5, "distance": "Dot"}}, "payload_schema": {}}
    assert versions.schema_hash(one) == versions.schema_hash(turned) != versions.schema_hash(other)


def test_no_credentials_of_a_source_are_kept() -> None:
    facts = versions.facts_of_request("anna", "sitemap:https://anna:secret@example.org/sitemap.xml")
    assert facts == {"actor": "anna", "source": "sitemap:https://example.org/sitemap.xml"}


def test_stamps_with_fewer_and_with_more_keys_are_read() -> None:
    assert Stamp.of({STAMP_KEY: {"deployment": "d", "alias": "docs", "number": 3}}) == Stamp(
        "d", "docs", 3
    )
    newer = {**Stamp("d", "docs", 3).as_metadata()[STAMP_KEY], "of_a_later_release": 1}
    assert Stamp.of({STAMP_KEY: newer}) == Stamp("d", "docs", 3)
    assert Stamp.of({}) is None


# --- as they stand now ----------------------------------------------------------------------------


def states(world: World) -> list[tuple[int | None, str]]:
    return [
        (seen["number"], seen["state"])
        for seen in lineage.list_versions(world.services, "docs")["versions"]
    ]


def test_the_versions_of_an_index_are_told_newest_first_with_the_live_one_marked(
    docs: World,
) -> None:
    first = deployed(docs)
    second = deployed(docs, 40)
    seen = lineage.list_versions(docs.services, "docs")
    assert seen["alias"] == "docs"
    assert [(one["collection"], one["live"]) for one in seen["versions"]] == [
        (second, True),
        (first, False),
    ]
    assert [one["points"] for one in seen["versions"]] == [40, 30]
    assert states(docs) == [(2, "live"), (1, "deletion due")]
    assert seen["versions"][1]["delete_after"] is not None


def test_a_version_is_building_then_live_and_the_one_before_it_goes(docs: World) -> None:
    deployed(docs)
    docs.write("docs.jsonl", texts(40))
    docs.deploy("docs")
    docs.run(
        turns=200,
        until=lambda: states(docs)[0][1] != "building" or len(docs.store.collections()) == 2,
    )
    assert states(docs) == [(2, "building"), (1, "live")]
    docs.run()
    assert states(docs) == [(2, "live"), (1, "deletion due")]
    with docs.services.sessions.begin() as session:
        deletions.cancel_deletion(
            session,
            docs.clock.moment,
            find_version(docs.services, "docs", "1").collection,
            "no",
        )
    assert states(docs) == [(2, "live"), (1, "retained")]
    docs.store.drop(find_version(docs.services, "docs", "1").collection)
    assert states(docs) == [(2, "live"), (1, "gone")]


def test_a_version_whose_deployment_was_rolled_back_has_failed(docs: World) -> None:
    deployed(docs)
    docs.deploy("docs", queries=["zebra crossing"])
    docs.run()
    assert states(docs) == [(2, "failed"), (1, "live")]


def test_a_live_collection_of_somebody_else_is_told_without_a_number(docs: World) -> None:
    docs.store.create(
        "theirs", {"params": {"vectors": {"size": 4, "distance": "Dot"}}, "payload_schema": {}}, {}
    )
    docs.store.point_alias("docs", "theirs")
    assert states(docs) == [(None, "live")]


def test_versions_of_an_unknown_alias_are_refused(docs: World) -> None:
    with pytest.raises(Refused, match="no versions of nodocs; known aliases: none"):
        lineage.list_versions(docs.services, "nodocs")


def test_a_version_is_found_by_number_and_by_name_and_the_rest_is_refused(docs: World) -> None:
    green = deployed(docs)
    assert find_version(docs.services, "docs", "1").collection == green
    assert find_version(docs.services, "docs", green).number == 1
    assert find_version(docs.services, "docs", "live").collection == green
    with pytest.raises(Refused, match=f"no version '7'; the latest: 1 \\({green}\\)"):
        find_version(docs.services, "docs", "7")
    with pytest.raises(Unknown, match="nothing serves empty; its latest versions: none"):
        find_version(docs.services, "empty", "live")
    docs.store.create("theirs", docs.store.schema(green), {})
    docs.store.point_alias("docs", "theirs")
    with pytest.raises(Unknown, match=r"served by theirs, .* `rollouts adopt docs` makes it one"):
        find_version(docs.services, "docs", "live")
    docs.store.point_alias("other", green)
    with pytest.raises(Unknown, match=f"{green} is version 1 of docs, not of other; `rollouts ver"):
        find_version(docs.services, "other", "live")
