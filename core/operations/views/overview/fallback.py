"""Is a rollback possible? Green only if everything that it needs is known to exist; otherwise the
page says what is missing.

A rollback checks its target again before it switches; this module predicts the result.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from qdrant_rollouts.core.collections.deletion import notices as deletion_notices
from qdrant_rollouts.core.collections.deletion.deletions import find_last_deletions
from qdrant_rollouts.core.collections.deletion.notices import DeletionRules
from qdrant_rollouts.core.collections.serving_history import read_history
from qdrant_rollouts.core.database.models import Deletion, Version
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.lifecycle import DeletionStatus
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

Condition = Mapping[str, str]


def describe_way_back(
    services: Services, alias: str, live: str | None, busy: str, seen: StoreSnapshot
) -> dict[str, Any]:
    """``ready``: yes, no, or unknown if something could not be asked; ``target`` is the collection
    that would serve. ``brings_back``: what was written since comes with it. A condition with
    ``unless`` does not hold for a rollback with that option."""
    with services.sessions() as session:
        history = read_history(session, alias)
    target = history.find_default(live)
    if live is None or target is None:
        missing = "no version before this one went live here"
        if history.served - {live}:
            missing += ", or a rollback has left it, or it is marked bad"
        there = {"said": missing, "state": "no"}
        return {
            "ready": "no",
            "target": None,
            "delete_after": None,
            "said": "",
            "conditions": [there],
            "brings_back": False,
        }
    writes, brings_back = _check_writes(services, alias, live, target, seen)
    with services.sessions() as session:
        deletion = find_last_deletions(session, [target]).get(target)
        made = session.get(Version, target)
        rules = DeletionRules(seen.declared, services.store.embedded)
        told = deletion_notices.describe_open_deletions(
            session, [deletion] if deletion else [], rules
        )
    conditions = [
        _check_exists(target, made, deletion, seen),
        _check_not_deleted(target, deletion),
        _check_verdict(made, target),
        {"said": busy or f"nothing else is running on {alias}", "state": "no" if busy else "yes"},
        writes,
    ]
    states = {one["state"] for one in conditions}
    ready = next(worst for worst in ("no", "unknown", "yes") if worst in states)
    due = None
    if deletion is not None and deletion.status == DeletionStatus.SCHEDULED:
        due = deletion.due_at
    return {
        "ready": ready,
        "target": target,
        "delete_after": as_iso(due),
        "said": next((one["text"] for one in told.values()), ""),
        "conditions": conditions,
        "brings_back": brings_back,
    }


def _check_writes(
    services: Services, alias: str, live: str, target: str, seen: StoreSnapshot
) -> tuple[Condition, bool]:
    """Returns what becomes of writes, as the command says it, and whether they come along. A server
    that did not answer a moment ago is not asked again."""
    unasked = f"what becomes of what was written to {live} cannot be asked"
    if seen.error:
        return {"said": f"{unasked}: {seen.error}", "state": "unknown"}, True
    try:
        writes = commands.foresee_writes(services, alias, live, target)
    except AppError as error:
        return {"said": f"{unasked}: {error}", "state": "unknown"}, True
    if writes.refusal:
        return {"said": writes.refusal, "state": "no", "unless": "now"}, True
    return {"said": writes.said, "state": "yes"}, writes.brings_back


def _check_exists(
    target: str, made: Version | None, deletion: Deletion | None, seen: StoreSnapshot
) -> Condition:
    if deletion is not None and deletion.status == DeletionStatus.DELETED:
        return {
            "said": f"{target} was deleted {_format_minute(deletion.finished_at)}",
            "state": "no",
        }
    if seen.collections is None or seen.error:
        return {
            "said": f"whether {target} is there cannot be asked: {seen.error or 'not yet'}",
            "state": "unknown",
        }
    there = target in seen.collections
    if not there and (seen.at is None or (made is not None and made.created_at > seen.at)):
        return {"said": f"{target} was not looked for since it was made", "state": "unknown"}
    return {
        "said": f"{target} is there" if there else f"{target} is not there",
        "state": "yes" if there else "no",
    }


def _check_not_deleted(target: str, deletion: Deletion | None) -> Condition:
    if deletion is None or deletion.status in (DeletionStatus.CANCELLED, DeletionStatus.KEPT):
        return {"said": "no deletion of it is scheduled", "state": "yes"}
    if deletion.status == DeletionStatus.SCHEDULED:
        return {
            "said": f"its deletion has not begun; due {_format_minute(deletion.due_at)}",
            "state": "yes",
        }
    return {"said": f"its deletion is {deletion.status}", "state": "no"}


def _check_verdict(version: Version | None, target: str) -> Condition:
    """Returns what is known about its gate. A version that was never judged proves nothing, but a
    rollback does not refuse it."""
    verdict = None
    if version:
        verdict = (version.facts.get("gate") or {}).get("verdict")
    if verdict is None:
        return {
            "said": f"no gate is on record for {target}; the rollback looks at it",
            "state": "unknown",
        }
    return {
        "said": f"its gate said {verdict} when it was built",
        "state": "yes" if verdict == "pass" else "unknown",
    }


def _format_minute(moment: datetime | None) -> str:
    if not moment:
        return ""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
