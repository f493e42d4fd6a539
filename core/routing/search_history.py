"""The searches of users over time, by collection: each minute for a day, each hour for 90 days.

Rule: a batch is added to its minute and to its hour in the transaction that folds it away, so it
counts once, whoever folds and wherever that is stopped. Nothing is converted later: what is too old
is deleted. Batches that nobody has folded yet are read from where they are
(``core.routing.traffic.list_unfolded``).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Row, delete, select, tuple_
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.history_rows import SearchHistoryRow
from qdrant_rollouts.core.database.models import TrafficRow
from qdrant_rollouts.core.database.upserts import insert_new
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.search_counts import SearchCounts
from qdrant_rollouts.core.times import floor_time

MINUTE = "minute"
HOUR = "hour"
WINDOWS: Mapping[str, timedelta] = {MINUTE: timedelta(minutes=1), HOUR: timedelta(hours=1)}
#: How long the rows of a level are kept. A chart of a whole day begins in the hour before.
KEPT: Mapping[str, timedelta] = {MINUTE: timedelta(hours=25), HOUR: timedelta(days=90)}

#: So many rows are locked by one statement.
_MOST_PLACES = 500
#: Alias, level, beginning and collection: the key of a row.
_Place = tuple[str, str, datetime, str]
Searches = Row[datetime, str, int, bytes]


def add_searches(session: Session, batches: Iterable[TrafficRow]) -> None:
    """Adds batches in the caller's transaction, which must also see to it that nobody adds them
    again."""
    added: dict[_Place, SearchCounts] = defaultdict(SearchCounts)
    for batch in batches:
        for level, window in WINDOWS.items():
            begun = floor_time(batch.at, window)
            added[batch.alias, level, begun, batch.collection].add_sketch(batch.tally)
    insert_new(session, SearchHistoryRow, [_write_empty_row(place) for place in added])
    for row in _lock_rows(session, added):
        counts = added[row.alias, row.level, row.at, row.collection]
        counts.add_packed(row.errors, row.latencies)
        row.errors = counts.errors
        row.latencies = counts.pack_latencies()


def list_searches(
    session: Session, alias: str, level: str, since: datetime, until: datetime
) -> Sequence[Searches]:
    """Returns beginning, collection, errors and packed latencies of the rows that began from
    ``since`` on and before ``until``."""
    row = SearchHistoryRow
    query = select(row.at, row.collection, row.errors, row.latencies).where(
        row.alias == alias, row.level == level, row.at >= since, row.at < until
    )
    return session.execute(query).all()


def prune_searches(services: Services) -> int:
    """Deletes what is older than its level is kept; returns how many rows. Safe in parallel."""
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        gone = 0
        for level, kept in KEPT.items():
            old = SearchHistoryRow.level == level, SearchHistoryRow.at < now - kept
            statement = delete(SearchHistoryRow).where(*old).returning(SearchHistoryRow.at)
            gone += len(session.execute(statement).all())
        return gone


def _write_empty_row(place: _Place) -> dict[str, object]:
    alias, level, at, collection = place
    return {
        "alias": alias,
        "level": level,
        "at": at,
        "collection": collection,
        "errors": 0,
        "latencies": b"",
    }


def _lock_rows(session: Session, places: Iterable[_Place]) -> Iterator[SearchHistoryRow]:
    """Returns the rows of these places, which exist. They are locked in one order, so that two
    transactions cannot wait for each other."""
    table = SearchHistoryRow
    key = table.alias, table.level, table.at, table.collection
    query = select(table).order_by(*key).with_for_update()
    query = query.execution_options(populate_existing=True)
    ordered = sorted(places)
    for begin in range(0, len(ordered), _MOST_PLACES):
        some = ordered[begin : begin + _MOST_PLACES]
        yield from session.scalars(query.where(tuple_(*key).in_(some)))
