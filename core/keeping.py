"""How long versions are kept that no longer serve.

Rule: a version is kept while it is one of the last ``retention.versions`` that served, the live one counted, and until
``retention.days`` have passed since it was replaced, at least for the grace period. What is over is written down as a
deletion and looked at again when it is due (``core.retention``). What a person has said to keep stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import events, retention
from core.errors import Refused
from core.index_file import IndexSpec, RetentionSpec
from core.lifecycle import Status
from core.models import Deletion, Deployment
from core.naming import check_found_name
from core.services import Services

_MINUTES_A_DAY = 1440.0


@dataclass(frozen=True, slots=True)
class Served:
    """``replaced_at`` is None for what serves, and for what was moved away by hand."""

    collection: str
    replaced_at: datetime | None


@dataclass(frozen=True, slots=True)
class Over:
    """A version that is to go, and when."""

    collection: str
    due_at: datetime
    reason: str


def minutes(spec: IndexSpec) -> float:
    """How long a version is kept at least after it was replaced."""
    return max(spec.grace_period_minutes, (spec.retention.days or 0.0) * _MINUTES_A_DAY)


def history(session: Session, alias: str) -> list[Served]:
    """The collections that have served ``alias``, the latest first."""
    query = select(Deployment.blue, Deployment.green, Deployment.finished_at)
    query = query.where(Deployment.alias == alias, Deployment.status == Status.LIVE).order_by(Deployment.finished_at)
    found: dict[str, datetime | None] = {}
    for blue, green, finished_at in session.execute(query):
        for collection, replaced_at in ((blue, finished_at), (green, None)):
            if collection is not None:
                found.pop(collection, None)
                found[collection] = replaced_at
    return [Served(*one) for one in reversed(found.items())]


def over(
    session: Session, now: datetime, alias: str, live: str, spec: IndexSpec, replaced: str | None = None
) -> list[Over]:
    """Versions of ``alias`` that are kept no longer and whose deletion is not written down yet. ``replaced`` is what
    ``live`` replaces in this moment; where nothing is said of retention there is no other to speak of."""
    just = [Served(replaced, now)] if replaced else []
    before = history(session, alias) if spec.retention != RetentionSpec() else []
    former = just + [one for one in before if one.collection not in (live, replaced)]
    last = _last_deletions(session, former)
    there = [one for one in former if last.get(one.collection) != "deleted"]
    surplus = there[(spec.retention.versions or 1) - 1 :]
    return [_over(one, now, spec) for one in surplus if last.get(one.collection) not in (*retention.OPEN, "kept")]


def schedule(
    session: Session,
    now: datetime,
    alias: str,
    surplus: Sequence[Over],
    *,
    actor: str = events.SYSTEM,
    deployment_id: str | None = None,
) -> None:
    for one in surplus:
        retention.schedule(
            session,
            now,
            one.collection,
            max(0.0, (one.due_at - now).total_seconds() / 60),
            reason=one.reason,
            actor=actor,
            alias=alias,
            deployment_id=deployment_id,
        )


def keep(services: Services, collection: str, *, actor: str, reason: str = "") -> dict[str, str]:
    """Cancels the deletion of ``collection``; none is written down for it again unless a person asks. Raises Refused
    where there is none, or where it has begun."""
    check_found_name("collection", collection)
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        words = f"{collection} is kept" + (f": {reason}" if reason else f": {actor} has said so")
        if not retention.cancel(session, now, collection, words, actor, status="kept", asked=reason):
            raise Refused(f"no deletion of {collection} is scheduled; `rollouts list` shows those that are")
    return {"collection": collection, "status": "kept"}


def words(spec: IndexSpec) -> str:
    """How long, for people."""
    if (spec.retention.days or 0.0) * _MINUTES_A_DAY > spec.grace_period_minutes:
        return f"{spec.retention.days:g} days"
    return f"{spec.grace_period_minutes:g} minutes"


def _over(one: Served, now: datetime, spec: IndexSpec) -> Over:
    due_at = (one.replaced_at or now) + timedelta(minutes=minutes(spec))
    last = f"not among the last {spec.retention.versions} that served; " if spec.retention.versions else ""
    return Over(one.collection, due_at, f"{last}kept for {words(spec)} after it was replaced")


def _last_deletions(session: Session, former: Sequence[Served]) -> Mapping[str, str]:
    """The status of each collection's latest deletion."""
    names = [one.collection for one in former]
    query = select(Deletion.collection, Deletion.status).where(Deletion.collection.in_(names)).order_by(Deletion.id)
    return {row.collection: row.status for row in session.execute(query)}
