"""Says once in a deployment that applications write faster than the rebuild brings over."""

from sqlalchemy import exists, select

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import EventRow
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.data import RoundState

_FASTER = "deployment.writers_faster"


def tell_faster(context: StepContext, told: str, last: RoundState | None = None) -> None:
    """Records the event and the alert, unless this deployment has done so. ``last``: the last
    round, with its figures."""
    deployment = context.deployment
    services = context.services
    with services.sessions.begin() as session:
        context.turn.fence(session)
        known = exists().where(EventRow.deployment_id == deployment.id, EventRow.event == _FASTER)
        if session.scalar(select(known)):
            return
        now = services.clock.now(session)
        events.record_event(
            session, now, _FASTER, told, deployment_id=deployment.id, alias=deployment.alias
        )
        outbox.record_alert(
            session,
            now,
            Alert(
                deployment.alias,
                _FASTER,
                f"applications write to {deployment.alias} faster than the rebuild: {told}",
                value=_describe_rate(last) if last is not None else "",
                bound=f"writers may wait for {deployment.spec.writes.fence_seconds:g} s",
                next=f"write less for a while, or see rollouts status {deployment.id}",
                deployment_id=deployment.id,
            ),
        )


def _describe_rate(last: RoundState) -> str:
    points = last.made + last.deleted
    rate = points / last.seconds if last.seconds else 0.0
    return f"{points:,} points in a round of {last.seconds:.1f} s ({rate:,.1f} a second)"
