"""What changes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.answers import alerts as told
from qdrant_rollouts.core.answers import backups as stored
from qdrant_rollouts.core.answers import collecting as gone
from qdrant_rollouts.core.answers import deployments as deployed
from qdrant_rollouts.core.answers import experiments as tried
from qdrant_rollouts.core.answers import indexes as served
from qdrant_rollouts.core.answers import schedules as timed
from qdrant_rollouts.core.answers import workers as working
from qdrant_rollouts.core.collections import comparing, lineage
from qdrant_rollouts.core.collections.deletion import garbage_collection as collecting
from qdrant_rollouts.core.deployments import backups as kept
from qdrant_rollouts.core.deployments import unclaimed
from qdrant_rollouts.core.experiments import planning
from qdrant_rollouts.core.experiments import queries as trials
from qdrant_rollouts.core.operations.schedules import queries as scheduled
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.operations.views.overview import home
from qdrant_rollouts.core.routing import table
from qdrant_rollouts.interfaces.http.api import requests
from qdrant_rollouts.interfaces.http.api.endpoint import Answer, Call, NoQuery


def me(call: Call, given: NoQuery) -> Answer:
    return {"name": call.caller.name, "scopes": sorted(call.caller.scopes)}


def indexes(call: Call, given: NoQuery) -> served.Home:
    return home.home(call.services, call.house.sight.look(patience=1.0))


def index(call: Call, given: NoQuery) -> served.Index:
    return home.one(call.services, call.path["alias"], call.house.sight.look(patience=1.0))


def versions(call: Call, given: NoQuery) -> served.Versions:
    return lineage.versions(call.services, call.path["alias"])


def diff(call: Call, given: requests.Difference) -> Answer:
    return comparing.diff(call.services, call.path["alias"], given.one, given.other, given.sample)


def route(call: Call, given: NoQuery) -> served.Route:
    return table.shown(call.services, call.path["alias"])


def routes(call: Call, given: NoQuery) -> served.Routes:
    return {"routes": table.listed(call.services)}


def aliases(call: Call, given: NoQuery) -> served.Aliases:
    return {"aliases": queries.aliases(call.services)}


def deployments(call: Call, given: requests.Deployments) -> deployed.DeploymentPage:
    found = queries.deployments(call.services, given.alias, given.limit, status=given.status, after=given.after)
    return {"deployments": found, "next": _next(found, given.limit)}


def deployment(call: Call, given: NoQuery) -> deployed.Deployment:
    return queries.deployment(call.services, call.path["deployment"])


def deletions(call: Call, given: requests.Listed) -> deployed.Deletions:
    found = queries.deletions(call.services, given.limit)
    return {"deletions": [row for row in found if given.alias in (None, row["alias"])]}


def surplus(call: Call, given: NoQuery) -> gone.Collected:
    return collecting.collect(call.services, actor=call.actor, dry_run=True)


def plan(call: Call, given: requests.Planned) -> Answer:
    by_hand = planning.ByHand(given.rate, given.deviation, given.users_per_day)
    alias, metrics = call.path["alias"], given.metrics
    return planning.plan(call.services, alias, by_hand, split=given.split, metrics=metrics, options=given.options)


def experiments(call: Call, given: requests.Paged) -> tried.ExperimentPage:
    found = trials.experiments(call.services, given.alias, given.limit, after=given.after)
    return {"experiments": found, "next": _next(found, given.limit)}


def experiment(call: Call, given: NoQuery) -> tried.Experiment:
    return trials.experiment(call.services, call.path["experiment"])


def report(call: Call, given: NoQuery) -> Answer:
    return trials.report(call.services, call.path["experiment"])


def backups(call: Call, given: requests.OfIndex) -> stored.Backups:
    return {"backups": kept.listed(call.services, given.alias)}


def backup(call: Call, given: NoQuery) -> stored.Backup:
    return kept.record(call.services, call.path["backup"])


def schedules(call: Call, given: requests.Listed) -> timed.Schedules:
    return {"schedules": scheduled.schedules(call.services, given.alias, given.limit)}


def events(call: Call, given: requests.Events) -> deployed.EventPage:
    found = queries.events(call.services, given.alias, given.limit, deployment_id=given.deployment, before=given.before)
    return {"events": found, "next": _next(found, given.limit)}


def alerts(call: Call, given: requests.Listed) -> told.Alerts:
    return {"alerts": deliveries.listed(call.services, given.limit, given.alias)}


def workers(call: Call, given: NoQuery) -> working.Workers:
    return unclaimed.listed(call.services)


def _next(found: Sequence[Mapping[str, Any]], limit: int) -> Any:
    """What to name to get the page after this one; None where there is none."""
    return found[-1]["id"] if len(found) == limit else None
