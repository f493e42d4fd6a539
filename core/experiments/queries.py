"""The queries for experiments: rows as plain data."""

import math
from typing import Any

from sqlalchemy import select

from qdrant_rollouts.core.answers import experiments as experiment_answers
from qdrant_rollouts.core.database.experiment_rows import LookRow
from qdrant_rollouts.core.experiments.analysis import Report, build_report
from qdrant_rollouts.core.experiments.listing import (
    find_experiment,
    list_experiments,
    summarize_experiment,
)
from qdrant_rollouts.core.experiments.treatment_writes import describe_treatments
from qdrant_rollouts.core.services import Services

__all__ = ["get_experiment", "list_experiments", "report_experiment"]

#: Looks in a report: a month of looks every quarter of an hour would be thousands, and a picture
#: has fewer pixels.
_MOST_LOOKS = 200


def get_experiment(services: Services, experiment: str) -> experiment_answers.Experiment:
    """Returns one experiment: what it compares, and its result."""
    with services.sessions() as session:
        row = find_experiment(session, experiment)
        writes = describe_treatments(session, row)
    return {
        **summarize_experiment(row),
        "spec": row.spec,
        "stages": row.stages,
        "writes": writes,
    }


def report_experiment(services: Services, experiment: str) -> Report:
    """Returns the current analysis, and the earlier looks, evenly thinned if there are many. It
    writes nothing, so it can be called at any time."""
    with services.sessions() as session:
        row = find_experiment(session, experiment)
        kept = (
            LookRow.experiment_id == row.id,
            LookRow.number % max(1, math.ceil(row.looks / _MOST_LOOKS)) == 0,
        )
        query = select(LookRow.report).where(*kept).order_by(LookRow.number)
        looks = [_summarize_look(look) for look in session.scalars(query)]
        writes = describe_treatments(session, row)
    found = build_report(services, row)
    asked = {
        "spec": row.spec,
        "stages": row.stages,
        "writes": writes,
        "decided": row.decision or None,
    }
    return {
        **summarize_experiment(row),
        **found,
        **asked,
        "looks": [*looks, _summarize_look(found)],
    }


def _summarize_look(report: Report) -> dict[str, Any]:
    """Reads a report that an older release may have written with fewer keys."""
    neutral: dict[str, Any] = {"at": None, "days": 0.0, "comparisons": [], "decision": None}
    return {name: report.get(name, value) for name, value in neutral.items()}
