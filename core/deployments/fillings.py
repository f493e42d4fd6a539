"""What earlier deployments of an index took to fill their collections, and what was expected of
them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.database.plan_rows import PlanRow
from qdrant_rollouts.core.database.step_data import read_data, why_not_known
from qdrant_rollouts.core.database.step_traits import StepTraits, has_trait
from qdrant_rollouts.core.lifecycle import StepStatus
from qdrant_rollouts.core.statistics.extrapolation import Measured

#: How many earlier deployments say how fast the next one is, and among how many these are found.
_PACES = 5
_LOOKED_AT = 50
_FILLED = (StepStatus.DONE, StepStatus.UNDONE)


@dataclass(frozen=True, slots=True)
class PastFilling:
    """``models`` are the names of those that embedded. ``estimate`` as in ``PlanRow``; None if
    nothing was expected."""

    deployment_id: str
    filled_at: datetime
    way: str | None
    models: frozenset[str]
    took: Measured
    estimate: Mapping[str, Any] | None


def list_fillings(
    session: Session, alias: str, limit: int, *, planned: bool = False
) -> list[PastFilling]:
    """Returns the last fillings that were completed, newest first; only the ``planned`` ones, if
    asked for. Those that only a newer release can read are left out."""
    query = (
        select(Deployment, StepRow, PlanRow.estimate)
        .join(StepRow, StepRow.deployment_id == Deployment.id)
        .join(PlanRow, PlanRow.deployment_id == Deployment.id, isouter=not planned)
        .where(
            Deployment.alias == alias,
            Deployment.kind == "rollout",
            has_trait(_fills_from_source),
            StepRow.status.in_(_FILLED),
            StepRow.started_at.is_not(None),
            StepRow.finished_at.is_not(None),
        )
        .order_by(StepRow.finished_at.desc())
        .limit(limit)
    )
    return [
        _read_filling(row, step, estimate)
        for row, step, estimate in session.execute(query)
        if not why_not_known(step.output)
    ]


def list_paces(
    session: Session, alias: str, way: str | None, models: Collection[str]
) -> list[Measured]:
    """Returns what the last ones took that were filled in this way and with the same models."""
    past = list_fillings(session, alias, _LOOKED_AT)
    alike = [one.took for one in past if one.way == way and one.models == frozenset(models)]
    return alike[:_PACES]


def _fills_from_source(step: StepTraits) -> bool:
    return step.fills_green and not step.catches_up and not step.makes_green


def _read_filling(
    row: Deployment, step: StepRow, estimate: Mapping[str, Any] | None
) -> PastFilling:
    filled = read_data(Filling, step.output)
    assert step.started_at is not None
    assert step.finished_at is not None
    written = filled.expected if filled.written is None else filled.written
    return PastFilling(
        deployment_id=row.id,
        filled_at=step.finished_at,
        way=filled.way,
        models=frozenset(row.models),
        took=Measured(
            records=(written or 0) + (filled.bad or 0),
            texts=filled.embedded or 0,
            seconds=(step.finished_at - step.started_at).total_seconds(),
        ),
        estimate=estimate,
    )
