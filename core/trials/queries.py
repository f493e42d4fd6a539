"""What people may look at of an experiment: rows turned into plain data."""

import math
from typing import Any

from sqlalchemy import and_, or_, select

from core.defaults import ROWS
from core.experiment_rows import Experiment, LookRow
from core.experiment_spec import ExperimentSpec
from core.kept import stored
from core.services import Services
from core.shown import experiments as shown
from core.times import iso
from core.trials import commands
from core.trials.analysis import Report, analyse

#: Looks in a report: a month of them every quarter of an hour would be thousands, and a picture has fewer pixels.
_LOOKS = 200


def experiments(
    services: Services, alias: str | None = None, limit: int = ROWS, *, after: str | None = None
) -> list[shown.ExperimentSummary]:
    """Experiments, newest first; ``after``: those that follow this one in the list."""
    query = select(Experiment).order_by(Experiment.created_at.desc(), Experiment.id).limit(limit)
    if alias is not None:
        query = query.where(Experiment.alias == alias)
    with services.sessions() as session:
        if after is not None:
            last = commands.find(session, after)
            same_moment = and_(Experiment.created_at == last.created_at, Experiment.id > last.id)
            query = query.where(or_(Experiment.created_at < last.created_at, same_moment))
        return [_summary(row) for row in session.scalars(query)]


def experiment(services: Services, experiment: str) -> shown.Experiment:
    """One experiment: what it was asked, and what became of it."""
    with services.sessions() as session:
        row = commands.find(session, experiment)
    return {**_summary(row), "spec": row.spec, "stages": row.stages}


def report(services: Services, experiment: str) -> Report:
    """An analysis of this moment, and the looks before it, evenly thinned where they are many. Nothing is written: it
    may be asked for at any time."""
    with services.sessions() as session:
        row = commands.find(session, experiment)
        kept = LookRow.experiment_id == row.id, LookRow.number % max(1, math.ceil(row.looks / _LOOKS)) == 0
        query = select(LookRow.report).where(*kept).order_by(LookRow.number)
        looks = [_look(look) for look in session.scalars(query)]
    found = analyse(services, row)
    asked = {"spec": row.spec, "stages": row.stages, "decided": row.decision or None}
    return {**_summary(row), **found, **asked, "looks": [*looks, _look(found)]}


def _look(report: Report) -> dict[str, Any]:
    """Of a report that may be of a release which knew less."""
    neutral: dict[str, Any] = {"at": None, "days": 0.0, "comparisons": [], "decision": None}
    return {name: report.get(name, value) for name, value in neutral.items()}


def _summary(row: Experiment) -> shown.ExperimentSummary:
    return {
        "id": row.id,
        "name": row.name,
        "alias": row.alias,
        "status": str(row.status),
        "message": row.message,
        "arms": {arm["variant"]: arm["collection"] for arm in row.spec["arms"]},
        "mode": stored(ExperimentSpec, row.spec).mode,
        "looks_taken": row.looks,
        "last_decision": row.decision.get("action"),
        "deployment_id": row.deployment_id,
        "actor": row.actor,
        "created_at": iso(row.created_at),
        "started_at": iso(row.started_at),
        "finished_at": iso(row.finished_at),
    }
