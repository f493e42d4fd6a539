"""What agents may read as documents: lists, page by page, and deployments and gate reports, whole,
as the command line gives them in JSON."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp.server.mcpserver import Context, MCPServer, ResourceSecurity
from mcp.types import ListResourcesResult, Resource

from qdrant_rollouts.core.answers import deployments as deployment_answers
from qdrant_rollouts.core.defaults import ROWS
from qdrant_rollouts.core.deployments import unclaimed
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.operations.views.overview.deployment_situation import (
    get_deployment_with_situation,
)
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.mcp import answers, lists
from qdrant_rollouts.interfaces.mcp.guard import IN_RESOURCES, Guard

_JSON = "application/json"
_INDEXES = "rollouts://indexes"
_INDEX_TEXT = "Indexes, those that need attention first, as the tool list_indexes gives them."
_NEXT_TEXT = "A page; `next` is the resource with the rows that follow, null on the last page."
#: Places in a list, filters and aliases of others are no paths, so they may look like one.
_NO_PATHS = ResourceSecurity(exempt_params={"after", "alias", *lists.EVENT_FILTERS})


def add_resources(server: MCPServer[Any], services: Services, guard: Guard) -> None:
    _add_lists(server, services, guard)

    def read(context: Context, deployment_id: str) -> deployment_answers.DeploymentWithSituation:
        with guard.check_scope(context, "read", IN_RESOURCES):
            return get_deployment_with_situation(services, deployment_id)

    @server.resource("rollouts://deployments/{id}", title="A deployment", mime_type=_JSON)
    def deployment(context: Context, id: str) -> str:
        """One deployment with its situation, its steps, the gate's report and everything that
        happened."""
        return answers.as_json_text(read(context, id))

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
        return answers.as_json_text(seen["gate"])

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
            return answers.as_json_text(
                {"now": found["now"], "workers": takers, "waiting": waiting}
            )


def list_resources(
    services: Services, guard: Guard, context: Context, cursor: str | None
) -> ListResourcesResult:
    """Returns the lists, then those of each index, by pages of ``ROWS`` indexes. A caller that may
    read none of them gets none. Raises Refused for a cursor that is none."""
    if not guard.caller(context).may("read"):
        return ListResourcesResult(resources=[])
    with guard.check_scope(context, "read", IN_RESOURCES):
        page = lists.read_index_page(services, ROWS, cursor or "")
    found = [one for index in page.indexes for one in _list_index(index)]
    if not cursor:
        found = [*_list_of_all(), *found]
    return ListResourcesResult(resources=found, next_cursor=page.next)


def _list_of_all() -> Iterable[Resource]:
    yield Resource(
        uri=_INDEXES, name="indexes", title="Indexes", description=_INDEX_TEXT, mime_type=_JSON
    )
    for listed in lists.OF_ALL:
        yield _build_resource(listed, None)


def _list_index(index: answers.Index) -> Iterable[Resource]:
    """An index that serves nothing has no versions to read."""
    for listed in lists.OF_INDEX:
        if listed.rows != "versions" or index.collection is not None:
            yield _build_resource(listed, index.alias)


def _build_resource(listed: lists.ResourceList, alias: str | None) -> Resource:
    title = listed.title
    if alias is not None:
        title = f"{alias}: {listed.rows}"
    return Resource(
        uri=listed.fill_uri(alias),
        name=title.lower(),
        title=title,
        description=listed.description,
        mime_type=_JSON,
    )


@dataclass(frozen=True, slots=True)
class _ListReader:
    """Reads one list. Its methods have the arguments of its template."""

    services: Services
    guard: Guard
    listed: lists.ResourceList

    def read_all(self, context: Context, after: str = "") -> str:
        return self._read_page(context, None, after)

    def read_index(self, context: Context, alias: str, after: str = "") -> str:
        return self._read_page(context, alias, after)

    def read_events(
        self,
        context: Context,
        after: str = "",
        alias: str = "",
        event: str = "",
        actor: str = "",
        deployment: str = "",
        text: str = "",
        since: str = "",
        until: str = "",
    ) -> str:
        given = {
            "alias": alias,
            "event": event,
            "actor": actor,
            "deployment": deployment,
            "text": text,
            "since": since,
            "until": until,
        }
        filters = {name: given[name] for name in self.listed.filters}
        return self._read_page(context, alias or None, after, filters)

    def _read_page(
        self,
        context: Context,
        alias: str | None,
        after: str,
        filters: Mapping[str, str] | None = None,
    ) -> str:
        with self.guard.check_scope(context, "read", IN_RESOURCES):
            return answers.as_json_text(
                lists.read_page(self.services, self.listed, alias, after, filters)
            )


def _add_lists(server: MCPServer[Any], services: Services, guard: Guard) -> None:
    @server.resource(
        f"{_INDEXES}{{?after}}",
        title="Indexes",
        description=f"{_INDEX_TEXT} {_NEXT_TEXT}",
        mime_type=_JSON,
        security=_NO_PATHS,
    )
    def indexes(context: Context, after: str = "") -> str:
        with guard.check_scope(context, "read", IN_RESOURCES):
            page = lists.read_index_page(services, ROWS, after).model_dump()
            if page["next"] is not None:
                page["next"] = lists.write_next(_INDEXES, page["next"])
            return answers.as_json_text(page)

    for listed in lists.OF_ALL:
        reader = _ListReader(services, guard, listed)
        _add_list(server, listed, reader.read_events if listed.filters else reader.read_all)
    for listed in lists.OF_INDEX:
        reader = _ListReader(services, guard, listed)
        _add_list(server, listed, reader.read_events if listed.filters else reader.read_index)


def _add_list(server: MCPServer[Any], listed: lists.ResourceList, read: Callable[..., str]) -> None:
    server.resource(
        listed.template,
        name=listed.title.lower(),
        title=listed.title,
        description=f"{listed.description} {_NEXT_TEXT}",
        mime_type=_JSON,
        security=_NO_PATHS,
    )(read)
