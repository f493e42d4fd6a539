"""``rollouts events``."""

from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from qdrant_rollouts.core.answers.deployments import ListedEvent
from qdrant_rollouts.core.deployments.lookup import find_deployment
from qdrant_rollouts.core.operations.views import audit_events
from qdrant_rollouts.core.operations.views.audit_events import EventFilter
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, list_options, time_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@list_options("those")
@click.option(
    "--event", metavar="NAME", help="A kind such as rollback.requested, or its first part."
)
@click.option("--actor", metavar="TEXT", help="Part of the actor's name.")
@click.option("--deployment", metavar="ID", help="Only those of this deployment.")
@click.option("--text", metavar="TEXT", help="Part of what happened, or of the reason.")
@time_option("--since", "Only those from then on, in UTC.")
@time_option("--until", "Only those up to then, in UTC.")
@json_option
@verb
def show_events(alias: str | None, limit: int, as_json: bool, **given: Any) -> int:
    """Lists audit events: what happened, when, by whom, through what, and why."""
    with open_for_reading() as context:
        found = _find_events(context.services, alias, limit, **given)
    if as_json:
        screen.print_json({"events": found})
        return DONE
    rows = screen.make_table(
        "AT", "ALIAS", "EVENT", "ACTOR", "THROUGH", "DETAIL", drop=("THROUGH", "ACTOR")
    )
    for row in found:
        cells = (
            row["at"],
            row["alias"],
            row["event"],
            row["actor"],
            row["source"],
            _describe_reason(row),
        )
        screen.add_row(rows, cells)
    screen.make_console().print(rows if found else Text("nothing happened yet"))
    return DONE


def _find_events(
    services: Services, alias: str | None, limit: int, deployment: str | None, **given: Any
) -> list[ListedEvent]:
    """Looks on until it has as many as were asked for, or has looked through all events."""
    if deployment is not None:
        deployment = find_deployment(services, deployment)
    wanted = EventFilter(alias=alias, deployment_id=deployment, **given)
    page = audit_events.list_audit_events(services, wanted, limit)
    found = page["events"]
    while page["next"] is not None and len(found) < limit:
        page = audit_events.list_audit_events(services, wanted, limit, page["next"])
        found += page["events"]
    return found[:limit]


def _describe_reason(row: Mapping[str, Any]) -> str:
    detail = row["detail"]
    reason = row["reason"]
    return f"{detail} ({reason})" if reason and reason not in detail else detail
