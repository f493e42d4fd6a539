"""The versions of an index at this moment: which is live, which are kept, which are gone."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers import indexes as index_answers
from qdrant_rollouts.core.answers.deployments import Announced
from qdrant_rollouts.core.collections.deletion import notices as deletion_notices
from qdrant_rollouts.core.collections.serving_history import read_history
from qdrant_rollouts.core.collections.version_facts import describe_mark, version_as_dict
from qdrant_rollouts.core.database.models import Deletion, Deployment, Version
from qdrant_rollouts.core.errors import Unknown
from qdrant_rollouts.core.lifecycle import FINAL, OPEN_DELETIONS, Status
from qdrant_rollouts.core.ports.naming import check_found_name
from qdrant_rollouts.core.sanitize.quoting import shorten_text
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

#: Statuses of a deployment whose version did not go live.
_FAILED = (Status.ROLLED_BACK, Status.NEEDS_OPERATOR)


@dataclass(frozen=True, slots=True)
class _Now:
    """What a version's state depends on: the current alias, the existing collections, open
    deletions by collection, the statuses of each collection's deployments, where a rollback leads,
    and what rollbacks have left."""

    live: str | None
    there: Container[str] | None
    due: Mapping[str, Deletion]
    told: Mapping[int, Announced]
    brought: Mapping[str, Sequence[str]]
    target: str | None
    rolled_away: Container[str]


def list_versions(services: Services, alias: str) -> index_answers.Versions:
    """Returns every version of ``alias``, newest first (contract section 4). Raises Unknown for an
    unknown alias, Unavailable if Qdrant cannot be asked."""
    check_found_name("alias", alias)
    aliases = services.store.aliases()
    return describe_versions(services, alias, aliases, services.store.collections())


def describe_versions(
    services: Services, alias: str, aliases: Mapping[str, str], there: Container[str] | None
) -> index_answers.Versions:
    """The same, for aliases and collections that were read before. None means that the existing
    collections are not known; a version that does not serve then has the state ``unknown``."""
    live = aliases.get(alias)
    with services.sessions() as session:
        rows = _rows_of_versions(session, alias, live)
        if not rows and live is None:
            raise Unknown(
                f"there are no versions of {shorten_text(alias)}; known aliases: "
                f"{', '.join(sorted(aliases)) or 'none'}"
            )
        names = [row.collection for row in rows]
        due = _deletions_by_collection(session, names)
        rules = deletion_notices.read_rules(services)
        told = deletion_notices.describe_open_deletions(session, list(due.values()), rules)
        history = read_history(session, alias)
        now = _Now(
            live,
            there,
            due,
            told,
            _statuses_by_collection(session, names),
            history.find_default(live),
            history.find_rolled_away(live),
        )
        listed = [_describe_version(row, now) for row in rows]
    if live is not None and live not in names:
        listed.insert(0, {"collection": live, "number": None, "live": True, "state": "live"})
    return {"alias": alias, "versions": listed}


def find_number(services: Services, collection: str) -> int | None:
    """Returns the collection's version number; None if another program made it."""
    with services.sessions() as session:
        return session.scalar(select(Version.number).where(Version.collection == collection))


def read_numbers(session: Session, collections: Iterable[str]) -> dict[str, int]:
    """Returns the version number of each collection that is a version."""
    query = select(Version.collection, Version.number)
    found = session.execute(query.where(Version.collection.in_(set(collections))))
    return {row.collection: row.number for row in found}


def _rows_of_versions(session: Session, alias: str, live: str | None) -> list[Version]:
    """A collection may serve an alias that it was not made for."""
    query = select(Version).where(or_(Version.alias == alias, Version.collection == live))
    return list(session.scalars(query.order_by(Version.created_at.desc(), Version.number.desc())))


def _deletions_by_collection(session: Session, collections: Sequence[str]) -> dict[str, Deletion]:
    query = select(Deletion).where(
        Deletion.collection.in_(collections), Deletion.status.in_(OPEN_DELETIONS)
    )
    return {row.collection: row for row in session.scalars(query)}


def _statuses_by_collection(session: Session, collections: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    query = select(Deployment.green, Deployment.status).where(Deployment.green.in_(collections))
    for green, status in session.execute(query):
        found.setdefault(green, []).append(status)
    return found


def _describe_version(row: Version, now: _Now) -> index_answers.Version:
    due = now.due.get(row.collection)
    seen = {
        "collection": row.collection,
        "number": row.number,
        "live": row.collection == now.live,
        "state": _state_of_version(row.collection, now),
        "delete_after": as_iso(due.due_at) if due else None,
        "deletion": now.told[due.id]["text"] if due else None,
        "marked_bad": describe_mark(row),
        "rolled_away": row.collection in now.rolled_away,
        "rollback_target": row.collection == now.target,
        **version_as_dict(row),
    }
    return cast("index_answers.Version", seen)


def _state_of_version(collection: str, now: _Now) -> str:
    brought = now.brought.get(collection, ())
    failed = Status.LIVE not in brought and any(status in _FAILED for status in brought)
    if collection == now.live:
        return "live"
    if any(status not in FINAL and status not in _FAILED for status in brought):
        return "building"
    if failed:
        return "failed"
    if now.there is None:
        return "unknown"
    if collection not in now.there:
        return "gone"
    return "deletion due" if collection in now.due else "retained"
