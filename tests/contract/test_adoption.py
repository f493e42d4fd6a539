"""Collections that another program made are taken under management, and their points do not
change."""

from typing import Any

import pytest

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.collections import lineage
from qdrant_rollouts.core.collections.stamps import FACTS_KEY, STAMP_KEY, read_stamp
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.deployments.commands import adoption
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.ports import Point, Schema
from qdrant_rollouts.core.routing import Router
from tests.contract.test_engine import Failing
from tests.contract.test_keeping import scheduled
from tests.world import DIMENSION, EMBEDDING, World, texts

SCHEMA: Schema = {
    "params": {"vectors": {"size": DIMENSION, "distance": "Cosine"}},
    "payload_schema": {},
}


@pytest.fixture
def theirs(world: World) -> World:
    """Collection ``theirs`` behind ``docs``, made by somebody else with the model that is
    declared."""
    fill(world, "theirs")
    world.store.point_alias("docs", "theirs")
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    return world


def fill(world: World, collection: str, schema: Schema = SCHEMA, **embedding: Any) -> None:
    model = open_embedder(EmbeddingSpec.model_validate({**EMBEDDING, **embedding}))
    made = model.documents([record["text"] for record in texts(30)])
    world.store.create(collection, schema, {"owner": "them"})
    world.store.upsert(
        collection,
        [
            Point(record["id"], vector, record)
            for record, vector in zip(texts(30), made, strict=True)
        ],
    )


def adopt(world: World, **arguments: Any) -> dict[str, Any]:
    return adoption.adopt_collection(world.services, "docs", actor="anna", **arguments)


def rows(world: World) -> int:
    with world.services.sessions() as session:
        return session.query(Version).count()


def test_the_collection_behind_an_alias_becomes_its_first_version(theirs: World) -> None:
    before = theirs.store.scroll("theirs", None, 100)
    answer = adopt(theirs)
    assert answer == {
        "alias": "docs",
        "collection": "theirs",
        "number": 1,
        "stamped": True,
        "model": EMBEDDING["model"],
        "agreed": {"of": 30, "alike": 30},
    }
    seen = lineage.list_versions(theirs.services, "docs")["versions"]
    assert [
        (one["number"], one["state"], one["deployment"], one["adopted_by"]) for one in seen
    ] == [(1, "live", None, "anna")]
    assert str(before) == str(theirs.store.scroll("theirs", None, 100))


def test_its_metadata_gains_a_stamp_and_keeps_what_was_there(theirs: World) -> None:
    adopt(theirs)
    metadata = theirs.store.metadata("theirs")
    assert metadata["owner"] == "them"
    assert (metadata[FACTS_KEY]["points"], metadata[FACTS_KEY]["dimension"]) == (30, DIMENSION)
    stamp = read_stamp(theirs.store, "theirs")
    assert stamp is not None
    assert stamp.spec == EmbeddingSpec.model_validate(EMBEDDING)
    assert (stamp.number, stamp.deployment) == (1, "")


def test_an_adopted_version_is_searched_with_its_own_model_whatever_is_declared_later(
    theirs: World,
) -> None:
    adopt(theirs)
    theirs.declare("docs", embedding={**EMBEDDING, "model": "hashing:32"})
    with Router(theirs.services) as router:
        found = router.search("docs", "text 3 about asyncio and python", limit=1)
    assert found.results[0].payload["id"] == 3


def test_an_adopted_version_is_replaced_and_rolled_back_to_like_any_other(theirs: World) -> None:
    adopt(theirs)
    deployment = theirs.deploy("docs")
    theirs.run()
    status = theirs.status(deployment)
    assert (status["status"], status["number"], status["blue"]) == ("live", 2, "theirs")
    assert set(scheduled(theirs)) == {"theirs"}
    assert queries.list_aliases(theirs.services)["docs"] == status["green"]


def test_what_is_ours_is_not_adopted_again(theirs: World) -> None:
    adopt(theirs)
    with pytest.raises(Refused, match="theirs is ours already: version 1 of docs"):
        adopt(theirs)
    theirs.deploy("docs")
    theirs.run()
    with pytest.raises(Refused, match="is ours already: version 2 of docs"):
        adopt(theirs)


def test_an_adoption_that_stopped_half_way_can_be_asked_for_again(theirs: World) -> None:
    theirs.over(Failing(theirs.store, "set_metadata"))
    with pytest.raises(Unavailable):
        adopt(theirs)
    assert rows(theirs) == 0
    theirs.over(theirs.store._store)  # type: ignore[attr-defined]
    assert adopt(theirs)["number"] == 1


