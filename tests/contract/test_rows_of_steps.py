"""Rows that steps of another release have written, on both databases: older ones are gone on with,
newer ones left."""

from typing import Any

import pytest
from sqlalchemy import select, update

from qdrant_rollouts.core.database.models import StepRow
from qdrant_rollouts.core.database.step_data import FORM
from tests.contract.test_canary import STAGES, Users
from tests.world import World, texts


def serve(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), canary={"stages": STAGES})
    world.deploy("docs")
    world.run()


def forget_forms(world: World) -> None:
    """As the release before wrote them: it counted no forms."""
    with world.services.sessions.begin() as session:
        for row in session.scalars(select(StepRow)):
            row.state = {key: value for key, value in row.state.items() if key != "form"}
            row.output = {key: value for key, value in row.output.items() if key != "form"}


@pytest.mark.parametrize("strategy", ["blue_green", "canary"])
def test_a_deployment_that_the_release_before_has_begun_goes_on_at_each_of_its_turns(
    world: World, strategy: str
) -> None:
    serve(world)
    users = Users(world)
    deployment = world.deploy("docs", strategy=strategy)
    for _ in range(100):
        knock = world.broker.take_next()
        if knock is None:
            break
        users.search()
        forget_forms(world)
        world.turn(knock)
    seen = world.status(deployment)
    assert seen["status"] == "live", seen["message"]
    assert world.store.aliases() == {"docs": seen["green"]}


@pytest.mark.parametrize("written", ["state", "output"])
def test_what_a_newer_release_has_written_is_left_to_it_and_nothing_is_rolled_back(
    world: World, written: str
) -> None:
    serve(world)
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "populate"))
    step = {"state": "populate", "output": "create"}[written]
    newer: dict[str, Any] = {written: {"form": FORM + 1, "of_another_release": True}}
    with world.services.sessions.begin() as session:
        mine = StepRow.deployment_id == deployment, StepRow.name == step
        session.execute(update(StepRow).where(*mine).values(newer))
    before = world.status(deployment)
    knock = world.broker.take_next()
    assert knock is not None
    left = world.turn(knock)
    assert left.foreign
    assert f"form {FORM + 1}" in left.line
    assert world.status(deployment) == before


def test_nobody_is_shown_the_form(world: World) -> None:
    serve(world)
    shown = [step["output"] for step in world.status(_only(world))["steps"]]
    assert any(shown)
    assert not any("form" in output for output in shown)


def _only(world: World) -> str:
    with world.services.sessions() as session:
        return str(session.scalars(select(StepRow.deployment_id)).first())
