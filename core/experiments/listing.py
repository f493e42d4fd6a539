"""Lists experiments. Analysis is elsewhere, because it loads the statistics
(``core.experiments.queries``)."""

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers import experiments as experiment_answers
from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.defaults import MODE, ROWS
from qdrant_rollouts.core.errors import Refused, Unknown
from qdrant_rollouts.core.sanitize.quoting import LONGEST_VALUE, quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso


def list_experiments(
    services: Services, alias: str | None = None, limit: int = ROWS, *, after: str | None = None
) -> list[experiment_answers.ExperimentSummary]:
    """Returns experiments, newest first; ``after``: those that follow this one in the list."""
    query = select(Experiment).order_by(Experiment.created_at.desc(), Experiment.id).limit(limit)
    if alias is not None:
        query = query.where(Experiment.alias == alias)
    with services.sessions() as session:
        if after is not None:
            last = find_experiment(session, after)
            same_moment = and_(Experiment.created_at == last.created_at, Experiment.id > last.id)
            query = query.where(or_(Experiment.created_at < last.created_at, same_moment))
        return [summarize_experiment(row) for row in session.scalars(query)]


def find_experiment(session: Session, experiment: str) -> Experiment:
    """Returns the one whose id begins with this text, or the newest with that name. Raises Refused
    for none or several."""
    # SQLite accepts no pattern of 50,000 bytes, and no id is longer than the cut text.
    alike = Experiment.id.startswith(experiment[:LONGEST_VALUE], autoescape=True)
    by_id = list(session.scalars(select(Experiment).where(alike).limit(2)))
    if experiment and len(by_id) == 1:
        return by_id[0]
    named = (
        select(Experiment)
        .where(Experiment.name == experiment)
        .order_by(Experiment.created_at.desc())
        .limit(1)
    )
    found = session.scalars(named).first()
    if found is None and by_id and experiment:
        raise Refused(f"experiment id {quote_value(experiment)} fits several; give more of it")
    if found is None:
        raise Unknown(
            f"there is no experiment {quote_value(experiment)}; `rollouts experiment list` shows "
            "them"
        )
    return found


def summarize_experiment(row: Experiment) -> experiment_answers.ExperimentSummary:
    return {
        "id": row.id,
        "name": row.name,
        "alias": row.alias,
        "status": str(row.status),
        "message": row.message,
        "arms": {arm["variant"]: arm["collection"] for arm in row.spec["arms"]},
        "mode": row.spec.get("mode", MODE),
        "looks_taken": row.looks,
        "last_decision": row.decision.get("action"),
        "deployment_id": row.deployment_id,
        "actor": row.actor,
        "created_at": as_iso(row.created_at),
        "started_at": as_iso(row.started_at),
        "finished_at": as_iso(row.finished_at),
    }
