"""What people may look at of an experiment: rows turned into plain data."""

import math
from typing import Any

from sqlalchemy import select

from qdrant_rollouts.core.answers import experiments as shown
from qdrant_rollouts.core.database.experiment_rows import LookRow
from qdrant_rollouts.core.experiments.analysis import Report, analyse
from qdrant_rollouts.core.experiments.listing import experiments, find, summary
from qdrant_rollouts.core.services import Services

__all__ = ["experiment", "experiments", "report"]

#: Looks in a report: a month of them every quarter of an hour would be thousands, and a picture has fewer pixels.
_LOOKS = 200


def experiment(services: Services, experiment: str) -> shown.Experiment:
    """One experiment: what it was asked, and what became of it."""
    with services.sessions() as session:
        row = find(session, experiment)
    return {**summary(row), "spec": row.spec, "stages": row.stages}


def report(services: Services, experiment: str) -> Report:
    """An analysis of this moment, and the looks before it, evenly thinned where they are many. Nothing is written: it
    may be asked for at any time."""
    with services.sessions() as session:
        row = find(session, experiment)
        kept = LookRow.experiment_id == row.id, LookRow.number % max(1, math.ceil(row.looks / _LOOKS)) == 0
        query = select(LookRow.report).where(*kept).order_by(LookRow.number)
        looks = [_look(look) for look in session.scalars(query)]
    found = analyse(services, row)
    asked = {"spec": row.spec, "stages": row.stages, "decided": row.decision or None}
    return {**summary(row), **found, **asked, "looks": [*looks, _look(found)]}


def _look(report: Report) -> dict[str, Any]:
    """Of a report that may be of a release which knew less."""
    neutral: dict[str, Any] = {"at": None, "days": 0.0, "comparisons": [], "decision": None}
    return {name: report.get(name, value) for name, value in neutral.items()}
