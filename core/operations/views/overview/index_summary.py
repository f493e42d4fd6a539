"""What the page of an index says first: what serves and since when, and what became of the last
rebuild; and when each version served."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from qdrant_rollouts.core.collections.lineage import read_numbers
from qdrant_rollouts.core.collections.serving_history import ROLLBACK, Period, read_periods
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.operations.views.overview import run
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

PageData = dict[str, Any]


def summarize_index(
    services: Services, alias: str, live: str | None, target: str | None, seen: StoreSnapshot
) -> PageData:
    """``target`` is the collection that a rollback leads to. ``periods``: when each collection
    served, by its name, the latest first."""
    with services.sessions() as session:
        periods = read_periods(session, alias)
        numbers = read_numbers(session, [name for name in (live, target) if name])
        last = session.scalars(
            select(Deployment.id)
            .where(
                Deployment.alias == alias,
                Deployment.kind == "rollout",
                Deployment.strategy != ROLLBACK,
            )
            .order_by(Deployment.created_at.desc(), Deployment.id)
            .limit(1)
        ).first()
    return {
        "serving": _describe_serving(live, periods, numbers),
        "last": None if last is None else _describe_last(services, last, seen),
        "target": numbers.get(target or ""),
        "periods": {name: _describe_periods(found) for name, found in periods.items()},
    }


def _describe_serving(
    live: str | None, periods: Mapping[str, list[Period]], numbers: Mapping[str, int]
) -> PageData | None:
    if live is None:
        return None
    current = periods.get(live, [Period(None)])[-1]
    return {
        "collection": live,
        "number": numbers.get(live),
        "since": as_iso(current.since),
        "deployment": current.deployment_id,
    }


def _describe_last(services: Services, id: str, seen: StoreSnapshot) -> PageData:
    told = run.describe_deployment(services, id, seen)
    return {
        "id": id,
        "status": told["status"],
        "number": told["number"],
        "begun": told["created_at"],
        "ended": told["finished_at"],
        "situation": told["situation"],
    }


def _describe_periods(found: Sequence[Period]) -> list[PageData]:
    return [
        {"since": as_iso(one.since), "until": as_iso(one.until), "deployment": one.deployment_id}
        for one in reversed(found)
    ]
