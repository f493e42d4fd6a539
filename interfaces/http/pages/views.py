"""Views: each page is a function from a visit to the data of its template."""

from typing import Any

from qdrant_rollouts.core.collections import comparing, lineage
from qdrant_rollouts.core.deployments import backups, unclaimed
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.experiments import queries as experiment_queries
from qdrant_rollouts.core.operations.views import audit_events
from qdrant_rollouts.core.operations.views.audit_events import EventFilter
from qdrant_rollouts.core.operations.views.overview import index_summary, run
from qdrant_rollouts.core.operations.views.overview.actions.backups import (
    action_to_back_up,
    actions_of_backup,
)
from qdrant_rollouts.core.operations.views.overview.actions.experiments import actions_of_experiment
from qdrant_rollouts.core.operations.views.overview.actions.versions import actions_of_version
from qdrant_rollouts.core.operations.views.overview.deployment_list import list_deployment_page
from qdrant_rollouts.core.operations.views.overview.index_page import describe_index
from qdrant_rollouts.core.operations.views.overview.schedule_list import list_latest_schedules
from qdrant_rollouts.interfaces.http.pages import ask_box
from qdrant_rollouts.interfaces.http.pages.charting import (
    show_deployment_charts,
    show_index_charts,
)
from qdrant_rollouts.interfaces.http.pages.drawing import draw_course
from qdrant_rollouts.interfaces.http.pages.gate_rows import find_bound_side, group_checks
from qdrant_rollouts.interfaces.http.pages.log_views import show_log
from qdrant_rollouts.interfaces.http.pages.parameters import PageLink, page_parameter
from qdrant_rollouts.interfaces.http.pages.rendering import Shown
from qdrant_rollouts.interfaces.http.pages.visits import Visit, image_data_url
from qdrant_rollouts.interfaces.http.pages.worst_queries import compare_worst
from qdrant_rollouts.interfaces.pictures.experiment import experiment_svg

_MOST_EXPERIMENTS = 200
#: Events on the page of an index; their own page has all.
_LATEST_EVENTS = 15


def index_page(visit: Visit) -> Shown:
    alias = visit.request.path_params["alias"]
    seen = describe_index(visit.services, alias, visit.seen)
    of_index = EventFilter(alias=alias)
    events = audit_events.list_audit_events(visit.services, of_index, _LATEST_EVENTS)
    versions = _list_versions(visit, alias, seen["live"], seen["busy"])
    return {
        "title": alias,
        "here": "/",
        "now": seen["now"],
        "seen": seen,
        "summary": index_summary.summarize_index(
            visit.services, alias, seen["live"], seen["rollback"]["target"], visit.seen
        ),
        "charts": show_index_charts(visit, alias),
        "versions": versions,
        "ask": ask_box.box_of_index(alias, versions, visit.seen.collections),
        "runs": list_deployment_page(visit.services, alias),
        "events": events["events"],
    }


def _list_versions(visit: Visit, alias: str, live: str | None, busy: str) -> list[Any]:
    """Returns nothing for an index that was never deployed."""
    there = None
    if not visit.seen.error:
        there = visit.seen.collections
    aliases = {alias: live} if live else {}
    try:
        found = lineage.describe_versions(visit.services, alias, aliases, there)["versions"]
    except Refused:
        return []
    blank = dict.fromkeys(
        (
            *("points", "model", "gate", "actor", "deployment", "created_at"),
            *("delete_after", "deletion", "marked_bad", "rolled_away", "rollback_target"),
        )
    )
    return [{**blank, **row, "actions": actions_of_version(alias, row, busy)} for row in found]


def comparison_page(visit: Visit) -> Shown:
    alias = visit.request.path_params["alias"]
    found = comparing.diff_versions(
        visit.services, alias, visit.query_value("one"), visit.query_value("other")
    )
    return {"title": f"{alias}: versions compared", "here": "/", "diff": found}


def deployments_page(visit: Visit) -> Shown:
    alias = visit.query_value("alias")
    outcome = visit.query_value("outcome")
    listed = list_deployment_page(visit.services, alias, outcome, page_parameter(visit))
    return {
        "title": "Deployments",
        "here": "/deployments",
        "listed": listed,
        "alias": alias,
        "outcome": outcome,
        "link": PageLink("/deployments", {"alias": alias, "outcome": outcome}),
    }


def deployment_page(visit: Visit) -> Shown:
    seen = run.describe_deployment(visit.services, visit.request.path_params["id"], visit.seen)
    title = f"{seen['alias']} {seen['status'].replace('_', ' ')}"
    gate = seen["gate"]
    return {
        "title": title,
        "here": "/deployments",
        "now": seen["now"],
        "seen": seen,
        "charts": show_deployment_charts(visit, seen["id"]),
        "course": draw_course,
        "side": find_bound_side,
        "ask": ask_box.box_of_deployment(seen),
        "rows": group_checks(gate) if gate else {},
        "worst": compare_worst(gate) if gate else [],
        "log": show_log(visit, seen["id"]),
    }


def experiments_page(visit: Visit) -> Shown:
    rows = experiment_queries.list_experiments(
        visit.services, visit.query_value("alias") or None, _MOST_EXPERIMENTS
    )
    return {"title": "Experiments", "here": "/experiments", "rows": rows}


def experiment_page(visit: Visit) -> Shown:
    found = experiment_queries.get_experiment(visit.services, visit.request.path_params["id"])
    begun = found["started_at"] is not None
    seen: Shown = (
        experiment_queries.report_experiment(visit.services, found["id"])
        if begun
        else {**found, "decision": None, "decided": None}
    )
    coverage = 0
    if found["stages"]:
        coverage = found["stages"][-1]["coverage"]
    return {
        "title": found["name"],
        "here": "/experiments",
        "seen": {"units": {}, **seen},
        "actions": actions_of_experiment(found["id"], found["status"], coverage),
        "picture": image_data_url(experiment_svg(seen)) if begun else "",
        "told": f"The differences and their intervals over {len(seen.get('looks', ()))} looks.",
    }


def schedules_page(visit: Visit) -> Shown:
    return {
        "title": "Schedules",
        "here": "/schedules",
        "rows": list_latest_schedules(visit.services, visit.seen),
    }


def backups_page(visit: Visit) -> Shown:
    refused = visit.seen.no_backups
    rows = [
        {
            **row,
            "actions": actions_of_backup(row["backup_id"], row["alias"], row["status"], refused),
        }
        for row in backups.list_backups(visit.services)
    ]
    return {
        "title": "Backups",
        "here": "/backups",
        "rows": rows,
        "shelf": visit.services.shelf.address,
        "refused": refused,
        "create": action_to_back_up(refused),
        "aliases": sorted(visit.seen.aliases or ()),
    }


def workers(visit: Visit) -> Shown:
    return {
        "title": "Workers",
        "here": "/workers",
        "told": unclaimed.list_workers_and_waits(visit.services),
    }
