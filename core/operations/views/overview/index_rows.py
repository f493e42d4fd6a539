"""What a row of the list of indexes says: what serves and since when, what is running, how the last
rebuild ended, and what a person must do."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts.outbox import read_message
from qdrant_rollouts.core.answers import indexes as index_answers
from qdrant_rollouts.core.answers.deployments import Announced
from qdrant_rollouts.core.config.index_file import ScheduleSpec
from qdrant_rollouts.core.database.alert_rows import ConditionRow
from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.database.models import AliasState, Deletion, Deployment, Version
from qdrant_rollouts.core.database.schedule_rows import Schedule, ScheduleRun
from qdrant_rollouts.core.database.step_data import Progress, read_progress
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments.end_messages import find_cause
from qdrant_rollouts.core.deployments.turns import current_step
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.operations.schedules.declared import start_of
from qdrant_rollouts.core.operations.views.overview.known_rows import KnownRows
from qdrant_rollouts.core.operations.views.overview.ranking import Ranked, leads_elsewhere
from qdrant_rollouts.core.operations.views.overview.step_labels import label_step
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.operations.views.queries import outline_deployment
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso


def describe_indexes(
    services: Services,
    session: Session,
    now: datetime,
    seen: StoreSnapshot,
    ranked: Ranked,
    aliases: Sequence[str],
) -> list[index_answers.Index]:
    """Describes some of the indexes, in the order of ``aliases``, with a fixed number of
    queries."""
    known = KnownRows(services, session, now, seen, ranked, aliases)
    return [_describe_index(alias, ranked.ranks[alias], known, seen) for alias in aliases]


def _describe_index(
    alias: str, rank: int, known: KnownRows, seen: StoreSnapshot
) -> index_answers.Index:
    meant = known.meant.get(alias)
    running = known.running.get(alias)
    last = known.last.get(alias)
    live = meant.desired if meant is not None else (seen.aliases or {}).get(alias)
    attention = [
        *_describe_conditions(known.conditions.get(alias, ())),
        *_find_contradictions(alias, meant, seen),
    ]
    if last is not None and last.status == Status.ROLLED_BACK and running is None:
        cause = find_cause(last.message)
        said = f"the last deployment was rolled back: {cause.what}"
        act = f"{cause.next.rstrip('.') or 'see why, correct it'}, then rollouts deploy "
        act += shell_word(alias)
        link = f"/deployments/{last.id}"
        attention.append(_build_attention("warn", said, last.finished_at, link, act))
    return {
        "alias": alias,
        "live": _describe_live(live, known.versions.get(live or ""), meant),
        "running": _describe_under_way(running, known) if running is not None else None,
        "last": outline_deployment(last) if last is not None else None,
        "rebuild": _describe_rebuild(known.schedules.get(alias, ()), known),
        "experiment": _describe_experiment(known.experiments.get(alias)),
        "deletions": [
            _describe_open_deletion(row, known.told[row.id])
            for row in known.deletions.get(alias, ())
        ],
        "attention": attention,
        "rank": rank,
    }


def _build_attention(
    severity: str, text: str, since: Any, link: str = "", act: str = ""
) -> index_answers.Attention:
    return {"severity": severity, "text": text, "since": as_iso(since), "link": link, "next": act}


def _describe_conditions(rows: Iterable[ConditionRow]) -> list[index_answers.Attention]:
    return [_describe_condition(row) for row in rows]


def _describe_condition(row: ConditionRow) -> index_answers.Attention:
    told = read_message(row.message)
    link = "/alerts"
    if told["deployment_id"]:
        link = f"/deployments/{told['deployment_id']}"
    return _build_attention(told["severity"], told["text"], row.since, link, told["next"])


def _find_contradictions(
    alias: str, meant: AliasState | None, seen: StoreSnapshot
) -> list[index_answers.Attention]:
    """Lists where Qdrant contradicts the rows. For an alias that is being moved now, a difference
    is expected."""
    if meant is None or not meant.settled or not leads_elsewhere(alias, meant.desired, seen):
        return []
    assert seen.aliases is not None
    assert seen.at is not None
    if meant.changed_at > seen.at:
        return []
    found = seen.aliases.get(alias) or "nothing"
    said = f"Qdrant's alias leads to {found}, and was last set to {meant.desired}"
    return [
        _build_attention(
            "error",
            said,
            seen.at,
            f"/indexes/{quote(alias, safe='')}",
            "see who moved it: `rollouts events`",
        )
    ]


def _describe_live(
    collection: str | None, version: Version | None, meant: AliasState | None
) -> index_answers.Live | None:
    if collection is None:
        return None
    facts = version.facts if version is not None else {}
    since = (facts.get("served") or {}).get("since") or as_iso(meant.changed_at if meant else None)
    return {
        "collection": collection,
        "number": version.number if version else None,
        "since": since,
        "built_at": as_iso(version.created_at) if version else None,
        "points": facts.get("points"),
        "model": facts.get("model"),
        "gate": (facts.get("gate") or {}).get("verdict"),
    }


def _describe_under_way(row: Deployment, known: KnownRows) -> index_answers.UnderWay:
    step = current_step(row)
    name = ""
    position = len(row.steps)
    progress = None
    if step is not None:
        name = label_step(step.name, step.arguments)
        position = step.position
        progress = read_progress(step.state)
    progress = progress or Progress(done=0, size=0)
    counted = ""
    if progress.unit == "searches":
        counted = f"{progress.done:,} of {progress.size:,} searches"
    return {
        **outline_deployment(row),
        "paused_for": row.paused_for,
        "waits": known.waits.get(row.id, ""),
        "step": name,
        "position": position + 1,
        "steps": len(row.steps),
        "share": progress.done / progress.size if progress.size else None,
        "counted": counted,
        "set": progress.set,
        "confirmed": progress.confirmed,
        "queue": known.queue.get(row.id),
    }


def _describe_rebuild(rows: Iterable[Schedule], known: KnownRows) -> index_answers.Rebuild | None:
    row = next((one for one in rows if one.action == "rebuild" and one.spec is not None), None)
    if row is None:
        return None
    spec = read_stored(ScheduleSpec, row.spec)
    return {
        "cron": spec.cron,
        "zone": spec.zone,
        "next_at": None if row.paused_by else as_iso(start_of(row)),
        "paused_by": row.paused_by,
        "last_run": _describe_run(known.runs.get(row.id)),
    }


def _describe_run(run: ScheduleRun | None) -> index_answers.LastRun | None:
    if run is None:
        return None
    return {
        "status": str(run.status),
        "message": run.message,
        "finished_at": as_iso(run.finished_at),
        "deployment_id": run.deployment_id,
    }


def _describe_experiment(row: Experiment | None) -> index_answers.Compared | None:
    if row is None:
        return None
    return {"id": row.id, "name": row.name, "decision": row.decision.get("action")}


def _describe_open_deletion(row: Deletion, told: Announced) -> index_answers.OpenDeletion:
    return {
        "collection": row.collection,
        "status": row.status,
        "delete_after": as_iso(row.due_at),
        "reason": row.reason,
        "text": told["text"],
        "keep": told["keep"],
    }
