"""One value of each of an index's last versions: how good it is, how large, and how long it took
to build."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers.charts import VersionChart, VersionPoint
from qdrant_rollouts.core.database.models import StepRow, Version
from qdrant_rollouts.core.database.step_data import read_report
from qdrant_rollouts.core.database.step_traits import has_trait, traits_of
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.core.times import as_iso

MOST_VERSIONS = 20
#: Facts of a version that say that it has been live, and how many points it got.
_SERVED = "served"
_POINTS = "points"


def chart_versions(session: Session, alias: str) -> list[VersionChart]:
    """Returns the charts for which some version has a value."""
    query = select(Version).where(Version.alias == alias).order_by(Version.number.desc())
    rows = session.scalars(query.limit(MOST_VERSIONS)).all()[::-1]
    reports = _read_reports(session, rows)
    took = _read_build_seconds(session, rows)
    charts = [
        _build_chart(name, check.chart_title, "", rows, _value_finder(reports, name))
        for name, check in CHECKS.items()
        if check.chart_title
    ]
    charts += [
        _build_chart("points", "Points", "points", rows, lambda row: row.facts.get(_POINTS)),
        _build_chart("build", "Build time", "s", rows, lambda row: took.get(row.deployment_id)),
    ]
    return [chart for chart in charts if any(one["value"] is not None for one in chart["points"])]


def _build_chart(
    name: str,
    title: str,
    unit: str,
    rows: Iterable[Version],
    find: Callable[[Version], float | None],
) -> VersionChart:
    points: list[VersionPoint] = [
        {
            "version": row.number,
            "collection": row.collection,
            "at": as_iso(row.created_at),
            "served": _SERVED in row.facts,
            "value": find(row),
        }
        for row in rows
    ]
    return {"name": name, "title": title, "unit": unit, "points": points}


def _value_finder(
    reports: Mapping[str | None, Mapping[str, Any]], check: str
) -> Callable[[Version], float | None]:
    def find_value(row: Version) -> float | None:
        found = reports.get(row.deployment_id, {}).get("checks", [])
        values: list[float | None] = [one["value"] for one in found if one["name"] == check]
        return next(iter(values), None)

    return find_value


def _read_reports(session: Session, rows: Sequence[Version]) -> dict[str | None, Mapping[str, Any]]:
    """Returns the gate's last report of each deployment."""
    query = select(StepRow.deployment_id, StepRow.output).where(
        StepRow.deployment_id.in_(_list_deployments(rows)), has_trait(lambda step: step.judges)
    )
    found = session.execute(query.order_by(StepRow.position)).all()
    return {id: report for id, output in found if (report := read_report(output))}


def _read_build_seconds(session: Session, rows: Sequence[Version]) -> dict[str | None, float]:
    """Returns the time from the beginning of the first step that builds to the end of the last one
    that judges."""
    query = select(StepRow.deployment_id, StepRow.name, StepRow.started_at, StepRow.finished_at)
    query = query.where(
        StepRow.deployment_id.in_(_list_deployments(rows)),
        or_(has_trait(lambda step: step.makes_green), has_trait(lambda step: step.judges)),
    )
    begun: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    for id, name, started_at, finished_at in session.execute(query):
        if traits_of(name).judges and finished_at is not None:
            ended[id] = finished_at
        elif started_at is not None:
            begun[id] = min(started_at, begun.get(id, started_at))
    return {id: (ended[id] - begun[id]).total_seconds() for id in begun if id in ended}


def _list_deployments(rows: Iterable[Version]) -> list[str]:
    return [row.deployment_id for row in rows if row.deployment_id is not None]
