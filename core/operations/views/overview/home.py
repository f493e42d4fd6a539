"""Every index with the first questions: does it serve, since when, what is running, must a person
act?"""

from bisect import bisect_right
from collections.abc import Mapping

from qdrant_rollouts.core.answers import indexes as index_answers
from qdrant_rollouts.core.defaults import INDEXES
from qdrant_rollouts.core.errors import Malformed, Unknown
from qdrant_rollouts.core.operations.views.overview.index_rows import describe_indexes
from qdrant_rollouts.core.operations.views.overview.ranking import ERROR, rank_indexes
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

#: How many known indexes are named to a person who asked for another one.
_NAMED = 20


def describe_home(
    services: Services, seen: StoreSnapshot, limit: int = INDEXES, after: str | None = None
) -> index_answers.Home:
    """Returns indexes that need attention first, then those with something running, then the rest
    by name: at most ``limit``, those that follow the place ``after``, which is the ``next`` of the
    page before. Raises Malformed if it is not a place."""
    with services.sessions() as session:
        now = services.clock.now(session)
        ranked = rank_indexes(session, seen)
        ranks = ranked.ranks
        left = sorted((-rank, alias) for alias, rank in ranks.items())
        if after is not None:
            left = left[bisect_right(left, _read_place(after)) :]
        page = [alias for _, alias in left[:limit]]
        indexes = describe_indexes(services, session, now, seen, ranked, page)
    return {
        "now": as_iso(now),
        "indexes": indexes,
        "next": f"{ranks[page[-1]]}:{page[-1]}" if len(page) < len(left) else None,
        "total": len(ranks),
        "attention": len(ranked.calling),
        **describe_outages(seen),
    }


def _read_place(after: str) -> tuple[int, str]:
    """Returns the place in the order of the home page. It has the rank too, because the rank of an
    index may change between two pages. Raises Malformed."""
    rank, colon, alias = after.partition(":")
    if not (colon and len(rank) == 1 and rank.isdecimal() and int(rank) <= ERROR):
        raise Malformed(
            f"after {quote_value(after)} is no place in the list: say the `next` of the page before"
        )
    return -int(rank), alias


def find_index(services: Services, alias: str, seen: StoreSnapshot) -> index_answers.Index:
    """Raises Unknown for an index that is not declared and has no alias."""
    with services.sessions() as session:
        now = services.clock.now(session)
        ranked = rank_indexes(session, seen)
        _check_known(alias, ranked.ranks)
        (found,) = describe_indexes(services, session, now, seen, ranked, [alias])
    return found


def _check_known(alias: str, ranks: Mapping[str, int]) -> None:
    if alias in ranks:
        return
    known = ", ".join(sorted(ranks)[:_NAMED]) or "none"
    if len(ranks) > _NAMED:
        known += f" and {len(ranks) - _NAMED:,} more"
    raise Unknown(f"alias {alias} neither exists nor is declared in the index file; known: {known}")


def describe_outages(seen: StoreSnapshot) -> index_answers.Sight:
    """Returns what could not be asked, and since when; every page shows it."""
    return {
        "qdrant_error": seen.error,
        "qdrant_since": as_iso(seen.since),
        "qdrant_at": as_iso(seen.at),
        "file_error": seen.file_error,
    }
