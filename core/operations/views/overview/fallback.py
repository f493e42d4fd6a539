"""Is a rollback possible? Green only if everything that it needs is known to exist; otherwise the
page says what is missing.

A rollback checks its target again before it switches; this module predicts the result.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections.deletion import notices as deletion_notices
from qdrant_rollouts.core.collections.deletion.deletions import find_last_deletions
from qdrant_rollouts.core.collections.deletion.notices import DeletionRules
from qdrant_rollouts.core.collections.serving_history import read_history
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.models import Deletion, Deployment, Version
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import way_back
from qdrant_rollouts.core.lifecycle import DeletionStatus, Status
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.times import as_iso

Condition = Mapping[str, str]


def describe_way_back(
    session: Session,
    alias: str,
    live: str | None,
    busy: str,
    seen: StoreSnapshot,
    *,
    embedded: bool,
) -> dict[str, Any]:
    """``ready``: yes, no, or unknown if something could not be asked; ``target`` is the collection
    that would serve. ``brings_back``: what was written since comes with it."""
    history = read_history(session, alias)
    target = history.find_default(live)
    last = _find_last_deployment(session, alias, live)
    if live is None or last is None or target is None:
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
    spec = read_stored(IndexSpec, last.spec)
    deletion = find_last_deletions(session, [target]).get(target)
    made = session.get(Version, target)
    conditions = [
        _check_exists(target, made, deletion, seen),
        _check_not_deleted(target, deletion),
        _check_verdict(made, target),
        {"said": busy or f"nothing else is running on {alias}", "state": "no" if busy else "yes"},
        {
            "said": way_back.describe_writes(session, alias, spec, live, target),
            "state": "yes",
        },
    ]
    states = {one["state"] for one in conditions}
    ready = next(worst for worst in ("no", "unknown", "yes") if worst in states)
    due = None
    if deletion is not None and deletion.status == DeletionStatus.SCHEDULED:
        due = deletion.due_at
    rules = DeletionRules(seen.declared, embedded)
    told = deletion_notices.describe_open_deletions(session, [deletion] if deletion else [], rules)
    said = next((one["text"] for one in told.values()), "")
    return {
        "ready": ready,
        "target": target,
        "delete_after": as_iso(due),
        "said": said,
        "conditions": conditions,
        "brings_back": spec.writes.leads_live,
    }


def _find_last_deployment(session: Session, alias: str, live: str | None) -> Deployment | None:
    """Returns the deployment that made the live version."""
    brought = (
        Deployment.alias == alias,
        Deployment.kind == "rollout",
        Deployment.status == Status.LIVE,
    )
    query = select(Deployment).where(*brought, Deployment.green == live)
    return session.scalars(query.order_by(Deployment.finished_at.desc()).limit(1)).first()


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