def test_a_collection_whose_database_was_lost_keeps_its_stamp_number_and_facts(
    theirs: World,
) -> None:
    theirs.deploy("docs")
    theirs.run()
    green = theirs.store.aliases()["docs"]
    before = theirs.store.metadata(green)
    with theirs.services.sessions.begin() as session:
        session.delete(session.get_one(Version, green))
    assert adopt(theirs)["number"] == before[STAMP_KEY]["number"]
    after = theirs.store.metadata(green)
    assert after[STAMP_KEY] == before[STAMP_KEY]
    assert after[FACTS_KEY]["fingerprint"] == before[FACTS_KEY]["fingerprint"]


def test_a_declared_model_of_another_size_is_refused_naming_both(theirs: World) -> None:
    theirs.declare("docs", embedding={**EMBEDDING, "model": "hashing:32"})
    with pytest.raises(
        Refused, match=f"vectors of {DIMENSION} numbers, and hashing:32, .*makes 32"
    ):
        adopt(theirs)
    assert (rows(theirs), theirs.store.metadata("theirs")) == (0, {"owner": "them"})


def test_a_declared_template_that_makes_other_vectors_is_refused_unless_it_is_trusted(
    theirs: World,
) -> None:
    theirs.declare(
        "docs", embedding={**EMBEDDING, "text": "{id} and some other words before: {text}"}
    )
    with pytest.raises(Refused, match="of 30 records 0 agree"):
        adopt(theirs)
    assert rows(theirs) == 0
    assert adopt(theirs, trust=True)["agreed"] == {"of": 30, "alike": 0}


def test_texts_that_are_not_stored_cannot_be_compared_and_that_is_told(theirs: World) -> None:
    theirs.declare("docs", embedding={**EMBEDDING, "text": "{body}"})
    assert adopt(theirs)["agreed"] == {"of": 0, "alike": 0}


def test_without_a_declared_model_there_is_a_row_and_no_stamp(theirs: World) -> None:
    theirs.indexes.clear()
    answer = adopt(theirs)
    assert (answer["stamped"], answer["model"], answer["agreed"]) == (False, None, None)
    assert read_stamp(theirs.store, "theirs") is None
    assert theirs.store.metadata("theirs")[FACTS_KEY]["number"] == 1
    with pytest.raises(Refused, match="is ours already"):
        adopt(theirs)


def test_a_version_without_a_stamp_gets_one_when_its_model_is_declared(theirs: World) -> None:
    declared = theirs.indexes.pop("docs")
    adopt(theirs)
    theirs.indexes["docs"] = declared
    answer = adopt(theirs)
    assert (answer["number"], answer["stamped"], answer["agreed"]) == (
        1,
        True,
        {"of": 30, "alike": 30},
    )
    assert rows(theirs) == 1
    with pytest.raises(Refused, match="is ours already"):
        adopt(theirs)


def test_a_collection_that_was_deployed_as_it_was_gets_its_stamp_by_adoption(theirs: World) -> None:
    fill(theirs, "newer")
    deployment = theirs.deploy(
        "docs", collection="newer", options={"validation": {"checks": {"model_stamp": False}}}
    )
    theirs.run()
    assert theirs.store.aliases()["docs"] == "newer", theirs.status(deployment)["message"]
    assert adopt(theirs)["stamped"]
    assert (
        lineage.list_versions(theirs.services, "docs")["versions"][0]["model"] == EMBEDDING["model"]
    )


def test_another_collection_than_the_alias_points_to_can_be_adopted(theirs: World) -> None:
    fill(theirs, "older")
    assert adopt(theirs, collection="older")["collection"] == "older"
    assert lineage.list_versions(theirs.services, "docs")["versions"][-1]["state"] == "retained"


def test_of_several_vectors_the_declared_one_is_meant(theirs: World) -> None:
    vectors = {name: {"size": DIMENSION, "distance": "Cosine"} for name in ("body", "title")}
    theirs.store.create("named", {"params": {"vectors": vectors}, "payload_schema": {}}, {})
    with pytest.raises(Refused, match=r"has vectors body, title; say which in embedding\.vector"):
        adopt(theirs, collection="named")
    theirs.declare("docs", embedding={**EMBEDDING, "vector": "title"})
    adopt(theirs, collection="named")
    stamp = read_stamp(theirs.store, "named")
    assert stamp is not None
    assert stamp.vector == "title"


@pytest.mark.parametrize(
    ("alias", "collection", "said"),
    [
        ("nodocs", None, "alias nodocs does not exist; known: docs"),
        ("docs", "gone", "collection gone does not exist"),
    ],
)
def test_what_is_not_there_cannot_be_adopted(
    theirs: World, alias: str, collection: str | None, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        adoption.adopt_collection(theirs.services, alias, actor="anna", collection=collection)


def test_nothing_is_adopted_while_a_deployment_is_under_way(theirs: World) -> None:
    theirs.deploy("docs")
    with pytest.raises(Refused, match="one at a time"):
        adopt(theirs)
