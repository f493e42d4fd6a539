"""One value of each of an index's last versions: how good it is, how large, and how long it took
to build."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers.charts import VersionChart, VersionPoint
from qdrant_rollouts.core.database.models import StepRow, Version
from qdrant_rollouts.core.database.step_data import read_report
from qdrant_rollouts.core.database.step_traits import has_trait
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.core.operations.views.charts.build_time import NOTE, read_build_seconds
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
    took = read_build_seconds(session, _list_deployments(rows))
    charts = [
        _build_chart(name, check.chart_title, "", rows, _value_finder(reports, name))
        for name, check in CHECKS.items()
        if check.chart_title
    ]
    charts += [
        _build_chart("points", "Points", "points", rows, lambda row: row.facts.get(_POINTS)),
        _build_chart("build", "Build time", "s", rows, _seconds_finder(took), NOTE),
    ]
    return [chart for chart in charts if any(one["value"] is not None for one in chart["points"])]


def _build_chart(
    name: str,
    title: str,
    unit: str,
    rows: Iterable[Version],
    find: Callable[[Version], float | None],
    note: str = "",
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
    return {"name": name, "title": title, "unit": unit, "note": note, "points": points}


def _seconds_finder(took: Mapping[str, float]) -> Callable[[Version], float | None]:
    return lambda row: took.get(row.deployment_id or "")


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


def _list_deployments(rows: Iterable[Version]) -> list[str]:
    return [row.deployment_id for row in rows if row.deployment_id is not None]
