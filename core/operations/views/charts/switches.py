"""When an alias moved, and whereto."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers.charts import AliasMove
from qdrant_rollouts.core.collections.lineage import read_numbers
from qdrant_rollouts.core.collections.serving_history import ROLLBACK
from qdrant_rollouts.core.database.models import MOVED, Deployment, EventRow
from qdrant_rollouts.core.times import as_iso

#: A chart marks at most so many.
MOST_SWITCHES = 40


def list_switches(
    session: Session, alias: str, since: datetime, until: datetime | None = None
) -> list[AliasMove]:
    """Returns the last moves of the alias, the earliest first. Each has one event, whoever moved
    it: a step, the undo of one, or a person."""
    query = (
        select(EventRow.at, EventRow.detail, Deployment)
        .outerjoin(Deployment, Deployment.id == EventRow.deployment_id)
        .where(EventRow.alias == alias, MOVED, EventRow.at >= since)
        .order_by(EventRow.at.desc())
        .limit(MOST_SWITCHES)
    )
    if until is not None:
        query = query.where(EventRow.at < until)
    moves = [
        (at, _find_target(detail, run), run) for at, detail, run in session.execute(query).all()
    ]
    numbers = read_numbers(session, [target for _, target, _ in moves])
    return [
        {
            "at": as_iso(at),
            "version": numbers.get(target),
            "collection": target,
            "kind": _name_kind(target, run),
        }
        for at, target, run in reversed(moves)
    ]


def _find_target(detail: str, run: Deployment | None) -> str:
    """Returns where the alias leads; an event has that at the end of its text."""
    for name in (run.green, run.blue) if run is not None else ():
        if name is not None and detail.endswith(f"-> {name}"):
            return name
    return detail.rpartition("-> ")[2]


def _name_kind(target: str, run: Deployment | None) -> str:
    if run is None:
        return "by_hand"
    if run.strategy == ROLLBACK or target == run.blue:
        return "rollback"
    return "switch"
