"""Versions that a person has marked bad.

Rule: a mark changes nothing that serves or is kept. It only says which version nobody should go
back to; a rollback to it needs a confirmation.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers.indexes import Marked
from qdrant_rollouts.core.collections.serving_history import read_history
from qdrant_rollouts.core.collections.version_facts import describe_mark, name_version
from qdrant_rollouts.core.collections.version_names import find_version
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import AliasState, Deployment, Version
from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.lifecycle import FINAL
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.services import Services


def mark_version(
    services: Services, alias: str, named: str, *, bad: bool, actor: str, reason: str = ""
) -> Marked:
    """Marks a version bad, or takes the mark back. Raises Unknown for a version that ``alias`` does
    not have, Malformed for a bad one without a reason. The same mark once more changes nothing."""
    if bad and not reason.strip():
        raise Malformed("a version is marked bad for a reason: say why with `--reason` or `reason`")
    collection = find_version(services, alias, named).collection
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        row = session.get_one(Version, collection, with_for_update=True)
        was_bad = row.marked_bad_at is not None
        changes = was_bad != bad or (bad and row.marked_bad_because != reason)
        if changes:
            row.marked_bad_at = now if bad else None
            row.marked_bad_by = actor if bad else None
            row.marked_bad_because = reason if bad else None
        event = "marked_bad" if bad else "mark_removed"
        events.record_event(
            session,
            now,
            f"version.{event}" if changes else "version.mark_unchanged",
            name_version(row),
            actor=actor,
            reason=reason,
            alias=alias,
            deployment_id=row.deployment_id,
        )
        return {
            "alias": alias,
            "collection": collection,
            "number": row.number,
            "marked_bad": describe_mark(row),
            "changed": changes,
            "next": _say_next(session, row) if bad else "nothing to do",
        }


def _say_next(session: Session, row: Version) -> str:
    """Returns what to do about a bad version that serves, or that a deployment leads to."""
    brings = select(Deployment.id).where(
        Deployment.green == row.collection,
        Deployment.kind == "rollout",
        Deployment.status.not_in(FINAL),
    )
    running = session.scalars(brings.limit(1)).first()
    if running is not None:
        return f"deployment {running} leads to it: `rollouts abort {running}`"
    serves = select(AliasState.alias).where(AliasState.desired == row.collection)
    served = session.scalars(serves.limit(1)).first()
    if served is not None:
        return _say_way_from(session, served, row.collection)
    return "nothing to do: no rollback chooses it by itself"


def _say_way_from(session: Session, alias: str, live: str) -> str:
    word = shell_word(alias)
    if read_history(session, alias).find_default(live) is None:
        return (
            f"it serves {alias}, and there is no version before it to go back to: "
            f"`rollouts versions {word}` shows the others"
        )
    return f"it serves {alias}: `rollouts rollback {word}` goes back"
