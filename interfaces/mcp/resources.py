"""What agents may read as documents: deployments and gate reports, whole, as the command line gives
them in JSON."""

import json
from typing import Any

from mcp.server.mcpserver import Context, MCPServer

from qdrant_rollouts.core.answers import deployments as deployment_answers
from qdrant_rollouts.core.deployments import unclaimed
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_text
from qdrant_rollouts.interfaces.mcp.guard import IN_RESOURCES, Guard


def add_resources(server: MCPServer[Any], services: Services, guard: Guard) -> None:
    def read(context: Context, deployment_id: str) -> deployment_answers.Deployment:
        with guard.check_scope(context, "read", IN_RESOURCES):
            return queries.get_deployment(services, deployment_id)

    @server.resource("rollouts://deployments/{id}", title="A deployment", mime_type=_JSON)
    def deployment(context: Context, id: str) -> str:
        """One deployment with its steps, the gate's report and everything that happened."""
        return _as_json_text(read(context, id))

    @server.resource("rollouts://deployments/{id}/gate", title="A gate's report", mime_type=_JSON)
    def gate(context: Context, id: str) -> str:
        """Every check of the gate: what was measured, against what bound, of how much, and the
        worst answers."""
        seen = read(context, id)
        if seen["gate"] is None:
            with guard.check_scope(context, "read", IN_RESOURCES):
                raise Refused(
                    f"deployment {seen['id']} has no gate report: it is {seen['status']}, "
                    f"{seen['message']}"
                )
        return _as_json_text(seen["gate"])

    @server.resource(
        "rollouts://indexes/{alias}/deployments", title="An index's deployments", mime_type=_JSON
    )
    def deployments(context: Context, alias: str) -> str:
        """The latest deployments of an index, newest first, with their steps."""
        with guard.check_scope(context, "read", IN_RESOURCES):
            return _as_json_text(queries.list_deployments(services, alias))

    @server.resource(
        "rollouts://queues/{queue}/workers", title="The workers of a queue", mime_type=_JSON
    )
    def workers(context: Context, queue: str) -> str:
        """Who takes from a queue, such as bulk or control: what each does since when, its clock;
        and turns that wait for it, with the reason."""
        with guard.check_scope(context, "read", IN_RESOURCES):
            found = unclaimed.list_workers_and_waits(services)
            takers = [one for one in found["workers"] if queue in one["queues"]]
            waiting = [one for one in found["waiting"] if one["queue"] == queue]
            return _as_json_text({"now": found["now"], "workers": takers, "waiting": waiting})


_JSON = "application/json"


def _as_json_text(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, default=as_text)
