"""Remembers, for an index, that the server's answer to a long request was lost.

Rule: such a request makes no sound for as long as the server works, and a proxy may end it each
time. So for some weeks after a loss, nothing is cloned for this index. The loss is an event, which
outlives a retry of the step and its deployment.
"""

from datetime import timedelta

from sqlalchemy import select

from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import EventRow
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.data import DELTA, FillState

_EVENT = "populate.answer_lost"
_DAYS = 30


def remember(context: StepContext, what: str, why: str) -> None:
    services = context.services
    with services.sessions.begin() as session:
        context.turn.fence(session)
        events.record_event(
            session,
            services.clock.now(session),
            _EVENT,
            f"the server's answer to {what} is lost: {why}",
            deployment_id=context.deployment.id,
            alias=context.deployment.alias,
        )


def why_not_cloned(context: StepContext) -> str:
    """Returns why nothing is cloned for this index now; empty if it may be."""
    services = context.services
    with services.sessions() as session:
        since = services.clock.now(session) - timedelta(days=_DAYS)
        query = select(EventRow).where(
            EventRow.alias == context.deployment.alias,
            EventRow.event == _EVENT,
            EventRow.at > since,
        )
        last = session.scalars(query.order_by(EventRow.id.desc()).limit(1)).first()
        if last is None:
            return ""
        return (
            f"on {last.at:%Y-%m-%d} {last.detail.partition(':')[0]}, as behind a proxy that ends "
            f"silent requests; it is tried again {_DAYS} days later"
        )


def describe_consequence(context: StepContext) -> str:
    """Returns what follows for the next deployments, if a loss is remembered."""
    if not why_not_cloned(context):
        return ""
    told = f": for {_DAYS} days this index is filled without a clone"
    if context.load(FillState).way == DELTA:
        return f"{told}, and `populate.delta_at_most: 0` turns that off for good"
    return told
