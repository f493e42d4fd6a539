"""One index with everything that its page shows first."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import AliasState, Deletion, Deployment
from qdrant_rollouts.core.errors import Unknown
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.operations.views.overview import fallback
from qdrant_rollouts.core.operations.views.overview.actions.indexes import actions_of_index
from qdrant_rollouts.core.operations.views.overview.run import why_busy
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

PageData = dict[str, Any]


def check_index_known(services: Services, alias: str, seen: StoreSnapshot) -> None:
    """Raises Unknown for an index that was never deployed, is not declared, and has no alias."""
    with services.sessions() as session:
        _check_known(session, alias, seen)


def _check_known(session: Session, alias: str, seen: StoreSnapshot) -> None:
    if alias in seen.declared or alias in (seen.aliases or {}):
        return
    if session.get(AliasState, alias) is not None:
        return
    deployed = select(Deployment.id).where(Deployment.alias == alias).limit(1)
    if session.scalars(deployed).first() is None:
        raise Unknown(f"nothing is known of an index {alias}")


def describe_index(services: Services, alias: str, seen: StoreSnapshot) -> PageData:
    """Returns what is running on one index, its rollback, and what can be done with it. Raises
    Unknown."""
    with services.sessions() as session:
        now = services.clock.now(session)
        state = session.get(AliasState, alias)
        live = state.desired if state else (seen.aliases or {}).get(alias)
        taken = why_busy(session, alias)
        _check_known(session, alias, seen)
        going = session.scalars(
            select(Deletion)
            .where(Deletion.alias == alias)
            .order_by(Deletion.finished_at.is_not(None), Deletion.id.desc())
        ).fetchmany(10)
        deletions = queries.describe_deletions(services, session, going)
    back = fallback.describe_way_back(services, alias, live, taken, seen)
    declared = seen.declared.get(alias)
    return {
        "now": as_iso(now),
        "alias": alias,
        "live": live,
        "rollback": back,
        "busy": taken,
        "deletions": deletions,
        "actions": actions_of_index(alias, taken, declared, back),
        "declared": declared.model_dump(mode="json", exclude_defaults=True) if declared else None,
    }
