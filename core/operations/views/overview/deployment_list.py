"""Deployments of all kinds, newest first, a page at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import load_only

from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.deployments import places
from qdrant_rollouts.core.deployments.turns import find_current_step
from qdrant_rollouts.core.lifecycle import FINAL, Status
from qdrant_rollouts.core.operations.choices import check_choice
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.operations.views.overview.step_labels import label_step
from qdrant_rollouts.core.operations.views.paging import find_place
from qdrant_rollouts.core.services import Services

PageData = dict[str, Any]

PAGE_SIZE = 50
OUTCOMES = {
    "live": (Status.LIVE,),
    "completed": (Status.COMPLETED,),
    "rolled_back": (Status.ROLLED_BACK,),
    "running": tuple(status for status in Status if status not in FINAL),
    "needs_operator": (Status.NEEDS_OPERATOR,),
}


def list_deployment_page(
    services: Services, alias: str = "", outcome: str = "", page: int = 1
) -> PageData:
    """Returns deployments of all kinds, newest first, ``PAGE_SIZE`` at a time; in place of a page
    beyond the last one, the last. Raises Malformed for an unknown outcome."""
    chosen: list[ColumnElement[bool]] = []
    if alias:
        chosen = [Deployment.alias == alias]
    if outcome:
        check_choice("outcome", outcome, OUTCOMES)
        chosen.append(Deployment.status.in_(OUTCOMES[outcome]))
    query = select(Deployment).where(*chosen).order_by(Deployment.created_at.desc(), Deployment.id)
    query = query.options(load_only(*queries.SUMMARY_COLUMNS))
    with services.sessions() as session:
        total = session.scalar(select(func.count()).select_from(Deployment).where(*chosen)) or 0
        place = find_place(page, total, PAGE_SIZE)
        before = (place.page - 1) * PAGE_SIZE
        rows = session.scalars(query.limit(PAGE_SIZE).offset(before)).all()
        open_ = {row.id: row.status for row in rows if row.status not in FINAL}
        steps = _label_current_steps(open_, session.scalars(_select_steps(list(open_))))
        queue = places.queue(session, open_)
        aliases = list(
            session.scalars(select(Deployment.alias).distinct().order_by(Deployment.alias))
        )
    listed = [
        {**queries.summarize_deployment(row, queue), "step": steps.get(row.id, "")} for row in rows
    ]
    return {
        "deployments": listed,
        "place": place,
        "aliases": aliases,
        "outcomes": list(OUTCOMES),
    }


def _select_steps(ids: Sequence[str]) -> Any:
    return (
        select(StepRow)
        .where(StepRow.deployment_id.in_(ids))
        .order_by(StepRow.deployment_id, StepRow.position)
    )


def _label_current_steps(statuses: Mapping[str, Status], rows: Any) -> dict[str, str]:
    """Returns the step that each deployment is at, by deployment."""
    found: dict[str, list[StepRow]] = {}
    for row in rows:
        found.setdefault(row.deployment_id, []).append(row)
    current = {id: find_current_step(statuses[id], steps) for id, steps in found.items()}
    return {
        id: label_step(step.name, step.arguments)
        for id, step in current.items()
        if step is not None
    }
