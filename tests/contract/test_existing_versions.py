"""A version that exists already is deployed: it gets what was written to the live collection since
it was built, if that is the truth. Other collections are deployed as they are."""

from typing import Any

import pytest
from sqlalchemy import select

from qdrant_rollouts.core.database.models import EventRow
from qdrant_rollouts.core.deployments.commands import start_rollback
from tests.saved_worlds import SavedWorlds
from tests.two_versions import build_two_versions, change, content, declare_live, sides
from tests.world import World


@pytest.fixture
def versions(world: World, saved_worlds: SavedWorlds) -> World:
    saved_worlds.begin(world, build_two_versions)
    return world


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
