"""The texts about a coming deletion: that it will happen, when, on which condition, and how to keep
the collection.

Rule: everything that mentions a deletion uses these texts. They never wait for Qdrant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers.deployments import Announced
from qdrant_rollouts.core.collections.deletion import deletions, final_backups, retention_policy
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.models import Deletion, Deployment, Version
from qdrant_rollouts.core.database.step_traits import has_step
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import FINAL, DeletionStatus, Event, Status
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

_BACKUP_FIRST = ", once a whole backup of it exists"
_OTHERS = f"{_BACKUP_FIRST}, for this program did not make it"


@dataclass(frozen=True, slots=True)
class DeletionRules:
    """What decides about deletions: the index file, and whether backups can be made at all."""

    declared: Mapping[str, IndexSpec]
    embedded: bool


def read_rules(services: Services) -> DeletionRules:
    """If the index file cannot be read, deletions are still shown; the earlier declarations
    apply."""
    try:
        declared = services.indexes()
    except Refused:
        declared = {}
    return DeletionRules(declared, services.store.embedded)


def describe_open_deletions(
    session: Session, rows: Sequence[Deletion], rules: DeletionRules
) -> dict[int, Announced]:
    """Describes the open deletions among ``rows``, by id, with a fixed number of queries."""
    to_come = [row for row in rows if row.status in deletions.OPEN_STATUSES]
    if not to_come:
        return {}
    names = [row.collection for row in to_come]
    known = _load_rows_of_rules(session, to_come, names)
    foreign = final_backups.find_foreign(session, names)
    told = {
        row.id: _describe_open_deletion(session, row, rules, row.collection in foreign)
        for row in to_come
    }
    del known
    return told


def describe_deletions_to_come(
    session: Session, now: datetime, row: Deployment, rules: DeletionRules
) -> list[Announced]:
    """Describes what a running deployment will have deleted when it is live. Empty if its plan
    moves no alias, and if it goes back or was asked to."""
    if row.kind != "rollout" or row.blue is None or row.status in (*FINAL, Status.ROLLING_BACK):
        return []
    if row.requested == Event.ABORT:
        return []
    if not has_step((step.name for step in row.steps), lambda step: step.moves_alias):
        return []
    spec = read_stored(IndexSpec, row.spec)
    surplus = retention_policy.find_surplus(
        session, now, row.alias, row.green, spec, replaced=row.blue
    )
    foreign = final_backups.find_foreign(session, [one.collection for one in surplus])
    told = []
    for one in surplus:
        waits = ""
        if one.collection == row.blue:
            waits = f"{retention_policy.describe_retention(spec)} after {row.green} is live"
        when = waits or f"when {row.green} is live"
        told.append(
            _build_announcement(one.collection, None, when, spec, one.collection in foreign, rules)
        )
    return told


def _load_rows_of_rules(
    session: Session, rows: Sequence[Deletion], names: Sequence[str]
) -> list[object]:
    """Loads the rows that ``rule_of`` looks up one by one; while they are referenced, it finds them
    in the session."""
    versions = list(session.scalars(select(Version).where(Version.collection.in_(names))))
    ids = {row.deployment_id for row in rows} | {version.deployment_id for version in versions}
    wanted = select(Deployment).where(Deployment.id.in_([id for id in ids if id is not None]))
    return [*versions, *session.scalars(wanted)]


def _describe_open_deletion(
    session: Session, row: Deletion, rules: DeletionRules, foreign: bool
) -> Announced:
    if row.status == DeletionStatus.DELETING:
        text = f"{row.collection} is being deleted"
        return {
            "collection": row.collection,
            "delete_after": as_iso(row.due_at),
            "text": text,
            "keep": None,
        }
    spec = final_backups.find_ruling_spec(session, row, rules.declared) or IndexSpec()
    governed = foreign and row.alias is not None
    return _build_announcement(
        row.collection, row.due_at, deletions.describe_due_time(row), spec, governed, rules
    )


def _build_announcement(
    collection: str,
    due_at: datetime | None,
    when: str,
    spec: IndexSpec,
    foreign: bool,
    rules: DeletionRules,
) -> Announced:
    keep = deletions.keep_command(collection)
    kept = ""
    if foreign:
        kept = final_backups.reason_to_keep(spec, embedded=rules.embedded)
    if kept:
        text = f"{collection} is not deleted: this program did not make it, and {kept}. It is kept"
    else:
        text = deletions.describe_deletion(collection, when + _describe_condition(spec, foreign))
    return {"collection": collection, "delete_after": as_iso(due_at), "text": text, "keep": keep}


def _describe_condition(spec: IndexSpec, foreign: bool) -> str:
    if spec.retention.final_backup:
        return _BACKUP_FIRST
    if not final_backups.is_wanted(spec, foreign):
        return ""
    return _OTHERS
