"""What happens to the old collection after its grace period, in a real installation."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Deletion
from tests.acceptance.installation import Installation, blue

#: Long enough to put an alias on the old collection, and short enough to wait for.
GRACE = {"grace_period_minutes": 0.03}


def deletion(house: Installation, collection: str) -> Deletion | None:
    with Session(house.engine) as session:
        return session.scalars(
            select(Deletion).where(Deletion.collection == collection)
        ).one_or_none()


def ended(house: Installation, collection: str) -> Deletion:
    def over() -> Deletion | None:
        row = deletion(house, collection)
        return row if row and row.finished_at else None

    return house.until(over, 60, f"the end of the deletion of {collection}")


def test_an_old_collection_that_got_an_alias_by_hand_is_not_deleted_and_the_reason_is_told(
    house: Installation,
):
    house.make_live("kept", "dropped")
    for alias in ("kept", "dropped"):
        house.deploy(alias, **GRACE)
    house.until(lambda: deletion(house, blue("kept")), 60, "the deletion to be written down")
    house.point("mine", blue("kept"))

    assert ended(house, blue("dropped")).status == "deleted"
    assert blue("dropped") not in house.collections()
    row = ended(house, blue("kept"))
    assert row.status == "cancelled"
    assert "alias mine points to it" in row.reason
    assert blue("kept") in house.collections()
    assert house.aliases()["mine"] == blue("kept")
