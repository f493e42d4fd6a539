"""Endpoints that change nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.alerts import sent_alerts
from qdrant_rollouts.core.alerts.sent_alerts import AlertFilter
from qdrant_rollouts.core.answers import alerts as alert_answers
from qdrant_rollouts.core.answers import backups as backup_answers
from qdrant_rollouts.core.answers import collecting as collecting_answers
from qdrant_rollouts.core.answers import deployments as deployment_answers
from qdrant_rollouts.core.answers import experiments as experiment_answers
from qdrant_rollouts.core.answers import indexes as index_answers
from qdrant_rollouts.core.answers import schedules as schedule_answers
from qdrant_rollouts.core.answers import workers as worker_answers
from qdrant_rollouts.core.answers.charts import Charts
from qdrant_rollouts.core.answers.plans import Plan
from qdrant_rollouts.core.collections import comparing, lineage
from qdrant_rollouts.core.collections.deletion import garbage_collection
from qdrant_rollouts.core.deployments import backups, unclaimed
from qdrant_rollouts.core.deployments.commands.planning import plan_deployment
from qdrant_rollouts.core.experiments import planning
from qdrant_rollouts.core.experiments import queries as experiment_queries
from qdrant_rollouts.core.operations.schedules import queries as schedule_queries
from qdrant_rollouts.core.operations.views import audit_events, log_lines, queries
from qdrant_rollouts.core.operations.views.audit_events import EventFilter
from qdrant_rollouts.core.operations.views.charts.queries import chart_index
from qdrant_rollouts.core.operations.views.overview import home
from qdrant_rollouts.core.operations.views.overview.deployment_situation import (
    get_deployment_with_situation,
)
from qdrant_rollouts.core.operations.views.overview.index_page import check_index_known
from qdrant_rollouts.core.routing import table
from qdrant_rollouts.interfaces.access.planning import PLACES
from qdrant_rollouts.interfaces.http.api.endpoint import Answer, Call, NoQuery
from qdrant_rollouts.interfaces.http.api.requests.deployments import (
    DeploymentPlanRequest,
    DeploymentsQuery,
    LogQuery,
)
from qdrant_rollouts.interfaces.http.api.requests.events import AlertsQuery, EventsQuery
from qdrant_rollouts.interfaces.http.api.requests.experiments import ExperimentPlanRequest
from qdrant_rollouts.interfaces.http.api.requests.fields import (
    IndexFilterQuery,
    ListQuery,
    PageQuery,
)
from qdrant_rollouts.interfaces.http.api.requests.indexes import (
    ChartsQuery,
    DiffQuery,
    IndexesQuery,
)


def get_caller(call: Call, given: NoQuery) -> Answer:
    return {"name": call.caller.name, "scopes": sorted(call.caller.scopes)}


def get_indexes(call: Call, given: IndexesQuery) -> index_answers.Home:
    seen = call.context.watcher.look(patience=1.0)
    return home.describe_home(call.services, seen, given.limit, given.after)


def get_index(call: Call, given: NoQuery) -> index_answers.Index:
    return home.find_index(
        call.services, call.path["alias"], call.context.watcher.look(patience=1.0)
    )


def get_versions(call: Call, given: NoQuery) -> index_answers.Versions:
    return lineage.list_versions(call.services, call.path["alias"])


def get_differences(call: Call, given: DiffQuery) -> Answer:
    return comparing.diff_versions(
        call.services, call.path["alias"], given.one, given.other, given.sample
    )


def get_charts(call: Call, given: ChartsQuery) -> Charts:
    alias = call.path["alias"]
    check_index_known(call.services, alias, call.context.watcher.look(patience=1.0))
    return chart_index(call.services, alias, given.period)


def get_route(call: Call, given: NoQuery) -> index_answers.Route:
    return table.describe_route(call.services, call.path["alias"])


def get_routes(call: Call, given: NoQuery) -> index_answers.Routes:
    return {"routes": table.list_routes(call.services)}


def get_aliases(call: Call, given: NoQuery) -> index_answers.Aliases:
    return {"aliases": queries.list_aliases(call.services)}


def get_deployments(call: Call, given: DeploymentsQuery) -> deployment_answers.DeploymentPage:
    found = queries.list_deployments(
        call.services, given.alias, given.limit, status=given.status, after=given.after
    )
    return {"deployments": found, "next": _next_cursor(found, given.limit)}


def get_deployment(call: Call, given: NoQuery) -> deployment_answers.DeploymentWithSituation:
    seen = call.context.watcher.look()
    return get_deployment_with_situation(call.services, call.path["deployment"], seen)


def get_log(call: Call, given: LogQuery) -> deployment_answers.DeploymentLog:
    return log_lines.list_log_lines(call.services, call.path["deployment"], given.level)


def get_deletions(call: Call, given: ListQuery) -> deployment_answers.Deletions:
    found = queries.list_deletions(call.services, given.limit)
    return {"deletions": [row for row in found if given.alias in (None, row["alias"])]}


def get_garbage(call: Call, given: NoQuery) -> collecting_answers.Collected:
    return garbage_collection.collect_garbage(call.services, actor=call.actor, dry_run=True)


def get_experiment_plan(call: Call, given: ExperimentPlanRequest) -> Answer:
    by_hand = planning.GivenFigures(given.rate, given.deviation, given.users_per_day)
    alias = call.path["alias"]
    metrics = given.metrics
    return planning.plan_experiment(
        call.services, alias, by_hand, split=given.split, metrics=metrics, options=given.options
    )


def get_deployment_plan(call: Call, given: DeploymentPlanRequest) -> Plan:
    alias = call.path["alias"]
    with PLACES.take_place(alias):
        return plan_deployment(call.services, alias, **given.asked)


def get_experiments(call: Call, given: PageQuery) -> experiment_answers.ExperimentPage:
    found = experiment_queries.list_experiments(
        call.services, given.alias, given.limit, after=given.after
    )
    return {"experiments": found, "next": _next_cursor(found, given.limit)}


def get_experiment(call: Call, given: NoQuery) -> experiment_answers.Experiment:
    return experiment_queries.get_experiment(call.services, call.path["experiment"])


def get_report(call: Call, given: NoQuery) -> Answer:
    return experiment_queries.report_experiment(call.services, call.path["experiment"])


def get_backups(call: Call, given: IndexFilterQuery) -> backup_answers.Backups:
    return {"backups": backups.list_backups(call.services, given.alias)}


def get_backup(call: Call, given: NoQuery) -> backup_answers.Backup:
    return backups.get_backup(call.services, call.path["backup"])


def get_schedules(call: Call, given: ListQuery) -> schedule_answers.Schedules:
    return {"schedules": schedule_queries.list_schedules(call.services, given.alias, given.limit)}


def get_events(call: Call, given: EventsQuery) -> deployment_answers.EventPage:
    wanted = EventFilter(
        alias=given.alias,
        deployment_id=given.deployment,
        event=given.event,
        actor=given.actor,
        text=given.text,
        since=given.since,
        until=given.until,
    )
    return audit_events.list_audit_events(call.services, wanted, given.limit, given.before)


def get_alerts(call: Call, given: AlertsQuery) -> alert_answers.Alerts:
    wanted = AlertFilter(
        alias=given.alias, severity=given.severity, what=given.alert, since=given.since
    )
    return sent_alerts.list_alert_page(call.services, wanted, given.limit, given.before)


def get_workers(call: Call, given: NoQuery) -> worker_answers.Workers:
    return unclaimed.list_workers_and_waits(call.services)


def _next_cursor(found: Sequence[Mapping[str, Any]], limit: int) -> Any:
    """Returns what to pass to get the next page; None on the last page."""
    if len(found) != limit:
        return None
    return found[-1]["id"]
