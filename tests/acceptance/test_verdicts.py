"""Between a verdict and the switch, the worker that would switch is killed. The next worker reads
the verdict again. Each story is told on both databases at the same time."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Deployment, StepRow
from tests.acceptance.conftest import Houses
from tests.acceptance.installation import Installation, blue, everywhere
from tests.acceptance.traps import HOLD, LOSE

#: A place in the work of the bulk worker, which does not switch.
IN_THE_GATE = "search_many.before"


@contextmanager
def judged_and_not_switched(house: Installation, alias: str) -> Iterator[Deployment]:
    """A deployment whose gate has passed and whose next step is the switch, while no worker could
    switch; a new worker starts afterwards. The worker that would switch is dead before the gate has
    passed: afterwards the switch could be faster than the test."""
    house.make_live(alias)
    house.traps.set(alias, IN_THE_GATE, HOLD)
    house.traps.set(alias, "knock-switch.before", LOSE)  # the sweep knocks again
    house.deploy(alias)
    house.sprung(alias, IN_THE_GATE)
    house.worker.kill()
    try:
        house.traps.release(alias, IN_THE_GATE)
        # Between the two, the bulk worker catches up.
        house.until(lambda: "catch_up.done" in events(house, alias), 60, f"the verdict of {alias}")
        row = house.deployment(alias)
        assert row is not None
        yield row
    finally:
        house.run(house.worker)


def events(house: Installation, alias: str) -> list[str]:
    return [event.event for event in house.events(alias)]


def test_a_verdict_outlives_the_worker_that_would_have_switched(houses: Houses):
    everywhere(houses, outlive)


def outlive(house: Installation) -> None:
    alias = "outlives"
    with judged_and_not_switched(house, alias) as waiting:
        assert house.aliases()[alias] == blue(alias)
    row = house.ended(alias)
    assert (row.status, house.aliases()[alias]) == ("live", waiting.green)
    assert events(house, alias).count("alias.switched") == 1
    assert events(house, alias).count("validate.done") == 1


def test_a_verdict_that_is_of_an_earlier_attempt_by_then_opens_nothing(houses: Houses):
    everywhere(houses, overtake)


def overtake(house: Installation) -> None:
    alias = "overtaken"
    with judged_and_not_switched(house, alias) as waiting, Session(house.engine) as session:
        step = select(StepRow).where(
            StepRow.deployment_id == waiting.id, StepRow.name == "validate"
        )
        session.scalars(step).one().attempt += 1
        session.commit()
    row = house.ended(alias)
    assert row.status == "rolled_back"
    assert f"the gate has not passed for {waiting.green}" in row.message
    assert house.aliases()[alias] == blue(alias)
    assert "alias.switched" not in events(house, alias)
    assert waiting.green not in house.collections()


def test_a_collection_that_was_lost_between_its_verdict_and_the_switch_is_not_switched_to(
    houses: Houses,
):
    everywhere(houses, lose)


def lose(house: Installation) -> None:
    alias = "lost"
    with judged_and_not_switched(house, alias) as waiting:
        house.web.delete(f"/collections/{waiting.green}").raise_for_status()
    row = house.ended(alias)
    assert (row.status, house.aliases()[alias]) == ("rolled_back", blue(alias))
    assert "does not exist any more" in row.message
