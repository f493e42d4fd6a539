"""How long versions are kept that no longer serve.

Rule: a version is kept while it is one of the last ``retention.versions`` that served (the live one
included), and until ``retention.days`` have passed since it was replaced; in any case for the grace
period. A surplus version gets a deletion, which is checked again when it is due
(``core.collections.deletion.deletions``). A version that a person keeps stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections.deletion import deletions, final_backups
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deployment, Version
from qdrant_rollouts.core.database.step_traits import has_trait
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import FINAL, DeletionEvent, DeletionStatus, Status
from qdrant_rollouts.core.ports.naming import check_found_name
from qdrant_rollouts.core.services import Services

_MINUTES_A_DAY = 1440.0
#: What the latest deletion of a collection may be, so that none is written down for it again.
_DECIDED = (*deletions.OPEN_STATUSES, DeletionStatus.KEPT)


@dataclass(frozen=True, slots=True)
class ServedCollection:
    """``replaced_at`` is None for the live collection, and for one that was moved away by hand."""

    collection: str
    replaced_at: datetime | None


@dataclass(frozen=True, slots=True)
class SurplusVersion:
    """A version that will be deleted, and when."""

    collection: str
    due_at: datetime
    reason: str


def retention_minutes(spec: IndexSpec) -> float:
    """Returns how long a version is kept at least after it was replaced."""
    return max(spec.grace_period_minutes, (spec.retention.days or 0.0) * _MINUTES_A_DAY)


def list_served(session: Session, alias: str) -> list[ServedCollection]:
    """Returns the collections that have served ``alias``, the latest first."""
    query = select(Deployment.blue, Deployment.green, Deployment.finished_at)
    query = query.where(Deployment.alias == alias, Deployment.status == Status.LIVE).order_by(
        Deployment.finished_at
    )
    found: dict[str, datetime | None] = {}
    for blue, green, finished_at in session.execute(query):
        for collection, replaced_at in ((blue, finished_at), (green, None)):
            if collection is not None:
                found.pop(collection, None)
                found[collection] = replaced_at
    return [ServedCollection(*one) for one in reversed(found.items())]


def find_surplus(
    session: Session,
    now: datetime,
    alias: str,
    live: str,
    spec: IndexSpec,
    replaced: str | None = None,
) -> list[SurplusVersion]:
    """Returns versions of ``alias`` that are no longer kept and have no deletion yet.

    ``replaced`` is what ``live`` replaces now. If no retention is declared, this is the only
    candidate, besides collections that others made and an earlier rule kept.
    """
    former = _list_former(session, now, alias, live, replaced)
    last = _last_statuses(session, former)
    there = [one for one in former if last.get(one.collection) != DeletionStatus.DELETED]
    surplus = there[(spec.retention.versions or 1) - 1 :]
    foreign = final_backups.find_foreign(session, [one.collection for one in surplus])
    if not spec.retention.keeps_versions:
        left = foreign - last.keys()
        surplus = [one for one in surplus if one.collection == replaced or one.collection in left]
    if spec.retention.foreign == "keep":
        surplus = [one for one in surplus if one.collection not in foreign]
    return [
        _plan_surplus(one, now, spec, foreign=one.collection in foreign)
        for one in surplus
        if last.get(one.collection) not in _DECIDED
    ]


def find_spec(session: Session, alias: str, declared: Mapping[str, IndexSpec]) -> IndexSpec:
    """Returns the current declaration of the index; if the index file no longer has it, the spec of
    its last deployment."""
    if alias in declared:
        return declared[alias]
    query = select(Deployment).where(Deployment.alias == alias, Deployment.kind == "rollout")
    last = session.scalars(query.order_by(Deployment.created_at.desc()).limit(1)).first()
    if last is not None:
        return read_stored(IndexSpec, last.spec)
    return IndexSpec()


def find_index(session: Session, collection: str) -> str | None:
    """Returns the index that made the collection or that it served; None if no row names one."""
    version = session.get(Version, collection)
    if version is not None:
        return version.alias
    query = select(Deployment.alias).where(
        Deployment.blue == collection, Deployment.kind == "rollout"
    )
    return session.scalars(query.order_by(Deployment.created_at.desc()).limit(1)).first()


def find_kept(
    session: Session, alias: str, live: str, spec: IndexSpec, *, embedded: bool
) -> list[tuple[str, str]]:
    """Returns former collections of ``alias`` that others made and that its rule keeps, each with
    the reason."""
    why = final_backups.reason_to_keep(spec, embedded=embedded)
    former = [one for one in list_served(session, alias) if one.collection != live] if why else []
    last = _last_statuses(session, former)
    ended = (*_DECIDED, DeletionStatus.DELETED)
    names = [one.collection for one in former if last.get(one.collection) not in ended]
    foreign = final_backups.find_foreign(session, names)
    return [(name, why) for name in names if name in foreign]


def schedule_surplus(
    session: Session,
    now: datetime,
    alias: str,
    surplus: Sequence[SurplusVersion],
    *,
    actor: str = events.SYSTEM,
    deployment_id: str | None = None,
) -> None:
    for one in surplus:
        deletions.schedule_deletion(
            session,
            now,
            one.collection,
            max(0.0, (one.due_at - now).total_seconds() / 60),
            reason=one.reason,
            actor=actor,
            alias=alias,
            deployment_id=deployment_id,
        )


def schedule_again(
    session: Session, now: datetime, alias: str, collection: str, spec: IndexSpec, since: datetime
) -> None:
    """Schedules the deletion of ``collection`` anew, with a whole grace period, if it was cancelled
    after ``since`` because a deployment was about to make it serve, which it did not."""
    last = deletions.find_last_deletions(session, [collection]).get(collection)
    if last is None or last.status != DeletionStatus.CANCELLED or last.finished_at is None:
        return
    if last.finished_at < since:
        return
    deletions.schedule_deletion(
        session,
        now,
        collection,
        retention_minutes(spec),
        reason=f"kept for {describe_retention(spec)} after it was to serve {alias} and did not",
        actor=last.actor,
        alias=last.alias,
        deployment_id=last.deployment_id,
    )


def keep_collection(
    services: Services, collection: str, *, actor: str, reason: str = ""
) -> dict[str, str]:
    """Cancels the deletion of ``collection``, or the one that a running deployment will cause; or
    holds a paused deployment that has built it. No other is scheduled unless a person asks. Raises
    Refused if there is none, or if it has begun."""
    check_found_name("collection", collection)
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        words = f"{collection} is kept: {reason or f'{actor} has said so'}"
        if not deletions.cancel_deletion(
            session, now, collection, words, actor, event=DeletionEvent.KEEP, asked=reason
        ):
            _spare_beforehand(session, now, collection, words, actor, reason)
    return {"collection": collection, "status": DeletionStatus.KEPT.value}


def _spare_beforehand(
    session: Session, now: datetime, collection: str, words: str, actor: str, reason: str
) -> None:
    """Recorded before a deletion exists, so that none will be scheduled."""
    moves = Deployment.steps.any(has_trait(lambda step: step.moves_alias))
    replaced = and_(Deployment.blue == collection, Deployment.status.not_in(FINAL))
    held = and_(Deployment.green == collection, Deployment.status == Status.PAUSED)
    query = select(Deployment).where(or_(replaced, held), moves)
    replacing = session.scalars(query.limit(1)).first()
    if replacing is None:
        raise Refused(
            f"no deletion of {collection} is scheduled; `rollouts list` shows those that are"
        )
    last = deletions.find_last_deletions(session, [collection]).get(collection)
    if last is None or last.status != DeletionStatus.KEPT:
        holds = replacing if replacing.green == collection else None
        deletions.record_kept(
            session,
            now,
            collection,
            words,
            actor=actor,
            reason=reason,
            alias=replacing.alias,
            deployment_id=holds.id if holds is not None else None,
        )


def describe_retention(spec: IndexSpec) -> str:
    """Describes how long versions are kept."""
    if (spec.retention.days or 0.0) * _MINUTES_A_DAY > spec.grace_period_minutes:
        return f"{spec.retention.days:g} days"
    return f"{spec.grace_period_minutes:g} minutes"


def _list_former(
    session: Session, now: datetime, alias: str, live: str, replaced: str | None
) -> list[ServedCollection]:
    just = [ServedCollection(replaced, now)] if replaced else []
    return just + [
        one for one in list_served(session, alias) if one.collection not in (live, replaced)
    ]


def _plan_surplus(
    one: ServedCollection, now: datetime, spec: IndexSpec, *, foreign: bool
) -> SurplusVersion:
    due_at = (one.replaced_at or now) + timedelta(minutes=retention_minutes(spec))
    last = ""
    if spec.retention.versions:
        last = f"not among the last {spec.retention.versions} that served; "
    reason = f"{last}kept for {describe_retention(spec)} after it was replaced"
    if foreign and spec.retention.foreign == "backup":
        reason += "; this program did not make it, so a complete backup of it is made first"
    return SurplusVersion(one.collection, due_at, reason)


def _last_statuses(session: Session, former: Sequence[ServedCollection]) -> Mapping[str, str]:
    """Returns the status of each collection's latest deletion."""
    last = deletions.find_last_deletions(session, [one.collection for one in former])
    return {collection: row.status for collection, row in last.items()}
