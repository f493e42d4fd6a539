"""Lists that agents read as resources, page by page.

Rule: a page has at most ``ROWS`` rows, and no more of them than fit into ``ANSWER_SIZE``
characters, but always one. Its ``next`` is the resource with the rows that follow, so a client that
reads one page knows that there are more. The last page has no ``next``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from qdrant_rollouts.core.collections import lineage
from qdrant_rollouts.core.defaults import ROWS
from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.experiments import queries as experiment_queries
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.operations.views.overview import home, store_snapshot
from qdrant_rollouts.core.operations.views.overview.lists import check_index_known
from qdrant_rollouts.core.ports.naming import check_found_name
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.mcp import answers

Row = Mapping[str, Any]

#: One more than a page has, which tells whether the page is the last.
_LOOKAHEAD = ROWS + 1
#: Digits of an event's id; databases count no further.
_LONGEST_ID = 18


@dataclass(frozen=True, slots=True)
class ResourceList:
    """``uri`` names the first page; ``{alias}`` stands in it if the list is that of one index.
    ``read`` returns the rows after a place, for an alias or for all. ``place`` is the place of a
    row."""

    uri: str
    rows: str
    title: str
    description: str
    read: Callable[[Services, str | None, str | None], Sequence[Row]]
    place: Callable[[Row], str]

    @property
    def template(self) -> str:
        return f"{self.uri}{{?after}}"

    def fill_uri(self, alias: str | None) -> str:
        return self.uri.replace("{alias}", quote(alias or "", safe=""))


def read_page(
    services: Services, listed: ResourceList, alias: str | None, after: str
) -> dict[str, Any]:
    """Raises Refused for a name that no alias has, and for a place that is not in the list; Unknown
    for an index of which nothing is known."""
    if alias is not None:
        check_found_name("alias", alias)
    if "\0" in after:
        raise _build_misplaced(after)
    found = listed.read(services, alias, after or None)
    if alias is not None and not found:
        check_index_known(services, alias, store_snapshot.read_snapshot_now(services))
    kept = found[: _count_fitting(found[:ROWS])]
    following = None
    if len(kept) < len(found):
        following = write_next(listed.fill_uri(alias), listed.place(kept[-1]))
    return {listed.rows: kept, "next": following}


def read_index_page(services: Services, limit: int, after: str) -> answers.Indexes:
    """Returns indexes, those that need attention first."""
    seen = store_snapshot.read_snapshot_now(services)
    found = home.describe_home(services, seen, limit, after or None)
    return answers.build_indexes(found, seen.declared)


def write_next(uri: str, place: str) -> str:
    return f"{uri}?after={quote(place, safe='')}"


def _count_fitting(rows: Sequence[Row]) -> int:
    """Returns how many of the rows fit into one answer: at least one."""
    room = answers.ANSWER_SIZE
    for count, row in enumerate(rows):
        room -= len(answers.as_json_text(row))
        if room < 0:
            return max(1, count)
    return len(rows)


def _read_deployments(services: Services, alias: str | None, after: str | None) -> Sequence[Row]:
    return queries.list_deployments(services, alias, _LOOKAHEAD, after=after)


def _read_events(services: Services, alias: str | None, after: str | None) -> Sequence[Row]:
    before = None
    if after is not None:
        if not after.isdecimal() or len(after) > _LONGEST_ID:
            raise _build_misplaced(after)
        before = int(after)
    return queries.list_events(services, alias, _LOOKAHEAD, before=before)


def _read_experiments(services: Services, alias: str | None, after: str | None) -> Sequence[Row]:
    return experiment_queries.list_experiments(services, alias, _LOOKAHEAD, after=after)


def _read_versions(services: Services, alias: str | None, after: str | None) -> Sequence[Row]:
    assert alias is not None
    found = lineage.list_versions(services, alias)["versions"]
    if after is None:
        return found[:_LOOKAHEAD]
    places = [version["collection"] for version in found]
    if after not in places:
        raise _build_misplaced(after)
    begins = places.index(after) + 1
    return found[begins : begins + _LOOKAHEAD]


def _build_misplaced(after: str) -> Malformed:
    return Malformed(
        f"after {quote_value(after)} is no place in the list: read the `next` of the page before"
    )


def _id_of_row(row: Row) -> str:
    return str(row["id"])


def _collection_of_row(row: Row) -> str:
    return str(row["collection"])


OF_ALL = (
    ResourceList(
        "rollouts://deployments",
        "deployments",
        "Deployments",
        "Deployments of all indexes, newest first, with their steps.",
        _read_deployments,
        _id_of_row,
    ),
    ResourceList(
        "rollouts://events",
        "events",
        "Audit events",
        "What happened, newest first: when, who, what and why.",
        _read_events,
        _id_of_row,
    ),
    ResourceList(
        "rollouts://experiments",
        "experiments",
        "Experiments",
        "Experiments, newest first: what each compares, and what it decided.",
        _read_experiments,
        _id_of_row,
    ),
)
OF_INDEX = (
    ResourceList(
        "rollouts://indexes/{alias}/deployments",
        "deployments",
        "An index's deployments",
        "The deployments of an index, newest first, with their steps.",
        _read_deployments,
        _id_of_row,
    ),
    ResourceList(
        "rollouts://indexes/{alias}/versions",
        "versions",
        "An index's versions",
        "The versions of an index, newest first: which one serves, and which are kept or gone.",
        _read_versions,
        _collection_of_row,
    ),
    ResourceList(
        "rollouts://indexes/{alias}/events",
        "events",
        "An index's audit events",
        "What happened to an index, newest first.",
        _read_events,
        _id_of_row,
    ),
)
