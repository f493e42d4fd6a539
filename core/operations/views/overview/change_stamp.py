"""Whether the content of a page may have changed."""

from sqlalchemy import func, select

from qdrant_rollouts.core.database.models import Deployment, EventRow, StepRow
from qdrant_rollouts.core.database.step_data import show_progress
from qdrant_rollouts.core.lifecycle import FINAL
from qdrant_rollouts.core.services import Services


def compute_change_stamp(services: Services) -> str:
    """Returns a text that differs whenever the content of a page may have changed: it contains the
    newest event, the turns and requests of running deployments, and every position that is being
    saved. Only steps whose turn a worker holds save one, so only their states are read."""
    open_ = Deployment.status.not_in(FINAL)
    counted = select(func.count(), func.sum(Deployment.turn), func.count(Deployment.requested))
    saved = select(Deployment.id, StepRow.state).join(Deployment.steps)
    saved = saved.where(
        open_,
        Deployment.lease_until.is_not(None),
        StepRow.finished_at.is_(None),
        StepRow.started_at.is_not(None),
    )
    with services.sessions() as session:
        newest = session.scalar(select(func.max(EventRow.id)))
        turns = session.execute(counted.where(open_)).one()
        moving = [(id, show_progress(state)) for id, state in session.execute(saved)]
    return f"{newest}:{tuple(turns)}:{hash(repr(sorted(map(repr, moving))))}"
