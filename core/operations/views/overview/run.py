"""One deployment as a page shows it: its plan with finished and coming steps, what can be done, and
the ways back."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from qdrant_rollouts.core.collections.deletion import notices as deletion_notices
from qdrant_rollouts.core.collections.deletion.deletions import OPEN_STATUSES, find_last_deletions
from qdrant_rollouts.core.collections.deletion.notices import DeletionRules
from qdrant_rollouts.core.database.models import (
    Deletion,
    Deployment,
    RouteRow,
    SearcherRow,
    Version,
)
from qdrant_rollouts.core.deployments.alias_lock import check_alias_idle
from qdrant_rollouts.core.deployments.turns import name_place
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.operations.views.overview import fallback
from qdrant_rollouts.core.operations.views.overview.actions.deployments import actions_of_deployment
from qdrant_rollouts.core.operations.views.overview.progress import describe_progress
from qdrant_rollouts.core.operations.views.overview.situation import describe_situation
from qdrant_rollouts.core.operations.views.overview.situation.reading import (
    is_seen_gone,
    survey_surroundings,
)
from qdrant_rollouts.core.operations.views.overview.step_labels import label_step
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.routing.table import alive
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

PageData = dict[str, Any]

#: Phases of rollout-semantics section 1, by status.
_PHASES = {
    Status.PENDING: "progressing",
    Status.RUNNING: "progressing",
    Status.ROLLING_BACK: "progressing",
    Status.PAUSED: "paused",
    Status.NEEDS_OPERATOR: "degraded",
    Status.LIVE: "healthy",
    Status.COMPLETED: "healthy",
    Status.ROLLED_BACK: "healthy",
}


def describe_deployment(services: Services, deployment_id: str, seen: StoreSnapshot) -> PageData:
    """Returns the data of ``queries.get_deployment`` and, in addition: its situation, actions, the
    time left, collections, route, and the rollback light. Raises Refused for an id that fits none
    or several."""
    told = queries.get_deployment(services, deployment_id)
    with services.sessions() as session:
        now = services.clock.now(session)
        row = session.get_one(Deployment, told["id"], options=[selectinload(Deployment.steps)])
        around = survey_surroundings(session, row, told, now, seen)
        live = around.live
        left = around.eta
        rules = DeletionRules(seen.declared, services.store.embedded)
        shown = {
            "now": as_iso(now),
            "phase": _PHASES.get(row.status, "progressing"),
            "paused_for": row.paused_for,
            "place": name_place(row),
            "actions": actions_of_deployment(row),
            "eta": left,
            "route": _describe_route(session, row, now),
            "collections": _describe_collections(session, row, live, seen, rules),
            "live": live,
        }
        busy = why_busy(session, row.alias)
    back = fallback.describe_way_back(services, told["alias"], live, busy, seen)
    steps = [_add_step_estimate(step, left) for step in told["steps"]]
    return {
        **told,
        **shown,
        "situation": describe_situation(told, around),
        "rollback": back,
        "steps": steps,
    }


def why_busy(session: Session, alias: str) -> str:
    """Returns what is running on the alias, in words; empty if nothing."""
    try:
        check_alias_idle(session, alias)
    except Refused as error:
        return str(error)
    return ""


def _add_step_estimate(step: Mapping[str, Any], left: Mapping[str, Any] | None) -> PageData:
    name = label_step(step["name"], step["arguments"])
    expected = None
    if left:
        expected = left["steps"].get(name)
    return {
        **step,
        "label": name,
        "expected": expected,
        "reached": describe_progress(step["progress"]),
        "source": left["sources"].get(name) if left else None,
        "judgment": _judgment_of_step(step),
    }


def _judgment_of_step(step: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns what a stage of a canary measured: at the end, or so far."""
    found = step["output"] if "judgment" in step["output"] else step["progress"] or {}
    return found if "judgment" in found else None


def _describe_route(session: Session, row: Deployment, now: Any) -> PageData | None:
    """Returns the shares that are set, and how many search processes serve them, if they belong to
    this deployment."""
    route = session.get(RouteRow, row.alias)
    if route is None or route.deployment_id != row.id or route.green is None:
        return None
    serving = select(SearcherRow.version, SearcherRow.seen_at).where(
        SearcherRow.alias == row.alias, alive(now)
    )
    living = [(version, seen_at) for version, seen_at in session.execute(serving)]
    return {
        "share": route.share / 100,
        "shadow": route.shadow / 100,
        "green": route.green,
        "blue": route.blue,
        "changed_at": as_iso(route.changed_at),
        "known": len(living),
        "serving": sum(version >= route.version for version, _ in living),
        "heard_at": as_iso(max((seen_at for _, seen_at in living), default=None)),
    }


def _describe_collections(
    session: Session, row: Deployment, live: str | None, seen: StoreSnapshot, rules: DeletionRules
) -> list[PageData]:
    """Returns green, then blue: what each holds, whether it serves, when it will be deleted."""
    named = {"green": row.green, "blue": row.blue}
    names = [name for name in named.values() if name]
    versions = {
        one.collection: one
        for one in session.scalars(select(Version).where(Version.collection.in_(names)))
    }
    deletions = find_last_deletions(session, names)
    told = deletion_notices.describe_open_deletions(session, list(deletions.values()), rules)
    said = {one["collection"]: one["text"] for one in told.values()}
    return [
        {
            **_describe_collection(colour, name, versions.get(name), deletions.get(name), live),
            "said": said.get(name, ""),
            "gone": is_seen_gone(row, name, seen),
        }
        for colour, name in named.items()
        if name
    ]


def _describe_collection(
    colour: str, name: str, version: Version | None, deletion: Deletion | None, live: str | None
) -> PageData:
    facts = version.facts if version else {}
    return {
        "colour": colour,
        "name": name,
        "number": version.number if version else None,
        "points": facts.get("points"),
        "model": facts.get("model"),
        "live": name == live,
        "deletion": deletion.status if deletion else None,
        "delete_after": as_iso(deletion.due_at)
        if deletion and deletion.status in OPEN_STATUSES
        else None,
        "reason": deletion.reason if deletion else "",
    }
