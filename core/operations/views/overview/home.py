"""Every index with what is asked first: does it serve, since when, what goes on, does somebody have to act?"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import func, select
from sqlalchemy.orm import Session, load_only, selectinload

from qdrant_rollouts.core.alerts.outbox import said
from qdrant_rollouts.core.answers import indexes as shown
from qdrant_rollouts.core.answers.deployments import Announced
from qdrant_rollouts.core.collections.deletion import notices as deletion_notices
from qdrant_rollouts.core.collections.deletion.deletions import OPEN
from qdrant_rollouts.core.collections.deletion.notices import Rules
from qdrant_rollouts.core.config.index_file import ScheduleSpec
from qdrant_rollouts.core.database.alert_rows import ConditionRow
from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.database.models import AliasState, Deletion, Deployment, Version
from qdrant_rollouts.core.database.schedule_rows import Schedule
from qdrant_rollouts.core.database.stored_json import stored
from qdrant_rollouts.core.deployments import places, unclaimed
from qdrant_rollouts.core.errors import Unknown
from qdrant_rollouts.core.lifecycle import FINAL, ExperimentStatus, Status
from qdrant_rollouts.core.operations.schedules.declared import overlaid, start_of
from qdrant_rollouts.core.operations.views.overview import acts
from qdrant_rollouts.core.operations.views.overview.sight import Seen
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import iso

_COLUMNS = (
    Deployment.id,
    Deployment.alias,
    Deployment.kind,
    Deployment.strategy,
    Deployment.status,
    Deployment.blue,
    Deployment.green,
    Deployment.actor,
    Deployment.message,
    Deployment.paused_for,
    Deployment.created_at,
    Deployment.finished_at,
    Deployment.place,
)


def home(services: Services, seen: Seen) -> shown.Home:
    """Indexes that need somebody first, then those that move, then the rest by name."""
    with services.sessions() as session:
        now = services.clock.now(session)
        known = _Known(session, Rules(seen.declared, services.store.embedded), now)
        known.waits = {found.turn.deployment_id: found.text for found in unclaimed.findings(services, session, now)}
        meant = _meant(session)
        names = {*meant, *seen.declared, *(seen.aliases or {}), *known.running}
        indexes = [_index(alias, meant.get(alias), known, seen) for alias in names]
    indexes.sort(key=lambda one: (-one["rank"], one["alias"]))
    return {"now": iso(now), "indexes": indexes, **sight(seen)}


def one(services: Services, alias: str, seen: Seen) -> shown.Index:
    """Raises Unknown for an index that nobody declares and no alias leads to."""
    indexes = home(services, seen)["indexes"]
    found = next((index for index in indexes if index["alias"] == alias), None)
    if found is None:
        known = ", ".join(sorted(index["alias"] for index in indexes)) or "none"
        raise Unknown(f"alias {alias} neither exists nor is declared in the index file; known: {known}")
    return found


class _Known:
    """Rows of all indexes by alias, one query for each kind."""

    def __init__(self, session: Session, rules: Rules, now: datetime) -> None:
        self.versions = _versions(session)
        self.running = {row.alias: row for row in _running(session)}
        self.queue = places.queue(session)
        self.last = {row.alias: row for row in _last(session)}
        self.schedules = _grouped(overlaid(session.scalars(select(Schedule)), rules.declared, now))
        self.conditions = _grouped(session.scalars(select(ConditionRow).order_by(ConditionRow.since)))
        running = Experiment.status == ExperimentStatus.RUNNING
        self.experiments = {row.route: row for row in session.scalars(select(Experiment).where(running))}
        open_ = session.scalars(select(Deletion).where(Deletion.status.in_(OPEN))).all()
        self.deletions = _grouped(open_)
        self.told = deletion_notices.announce(session, open_, rules)
        #: By deployment, why nobody has taken its turn.
        self.waits: dict[str, str] = {}


def _meant(session: Session) -> dict[str, AliasState]:
    return {row.alias: row for row in session.scalars(select(AliasState).where(AliasState.desired.is_not(None)))}


def _versions(session: Session) -> dict[str, Version]:
    """By collection, those that are live as far as the rows know."""
    query = select(Version).join(AliasState, AliasState.desired == Version.collection)
    return {row.collection: row for row in session.scalars(query)}


def _running(session: Session) -> Iterable[Deployment]:
    query = select(Deployment).where(Deployment.kind == "rollout", Deployment.status.not_in(FINAL))
    return session.scalars(query.options(load_only(*_COLUMNS), selectinload(Deployment.steps)))


def _last(session: Session) -> Iterable[Deployment]:
    """Of every alias the newest that has ended."""
    ended = Deployment.kind == "rollout", Deployment.status.in_(FINAL)
    newest = select(Deployment.alias, func.max(Deployment.created_at).label("at")).where(*ended)
    latest = newest.group_by(Deployment.alias).subquery()
    query = select(Deployment).options(load_only(*_COLUMNS)).where(*ended)
    joined = query.join(latest, (Deployment.alias == latest.c.alias) & (Deployment.created_at == latest.c.at))
    return session.scalars(joined)


def _grouped(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.alias, []).append(row)
    return found


# --- one index ----------------------------------------------------------------------------------------------------


def _index(alias: str, meant: AliasState | None, known: _Known, seen: Seen) -> shown.Index:
    running, last = known.running.get(alias), known.last.get(alias)
    live = meant.desired if meant is not None else (seen.aliases or {}).get(alias)
    attention = [*_conditions(known.conditions.get(alias, ())), *_contradictions(alias, meant, seen)]
    if last is not None and last.status == Status.ROLLED_BACK and running is None:
        said = f"the last deployment was rolled back: {last.message}"
        attention.append(_attention("warn", said, last.finished_at, f"/deployments/{last.id}"))
    return {
        "alias": alias,
        "live": _live(live, known.versions.get(live or ""), meant),
        "running": _run(running, known) if running is not None else None,
        "last": _ended(last) if last is not None else None,
        "rebuild": _schedule(known.schedules.get(alias, ()), "rebuild"),
        "experiment": _experiment(known.experiments.get(alias)),
        "deletions": [_deletion(row, known.told[row.id]) for row in known.deletions.get(alias, ())],
        "attention": attention,
        "rank": _rank(attention, running, live),
    }


def _rank(attention: list[shown.Attention], running: Deployment | None, live: str | None) -> int:
    if any(one["severity"] == "error" for one in attention):
        return 4
    if attention:
        return 3
    return 2 if running is not None else 1 if live is None else 0


def _attention(severity: str, text: str, since: Any, link: str = "", act: str = "") -> shown.Attention:
    return {"severity": severity, "text": text, "since": iso(since), "link": link, "next": act}


def _conditions(rows: Iterable[ConditionRow]) -> list[shown.Attention]:
    return [_condition(row) for row in rows]


def _condition(row: ConditionRow) -> shown.Attention:
    told = said(row.message)
    link = f"/deployments/{told['deployment_id']}" if told["deployment_id"] else "/alerts"
    return _attention(told["severity"], told["text"], row.since, link, told["next"])


def _contradictions(alias: str, meant: AliasState | None, seen: Seen) -> list[shown.Attention]:
    """Where Qdrant says something else than the rows. Of what changes in this moment it is known that it does."""
    if seen.aliases is None or seen.error or meant is None or not meant.settled or seen.at is None:
        return []
    found = seen.aliases.get(alias)
    if found == meant.desired or meant.changed_at > seen.at:
        return []
    said = f"Qdrant's alias leads to {found or 'nothing'}, and was last set to {meant.desired}"
    return [
        _attention("error", said, seen.at, f"/indexes/{quote(alias, safe='')}", "see who moved it: `rollouts events`")
    ]


def _live(collection: str | None, version: Version | None, meant: AliasState | None) -> shown.Live | None:
    if collection is None:
        return None
    facts = version.facts if version is not None else {}
    since = (facts.get("served") or {}).get("since") or iso(meant.changed_at if meant else None)
    return {
        "collection": collection,
        "number": version.number if version else None,
        "since": since,
        "built_at": iso(version.created_at) if version else None,
        "points": facts.get("points"),
        "model": facts.get("model"),
        "gate": (facts.get("gate") or {}).get("verdict"),
    }


def _run(row: Deployment, known: _Known) -> shown.UnderWay:
    step = acts.current(row.steps)
    progress = (step.state.get("progress") or {}) if step else {}
    size, done = progress.get("size") or 0, progress.get("done") or 0
    return {
        **_ended(row),
        "paused_for": row.paused_for,
        "waits": known.waits.get(row.id, ""),
        "step": acts.label(step.name, step.arguments) if step else "",
        "position": (step.position if step else len(row.steps)) + 1,
        "steps": len(row.steps),
        "share": done / size if size else None,
        "counted": f"{done:,} of {size:,} searches" if progress.get("unit") == "searches" else "",
        "set": progress.get("set"),
        "confirmed": progress.get("confirmed"),
        "queue": known.queue.get(row.id),
    }


def _ended(row: Deployment) -> shown.Ended:
    return {
        "id": row.id,
        "status": str(row.status),
        "strategy": row.strategy,
        "actor": row.actor,
        "message": row.message,
        "created_at": iso(row.created_at),
        "finished_at": iso(row.finished_at),
    }


def _schedule(rows: Iterable[Schedule], action: str) -> shown.Rebuild | None:
    row = next((one for one in rows if one.action == action and one.spec is not None), None)
    if row is None:
        return None
    spec = stored(ScheduleSpec, row.spec)
    return {
        "cron": spec.cron,
        "zone": spec.zone,
        "next_at": None if row.paused_by else iso(start_of(row)),
        "paused_by": row.paused_by,
    }


def _experiment(row: Experiment | None) -> shown.Compared | None:
    return {"id": row.id, "name": row.name, "decision": row.decision.get("action")} if row is not None else None


def _deletion(row: Deletion, told: Announced) -> shown.OpenDeletion:
    return {
        "collection": row.collection,
        "status": row.status,
        "delete_after": iso(row.due_at),
        "reason": row.reason,
        "text": told["text"],
        "keep": told["keep"],
    }


def sight(seen: Seen) -> shown.Sight:
    """What could not be asked, and since when: every page says so."""
    return {
        "qdrant_error": seen.error,
        "qdrant_since": iso(seen.since),
        "qdrant_at": iso(seen.at),
        "file_error": seen.file_error,
    }
