"""A rebuild that waits for a person because its gate, or a stage of its canary, cannot tell, and
the time that comes next.

Rule: the next run takes the place of such a rebuild. It reads the source again and judges again, so
what nobody could tell is either gone or found once more, and of a newer version. One transaction
ends the older run, asks the engine to take its deployment back, and writes the next run. What a
person has touched or uses is never replaced.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.config.index_file import RebuildSpec, ScheduleSpec
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deployment, EventRow
from qdrant_rollouts.core.database.schedule_rows import ACTOR, ScheduleRun
from qdrant_rollouts.core.database.step_data import read_missing
from qdrant_rollouts.core.database.step_traits import traits_of
from qdrant_rollouts.core.deployments import engine
from qdrant_rollouts.core.deployments.turns import current_step
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.lifecycle import FINAL, Event, RunStatus, Status
from qdrant_rollouts.core.services import Services


def replace_paused(
    services: Services,
    session: Session,
    now: datetime,
    before: ScheduleRun,
    nominal: datetime,
    spec: ScheduleSpec,
) -> str:
    """Ends the open run ``before`` in favour of the one due at ``nominal``. Returns why it is left
    alone; empty if it was replaced."""
    what = before.status if before.deployment_id is None else f"deployment {before.deployment_id}"
    why = f"the run due {before.nominal_at:%Y-%m-%d %H:%M} UTC has not ended ({what})"
    row = None
    if before.deployment_id is not None and isinstance(spec, RebuildSpec):
        row = session.get(Deployment, before.deployment_id, with_for_update=True)
    if row is None or not _lacks_evidence(row):
        return why
    assert isinstance(spec, RebuildSpec)
    if spec.if_paused == "skip":
        return f"{why}: it is paused, and the index says if_paused: skip"
    touched = _find_touch(session, row) or _find_use(services, session, row)
    if touched:
        return f"{why}: it is paused, and {touched}"
    reason = f"replaced by the rebuild due {nominal:%Y-%m-%d %H:%M} UTC"
    before.status = RunStatus.REPLACED
    before.message = f"{reason}; it had paused: {row.message}"
    before.finished_at = now
    before.turn += 1
    events.record_event(
        session,
        now,
        f"schedule.{RunStatus.REPLACED}",
        f"rebuild due {before.nominal_at:%Y-%m-%d %H:%M} UTC: {reason}",
        actor=ACTOR,
        alias=row.alias,
        deployment_id=row.id,
    )
    engine.write_request(session, now, row, Event.ABORT, ACTOR, reason)
    session.flush()  # one run of a schedule is open at a time
    return ""


def is_undoing_replaced(session: Session, schedule_id: int) -> bool:
    """Returns whether the deployment of a replaced run of this schedule is still being taken
    back."""
    query = (
        select(ScheduleRun.id)
        .join(Deployment, Deployment.id == ScheduleRun.deployment_id)
        .where(
            ScheduleRun.schedule_id == schedule_id,
            ScheduleRun.status == RunStatus.REPLACED,
            Deployment.status.not_in(FINAL),
        )
    )
    return session.scalars(query.limit(1)).first() is not None


def _lacks_evidence(row: Deployment) -> bool:
    """Returns whether it waits because a gate cannot tell, or because a stage of its canary has got
    too little traffic to tell. A stage may also wait for a person who must know something: then
    nothing is missing."""
    step = current_step(row)
    if step is None or row.status != Status.PAUSED or row.paused_for != "approval":
        return False
    traits = traits_of(step.name)
    return traits.judges or (traits.shares_searches and bool(read_missing(step.output)))


def _find_touch(session: Session, row: Deployment) -> str:
    """Returns what a person has done first with the deployment, in words: requested it or something
    of it, kept its collection, marked its version; empty if nobody has."""
    if row.requested is not None:
        return f"{row.requested_by} has requested {row.requested}"
    query = select(EventRow).where(
        EventRow.deployment_id == row.id, EventRow.actor.not_in((events.SYSTEM, ACTOR))
    )
    touch = session.scalars(query.order_by(EventRow.id).limit(1)).first()
    return f"{touch.actor} has touched it ({touch.event})" if touch is not None else ""


def _find_use(services: Services, session: Session, row: Deployment) -> str:
    """Returns what else uses the deployment's collection, in words, or why that is not known; empty
    if nothing does."""
    try:
        uses = deletions.find_uses(services, session, row.green, besides=row.id)
    except (Refused, Unavailable) as error:
        return f"whether something uses {row.green} cannot be asked: {error}"
    return f"{row.green} is used: {'; '.join(uses)}" if uses else ""
