"""Lists that agents read as resources, page by page.

Rule: a page has at most ``ROWS`` rows, and no more of them than fit into ``ANSWER_SIZE``
characters. Its ``next`` is the resource with the rows that follow, so a client that reads one page
knows that there are more. The last page has no ``next``. A page is empty only if there are no rows,
or if none of the many events that it looked through is wanted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from qdrant_rollouts.core.collections import lineage
from qdrant_rollouts.core.defaults import ROWS
from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.experiments import queries as experiment_queries
from qdrant_rollouts.core.operations.views import audit_events, queries
from qdrant_rollouts.core.operations.views.overview import home, store_snapshot
from qdrant_rollouts.core.operations.views.overview.index_page import check_index_known
from qdrant_rollouts.core.ports.naming import check_found_name
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.mcp import answers

Row = Mapping[str, Any]

#: One more than a page has, which tells whether the page is the last.
_LOOKAHEAD = ROWS + 1
#: Digits of an event's id; databases count no further.
_LONGEST_ID = 18
#: What narrows a list of events, as over HTTP.
EVENT_FILTERS = ("event", "actor", "deployment", "text", "since", "until")
_LONGEST_FILTER = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of a list: those of ``alias``, or of all; those that follow the place ``after``;
    those that fit the ``filters``."""

    alias: str | None
    after: str | None
    filters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rows:
    """``following`` is the place after which there may be more rows than these."""

    rows: Sequence[Row]
    following: str | None = None


@dataclass(frozen=True, slots=True)
class ResourceList:
    """``uri`` names the first page; ``{alias}`` stands in it if the list is that of one index.
    ``place`` is the place of a row. ``filters`` are the parameters that narrow the list."""

    uri: str
    rows: str
    title: str
    description: str
    read: Callable[[Services, Wanted], Rows]
    place: Callable[[Row], str]
    filters: Sequence[str] = ()

    @property
    def template(self) -> str:
        return f"{self.uri}{{?{','.join(('after', *self.filters))}}}"

    def fill_uri(self, alias: str | None) -> str:
        return self.uri.replace("{alias}", quote(alias or "", safe=""))


def read_page(
    services: Services,
    listed: ResourceList,
    alias: str | None,
    after: str,
    filters: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Raises Malformed for a name that no alias has, for a place that is not in the list, and for a
    filter that can never be right; Unknown for an index of which nothing is known."""
    if alias is not None:
        check_found_name("alias", alias)
    if "\0" in after:
        raise _build_misplaced(after)
    given = {name: value for name, value in (filters or {}).items() if value}
    for name, value in given.items():
        _check_filter(name, value)
    found = listed.read(services, Wanted(alias, after or None, given))
    if alias is not None and not found.rows:
        check_index_known(services, alias, store_snapshot.read_snapshot_now(services))
    kept = found.rows[: _count_fitting(found.rows[:ROWS])]
    place = found.following
    if len(kept) < len(found.rows):
        place = listed.place(kept[-1])
    following = None
    if place is not None:
        following = write_next(listed.fill_uri(alias), place, given)
    return {listed.rows: kept, "next": following}


def read_index_page(services: Services, limit: int, after: str) -> answers.Indexes:
    """Returns indexes, those that need attention first."""
    seen = store_snapshot.read_snapshot_now(services)
    found = home.describe_home(services, seen, limit, after or None)
    return answers.build_indexes(found, seen.declared)


def write_next(uri: str, place: str, filters: Mapping[str, str] | None = None) -> str:
    asked = urlencode({**(filters or {}), "after": place}, quote_via=quote, safe="")
    return f"{uri}?{asked}"


def _check_filter(name: str, value: str) -> None:
    if "\0" in value or len(value) > _LONGEST_FILTER:
        raise Malformed(
            f"{name} is {quote_value(value)}, {len(value):,} characters; expected 1 to "
            f"{_LONGEST_FILTER} without NUL: shorten it"
        )


def _count_fitting(rows: Sequence[Row]) -> int:
    """Returns how many of the rows fit into one answer: at least one."""
    room = answers.ANSWER_SIZE
    for count, row in enumerate(rows):
        room -= len(answers.as_json_text(row))
        if room < 0:
            return max(1, count)
    return len(rows)


def _read_deployments(services: Services, wanted: Wanted) -> Rows:
    return Rows(queries.list_deployments(services, wanted.alias, _LOOKAHEAD, after=wanted.after))


def _read_events(services: Services, wanted: Wanted) -> Rows:
    before = None
    if wanted.after is not None:
        if not wanted.after.isdecimal() or len(wanted.after) > _LONGEST_ID:
            raise _build_misplaced(wanted.after)
        before = int(wanted.after)
    given = {**wanted.filters, "alias": wanted.alias or ""}
    asked = audit_events.read_event_filter(services, given)
    found = audit_events.list_audit_events(services, asked, ROWS, before)
    following = None if found["next"] is None else str(found["next"])
    return Rows(found["events"], following)


def _read_experiments(services: Services, wanted: Wanted) -> Rows:
    return Rows(
        experiment_queries.list_experiments(services, wanted.alias, _LOOKAHEAD, after=wanted.after)
    )


def _read_versions(services: Services, wanted: Wanted) -> Rows:
    assert wanted.alias is not None
    found = lineage.list_versions(services, wanted.alias)["versions"]
    if wanted.after is None:
        return Rows(found[:_LOOKAHEAD])
    places = [version["collection"] for version in found]
    if wanted.after not in places:
        raise _build_misplaced(wanted.after)
    begins = places.index(wanted.after) + 1
    return Rows(found[begins : begins + _LOOKAHEAD])


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
        "What happened, newest first: when, who, what and why; narrowed as by `rollouts events`.",
        _read_events,
        _id_of_row,
        ("alias", *EVENT_FILTERS),
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
        "What happened to an index, newest first; narrowed as by `rollouts events`.",
        _read_events,
        _id_of_row,
        EVENT_FILTERS,
    ),
)
