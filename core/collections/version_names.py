"""How people name a version of an index.

Rule: a name is that of the version's collection, its number with or without a ``v`` before it, or
``live`` for what serves. A collection that is called like a number, or ``live``, comes first.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.errors import Unknown
from qdrant_rollouts.core.ports.naming import check_found_name, shell_word
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services

LIVE = "live"
#: Versions that a message names.
_NAMED = 5


def choose_version(numbers: Mapping[str, int], named: str, live: str | None) -> str | None:
    """Returns the collection that is named; None if it is none of these. ``numbers`` are those of
    the versions by their collections; ``live`` is the collection that serves."""
    if named in numbers or named == live:
        return named
    for collection, number in numbers.items():
        if named in (str(number), f"v{number}"):
            return collection
    return live if named == LIVE else None


def find_collection(services: Services, alias: str, named: str, live: str | None) -> str:
    """Returns the collection of the version of ``alias`` that is named. ``live`` is the collection
    that serves, which may be no version. Raises Unknown, with the versions that there are."""
    check_found_name("alias", alias)
    with services.sessions() as session:
        rows = session.scalars(
            select(Version).where(Version.alias == alias).order_by(Version.number)
        ).all()
        found = choose_version({row.collection: row.number for row in rows}, named, live)
        if found is None:
            raise _build_unknown(session, alias, named, rows)
        return found


def find_version(services: Services, alias: str, named: str) -> Version:
    """Returns the version of ``alias`` that is named. Raises Unknown, with the versions that there
    are; Unavailable if Qdrant must be asked what serves, and does not answer."""
    live = services.store.aliases().get(alias) if named == LIVE else None
    collection = find_collection(services, alias, named, live)
    with services.sessions() as session:
        row = session.get(Version, collection)
    if row is None:
        raise Unknown(
            f"{alias} is served by {collection}, which is no version of it; `rollouts adopt "
            f"{shell_word(alias)}` makes it one"
        )
    if row.alias != alias:
        raise _build_foreign(row, alias)
    return row


def _build_unknown(session: Session, alias: str, named: str, rows: Sequence[Version]) -> Unknown:
    elsewhere = session.get(Version, named)
    if elsewhere is not None:
        return _build_foreign(elsewhere, alias)
    latest = ", ".join(f"{row.number} ({row.collection})" for row in rows[-_NAMED:]) or "none"
    if named == LIVE:
        return Unknown(f"nothing serves {alias}; its latest versions: {latest}")
    return Unknown(f"{alias} has no version {quote_value(named)}; the latest: {latest}")


def _build_foreign(row: Version, alias: str) -> Unknown:
    return Unknown(
        f"{row.collection} is version {row.number} of {row.alias}, not of {alias}; `rollouts "
        f"versions {shell_word(alias)}` lists those of {alias}"
    )
