"""Every index with the first questions: does it serve, since when, what is running, must a person
act?"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import func, select
from sqlalchemy.orm import Session, load_only, selectinload

from qdrant_rollouts.core.alerts.outbox import read_message
from qdrant_rollouts.core.answers import indexes as index_answers
from qdrant_rollouts.core.answers.deployments import Announced
from qdrant_rollouts.core.collections.deletion import notices as deletion_notices
from qdrant_rollouts.core.collections.deletion.deletions import OPEN_STATUSES
from qdrant_rollouts.core.collections.deletion.notices import DeletionRules
from qdrant_rollouts.core.config.index_file import ScheduleSpec
from qdrant_rollouts.core.database.alert_rows import ConditionRow
from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.database.models import AliasState, Deletion, Deployment, Version
from qdrant_rollouts.core.database.schedule_rows import Schedule
from qdrant_rollouts.core.database.step_data import Progress, read_progress
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import places, unclaimed
from qdrant_rollouts.core.deployments.turns import current_step
from qdrant_rollouts.core.errors import Unknown
from qdrant_rollouts.core.lifecycle import FINAL, ExperimentStatus, Status
from qdrant_rollouts.core.operations.schedules.declared import overlay_declared, start_of
from qdrant_rollouts.core.operations.views.overview import acts
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.operations.views.queries import SUMMARY_COLUMNS, outline_deployment
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

_COLUMNS = (*SUMMARY_COLUMNS, Deployment.paused_for, Deployment.place)


def describe_home(services: Services, seen: StoreSnapshot) -> index_answers.Home:
    """Returns indexes that need attention first, then those with something running, then the rest
    by name."""
    with services.sessions() as session:
        now = services.clock.now(session)
        known = _KnownRows(session, DeletionRules(seen.declared, services.store.embedded), now)
        known.waits = {
            found.turn.deployment_id: found.text
            for found in unclaimed.findings(services, session, now)
        }
        meant = _desired_aliases(session)
        names = {*meant, *seen.declared, *(seen.aliases or {}), *known.running}
        indexes = [_describe_home_index(alias, meant.get(alias), known, seen) for alias in names]
    indexes.sort(key=lambda one: (-one["rank"], one["alias"]))
    return {"now": as_iso(now), "indexes": indexes, **describe_outages(seen)}


def find_index(services: Services, alias: str, seen: StoreSnapshot) -> index_answers.Index:
    """Raises Unknown for an index that is not declared and has no alias."""
    indexes = describe_home(services, seen)["indexes"]
    found = next((index for index in indexes if index["alias"] == alias), None)
    if found is None:
        known = ", ".join(sorted(index["alias"] for index in indexes)) or "none"
        raise Unknown(
            f"alias {alias} neither exists nor is declared in the index file; known: {known}"
        )
    return found


class _KnownRows:
    """Rows of all indexes by alias, one query for each kind."""

    def __init__(self, session: Session, rules: DeletionRules, now: datetime) -> None:
        self.versions = _live_versions(session)
        self.running = {row.alias: row for row in _running_deployments(session)}
        self.queue = places.queue(session, [row.id for row in self.running.values()])
        self.last = {row.alias: row for row in _last_deployments(session)}
        self.schedules = _group_by_alias(
            overlay_declared(session.scalars(select(Schedule)), rules.declared, now)
        )
        self.conditions = _group_by_alias(
            session.scalars(select(ConditionRow).order_by(ConditionRow.since))
        )
        running = Experiment.status == ExperimentStatus.RUNNING
        self.experiments = {
            row.route: row for row in session.scalars(select(Experiment).where(running))
        }
        open_ = session.scalars(select(Deletion).where(Deletion.status.in_(OPEN_STATUSES))).all()
        self.deletions = _group_by_alias(open_)
        self.told = deletion_notices.describe_open_deletions(session, open_, rules)
        #: Why no worker has taken the turn, by deployment.
        self.waits: dict[str, str] = {}


def _desired_aliases(session: Session) -> dict[str, AliasState]:
    return {
        row.alias: row
        for row in session.scalars(select(AliasState).where(AliasState.desired.is_not(None)))
    }


def _live_versions(session: Session) -> dict[str, Version]:
    """Returns the live versions by collection, as far as the rows know."""
    query = select(Version).join(AliasState, AliasState.desired == Version.collection)
    return {row.collection: row for row in session.scalars(query)}


def _running_deployments(session: Session) -> Iterable[Deployment]:
    query = select(Deployment).where(Deployment.kind == "rollout", Deployment.status.not_in(FINAL))
    return session.scalars(query.options(load_only(*_COLUMNS), selectinload(Deployment.steps)))


def _last_deployments(session: Session) -> Iterable[Deployment]:
    """Returns the newest ended deployment of every alias."""
    ended = Deployment.kind == "rollout", Deployment.status.in_(FINAL)
    newest = select(Deployment.alias, func.max(Deployment.created_at).label("at")).where(*ended)
    latest = newest.group_by(Deployment.alias).subquery()
    query = select(Deployment).options(load_only(*_COLUMNS)).where(*ended)
    joined = query.join(
        latest, (Deployment.alias == latest.c.alias) & (Deployment.created_at == latest.c.at)
    )
    return session.scalars(joined)


def _group_by_alias(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.alias, []).append(row)
    return found


def _describe_home_index(
    alias: str, meant: AliasState | None, known: _KnownRows, seen: StoreSnapshot
) -> index_answers.Index:
    running = known.running.get(alias)
    last = known.last.get(alias)
    live = meant.desired if meant is not None else (seen.aliases or {}).get(alias)
    attention = [
        *_describe_conditions(known.conditions.get(alias, ())),
        *_find_contradictions(alias, meant, seen),
    ]
    if last is not None and last.status == Status.ROLLED_BACK and running is None:
        said = f"the last deployment was rolled back: {last.message}"
        attention.append(
            _build_attention("warn", said, last.finished_at, f"/deployments/{last.id}")
        )
    return {
        "alias": alias,
        "live": _describe_live(live, known.versions.get(live or ""), meant),
        "running": _describe_under_way(running, known) if running is not None else None,
        "last": outline_deployment(last) if last is not None else None,
        "rebuild": _describe_rebuild(known.schedules.get(alias, ()), "rebuild"),
        "experiment": _describe_experiment(known.experiments.get(alias)),
        "deletions": [
            _describe_open_deletion(row, known.told[row.id])
            for row in known.deletions.get(alias, ())
        ],
        "attention": attention,
        "rank": _rank_index(attention, running, live),
    }


def _rank_index(
    attention: list[index_answers.Attention], running: Deployment | None, live: str | None
) -> int:
    if any(one["severity"] == "error" for one in attention):
        return 4
    if attention:
        return 3
    if running is not None:
        return 2
    return 1 if live is None else 0


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
    if seen.aliases is None or seen.error or meant is None or not meant.settled or seen.at is None:
        return []
    found = seen.aliases.get(alias)
    if found == meant.desired or meant.changed_at > seen.at:
        return []
    said = f"Qdrant's alias leads to {found or 'nothing'}, and was last set to {meant.desired}"
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


def _describe_under_way(row: Deployment, known: _KnownRows) -> index_answers.UnderWay:
    step = current_step(row)
    name = ""
    position = len(row.steps)
    progress = None
    if step is not None:
        name = acts.label_step(step.name, step.arguments)
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


def _describe_rebuild(rows: Iterable[Schedule], action: str) -> index_answers.Rebuild | None:
    row = next((one for one in rows if one.action == action and one.spec is not None), None)
    if row is None:
        return None
    spec = read_stored(ScheduleSpec, row.spec)
    return {
        "cron": spec.cron,
        "zone": spec.zone,
        "next_at": None if row.paused_by else as_iso(start_of(row)),
        "paused_by": row.paused_by,
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


def describe_outages(seen: StoreSnapshot) -> index_answers.Sight:
    """Returns what could not be asked, and since when; every page shows it."""
    return {
        "qdrant_error": seen.error,
        "qdrant_since": as_iso(seen.since),
        "qdrant_at": as_iso(seen.at),
        "file_error": seen.file_error,
    }
