"""A version that exists already is deployed: it gets what was written to the live collection since
it was built, if that is the truth. Other collections are deployed as they are."""

from typing import Any

from sqlalchemy import select

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.database.models import EventRow
from qdrant_rollouts.core.deployments.commands import start_rollback
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.ports import Embedder, Point
from tests.two_versions import (
    OTHER_SIZE,
    VECTOR,
    change,
    content,
    declare_live,
    sides,
)
from tests.world import World, texts


def deploy_winner(world: World, **given: Any) -> dict[str, Any]:
    control, treatment = sides(world)
    deployment = world.deploy("docs", collection=treatment, **given)
    world.run(until=world.at(deployment, "switch"))
    change(world, control)
    world.run()
    return world.status(deployment)


def test_a_version_that_is_deployed_has_the_last_writes(versions: World) -> None:
    control, treatment = sides(versions)
    status = deploy_winner(versions)
    assert status["status"] == "live", status["message"]
    assert versions.store.aliases()["docs"] == treatment
    assert content(versions, treatment) == content(versions, control)
    versions.store.delete(treatment, [11])
    start_rollback(versions.services, "docs", actor="anna")
    versions.run()
    assert versions.store.aliases()["docs"] == control
    assert content(versions, treatment) == content(versions, control)


def test_what_was_written_around_the_switch_is_brought_over_by_the_watch(versions: World) -> None:
    control, treatment = sides(versions)
    deployment = versions.deploy("docs", collection=treatment)
    versions.run(until=versions.at(deployment, "soak"))
    change(versions, control)
    versions.run()
    assert versions.status(deployment)["status"] == "live"
    assert versions.step(deployment, "soak")["output"]["late"]["healed"] == 4
    assert content(versions, treatment) == content(versions, control)


def test_a_version_is_canaried_and_gets_what_is_written_between_two_looks(
    versions: World,
) -> None:
    control, treatment = sides(versions)
    stages = [{"percentage": 5, "duration_minutes": 60}]
    declare_live(versions, canary={"stages": stages})
    deployment = versions.deploy("docs", collection=treatment, strategy="canary")
    versions.run(until=versions.at(deployment, "shift"))
    change(versions, control)
    for _ in range(6):
        knock = versions.broker.take_next()
        assert knock is not None
        versions.turn(knock)
    assert versions.status(deployment)["status"] == "running"
    assert content(versions, treatment) == content(versions, control)


def test_a_version_is_deployed_as_it_is_where_the_operator_says_so(versions: World) -> None:
    control, treatment = sides(versions)
    status = deploy_winner(versions, options={"writes": "none"})
    assert status["status"] == "live", status["message"]
    assert 77 not in content(versions, treatment)
    assert [step["name"] for step in status["steps"]] == ["validate", "switch", "soak"]
    assert control != treatment


def test_a_collection_of_somebody_else_is_deployed_as_it_is_and_that_is_said(
    versions: World,
) -> None:
    control, treatment = sides(versions)
    versions.store.create("theirs", versions.store.schema(treatment), {})
    versions.store.upsert("theirs", versions.store.scroll(treatment, None, 100, vectors=True)[0])
    deployment = versions.deploy("docs", collection="theirs")
    versions.run(until=versions.at(deployment, "switch"))
    before = content(versions, "theirs")
    change(versions, control)
    versions.run()
    assert versions.status(deployment)["status"] == "live", versions.status(deployment)["message"]
    assert content(versions, "theirs") == before
    assert "no deployment of docs has built it" in warnings(versions)[0]


def warnings(world: World) -> list[str]:
    with world.services.sessions() as session:
        query = select(EventRow.detail).where(EventRow.event == "warning")
        return [one for one in session.scalars(query) if "does not get what is" in one]


# --- what could cost data -------------------------------------------------------------------------


def open_nothing(_: Any) -> Embedder:
    raise Unavailable("the model is away")


def add_many(world: World, collection: str) -> None:
    ids = range(1000, 1150)
    world.store.upsert(
        collection, [Point(id, VECTOR[:OTHER_SIZE], {"id": id, "text": "more"}) for id in ids]
    )


def test_a_version_whose_model_is_away_is_not_switched_to_without_the_writes(
    versions: World,
) -> None:
    control, treatment = sides(versions)
    change(versions, control)
    deployment = versions.deploy("docs", collection=treatment)
    versions.change_services(embedder=open_nothing)
    for _ in range(9):
        knock = versions.broker.take_next()
        assert knock is not None
        versions.turn(knock)
    assert versions.step(deployment, "catch_up")["status"] in ("waiting", "running")
    assert versions.store.aliases()["docs"] == control
    versions.change_services(embedder=open_embedder)
    versions.run()
    assert versions.status(deployment)["status"] == "live"
    assert content(versions, treatment)[77]["text"] == "new"


def test_a_version_of_other_records_is_deployed_as_it_is(versions: World) -> None:
    control, _ = sides(versions)
    cleaned = versions.write("cleaned.jsonl", texts(30))
    built = versions.deploy("docs", strategy="build_only", source=cleaned)
    versions.run()
    green = str(versions.status(built)["green"])
    before = content(versions, green)
    deployment = versions.deploy("docs", collection=green)
    versions.run(until=versions.at(deployment, "switch"))
    change(versions, control)
    versions.run()
    assert versions.status(deployment)["status"] == "live", versions.status(deployment)["message"]
    assert content(versions, green) == before
    assert "it was not built from what docs shows" in warnings(versions)[0]


def test_a_version_that_was_only_built_gets_the_last_writes_when_it_is_deployed(
    versions: World,
) -> None:
    control, _ = sides(versions)
    built = versions.deploy("docs", strategy="build_only")
    versions.run()
    green = str(versions.status(built)["green"])
    change(versions, control)
    deployment = versions.deploy("docs", collection=green)
    versions.run()
    assert versions.status(deployment)["status"] == "live", versions.status(deployment)["message"]
    assert content(versions, green) == content(versions, control)


def test_who_goes_forward_is_not_told_to_roll_back(versions: World) -> None:
    control, treatment = sides(versions)
    add_many(versions, treatment)
    deployment = versions.deploy("docs", collection=treatment)
    versions.run()
    message = versions.status(deployment)["message"]
    assert "points may be lost" in message
    assert "`writes: none`" in message
    assert "rollouts rollback" not in message
    assert versions.store.aliases()["docs"] == control


def test_a_late_write_is_brought_over_although_the_new_version_has_grown(versions: World) -> None:
    control, treatment = sides(versions)
    deployment = versions.deploy("docs", collection=treatment)
    versions.run(until=versions.at(deployment, "soak"))
    add_many(versions, treatment)
    versions.store.upsert(control, [Point(77, VECTOR, {"id": 77, "text": "late"})])
    versions.run()
    late = versions.step(deployment, "soak")["output"]["late"]
    assert (late["healed"], late["fault"]) == (1, "")
    assert content(versions, treatment)[77]["text"] == "late"
