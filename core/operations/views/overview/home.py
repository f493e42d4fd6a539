"""Every index with the first questions: does it serve, since when, what is running, must a person
act?"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, func, select, union_all
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
from qdrant_rollouts.core.defaults import INDEXES
from qdrant_rollouts.core.deployments import places, unclaimed
from qdrant_rollouts.core.deployments.turns import current_step
from qdrant_rollouts.core.errors import Malformed, Unknown
from qdrant_rollouts.core.lifecycle import FINAL, ExperimentStatus, Place, Status
from qdrant_rollouts.core.operations.schedules.declared import overlay_declared, start_of
from qdrant_rollouts.core.operations.views.overview import acts
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.operations.views.queries import SUMMARY_COLUMNS, outline_deployment
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

_COLUMNS = (*SUMMARY_COLUMNS, Deployment.paused_for, Deployment.place)
_IS_RUNNING = Deployment.kind == "rollout", Deployment.status.not_in(FINAL)
_IS_ENDED = Deployment.kind == "rollout", Deployment.status.in_(FINAL)
#: Ranks of an index; those below are 1 if it serves nothing and 0 if it serves.
_ERROR = 4
_ATTENTION = 3
_RUNNING = 2
#: How many known indexes are named to a person who asked for another one.
_NAMED = 20


@dataclass(frozen=True, slots=True)
class _Ranked:
    """What is read of all indexes. ``ranks``: 4 has an error, 3 needs attention, 2 has something
    running, 1 serves nothing, 0 serves."""

    ranks: Mapping[str, int]
    conditions: Sequence[ConditionRow]


def describe_home(
    services: Services, seen: StoreSnapshot, limit: int = INDEXES, after: str | None = None
) -> index_answers.Home:
    """Returns indexes that need attention first, then those with something running, then the rest
    by name: at most ``limit``, those that follow the place ``after``, which is the ``next`` of the
    page before. Raises Malformed if it is not a place."""
    with services.sessions() as session:
        now = services.clock.now(session)
        ranked = _rank_indexes(session, seen)
        ranks = ranked.ranks
        left = sorted((-rank, alias) for alias, rank in ranks.items())
        if after is not None:
            left = left[bisect_right(left, _read_place(after)) :]
        page = [alias for _, alias in left[:limit]]
        indexes = _describe_indexes(services, session, now, seen, ranked, page)
    return {
        "now": as_iso(now),
        "indexes": indexes,
        "next": f"{ranks[page[-1]]}:{page[-1]}" if len(page) < len(left) else None,
        "total": len(ranks),
        "attention": sum(rank >= _ATTENTION for rank in ranks.values()),
        **describe_outages(seen),
    }


def _read_place(after: str) -> tuple[int, str]:
    """Returns the place in the order of the home page. It has the rank too, because the rank of an
    index may change between two pages. Raises Malformed."""
    rank, colon, alias = after.partition(":")
    if not (colon and len(rank) == 1 and rank.isdecimal() and int(rank) <= _ERROR):
        raise Malformed(
            f"after {quote_value(after)} is no place in the list: say the `next` of the page before"
        )
    return -int(rank), alias


def find_index(services: Services, alias: str, seen: StoreSnapshot) -> index_answers.Index:
    """Raises Unknown for an index that is not declared and has no alias."""
    with services.sessions() as session:
        now = services.clock.now(session)
        ranked = _rank_indexes(session, seen)
        _check_known(alias, ranked.ranks)
        (found,) = _describe_indexes(services, session, now, seen, ranked, [alias])
    return found


def _check_known(alias: str, ranks: Mapping[str, int]) -> None:
    if alias in ranks:
        return
    known = ", ".join(sorted(ranks)[:_NAMED]) or "none"
    if len(ranks) > _NAMED:
        known += f" and {len(ranks) - _NAMED:,} more"
    raise Unknown(f"alias {alias} neither exists nor is declared in the index file; known: {known}")


def _describe_indexes(
    services: Services,
    session: Session,
    now: datetime,
    seen: StoreSnapshot,
    ranked: _Ranked,
    aliases: Sequence[str],
) -> list[index_answers.Index]:
    """Describes some of the indexes, in the order of ``aliases``, with a fixed number of
    queries."""
    rules = DeletionRules(seen.declared, services.store.embedded)
    known = _KnownRows(session, rules, now, ranked, aliases)
    known.waits = {
        found.turn.deployment_id: found.text for found in unclaimed.findings(services, session, now)
    }
    return [_describe_home_index(alias, ranked.ranks[alias], known, seen) for alias in aliases]


def _rank_indexes(session: Session, seen: StoreSnapshot) -> _Ranked:
    """Ranks every index. Of each one a few columns are read, however large its rows are. The
    database compares the times, because to read one of each index takes most of the time."""
    surely_set = and_(AliasState.settled)
    if seen.at is not None:
        surely_set = and_(AliasState.settled, AliasState.changed_at <= seen.at)
    columns = select(AliasState.alias, AliasState.desired, surely_set.label("surely_set"))
    states = session.execute(columns.where(AliasState.desired.is_not(None))).all()
    desired = {row.alias: row.desired for row in states}
    running, rolled_back = _find_running_and_rolled_back(session)
    known = {*(seen.aliases or ()), *desired}
    names = {*known, *seen.declared, *running}
    ranks = {alias: _RUNNING if alias in running else int(alias not in known) for alias in names}
    for alias in rolled_back - running:
        ranks[alias] = _ATTENTION
    conditions = session.scalars(select(ConditionRow).order_by(ConditionRow.since)).all()
    for condition in conditions:
        level = _rank_severity(read_message(condition.message)["severity"])
        ranks[condition.alias] = max(ranks.get(condition.alias, 0), level)
    for row in states:
        if row.surely_set and _leads_elsewhere(row.alias, row.desired, seen):
            ranks[row.alias] = _ERROR
    ranks = {alias: rank for alias, rank in ranks.items() if alias in names}
    return _Ranked(ranks, conditions)


def _leads_elsewhere(alias: str, desired: str | None, seen: StoreSnapshot) -> bool:
    """Returns whether Qdrant's alias does not lead where it was set to, as far as Qdrant could be
    asked."""
    if seen.aliases is None or seen.error or seen.at is None:
        return False
    return seen.aliases.get(alias) != desired


def _rank_severity(severity: str) -> int:
    return _ERROR if severity == "error" else _ATTENTION


def _find_running_and_rolled_back(session: Session) -> tuple[set[str], set[str]]:
    """Returns the indexes of which a deployment runs, and those whose newest ended one was rolled
    back."""
    columns: Any = select(Deployment.alias, Deployment.status)
    ended = _join_newest(columns, *_IS_ENDED)
    rolled_back = ended.where(Deployment.status == Status.ROLLED_BACK)
    both: CompoundSelect[Any] = union_all(columns.where(*_IS_RUNNING), rolled_back)
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for alias, status in session.execute(both):
        found[status == Status.ROLLED_BACK].add(alias)
    return found[False], found[True]


class _KnownRows:
    """Rows of some indexes by alias, one query for each kind."""

    def __init__(
        self,
        session: Session,
        rules: DeletionRules,
        now: datetime,
        ranked: _Ranked,
        aliases: Sequence[str],
    ) -> None:
        self.meant, self.versions = _read_live(session, aliases)
        self.running = {row.alias: row for row in _running_deployments(session, aliases)}
        waiting = [row.id for row in self.running.values() if row.place == Place.WAITING]
        self.queue = places.queue(session, waiting)
        self.last = {row.alias: row for row in _last_deployments(session, aliases)}
        schedules = session.scalars(select(Schedule).where(Schedule.alias.in_(aliases)))
        declared = {alias: rules.declared[alias] for alias in aliases if alias in rules.declared}
        self.schedules = _group_by_alias(overlay_declared(schedules, declared, now))
        self.conditions = _group_by_alias(ranked.conditions)
        running = Experiment.status == ExperimentStatus.RUNNING, Experiment.route.in_(aliases)
        self.experiments = {
            row.route: row for row in session.scalars(select(Experiment).where(*running))
        }
        to_go = Deletion.status.in_(OPEN_STATUSES), Deletion.alias.in_(aliases)
        open_ = session.scalars(select(Deletion).where(*to_go)).all()
        self.deletions = _group_by_alias(open_)
        self.told = deletion_notices.describe_open_deletions(session, open_, rules)
        #: Why no worker has taken the turn, by deployment.
        self.waits: dict[str, str] = {}


def _read_live(
    session: Session, aliases: Sequence[str]
) -> tuple[dict[str, AliasState], dict[str, Version]]:
    """Returns where these aliases were set to, and by collection the versions there, as far as the
    rows know."""
    query = select(AliasState, Version).outerjoin(Version, AliasState.desired == Version.collection)
    set_ones = AliasState.alias.in_(aliases), AliasState.desired.is_not(None)
    rows: Sequence[Any] = session.execute(query.where(*set_ones)).all()
    states = {state.alias: state for state, _ in rows}
    return states, {row.collection: row for _, row in rows if row is not None}


def _running_deployments(session: Session, aliases: Sequence[str]) -> Iterable[Deployment]:
    query = select(Deployment).where(*_IS_RUNNING, Deployment.alias.in_(aliases))
    return session.scalars(query.options(load_only(*_COLUMNS), selectinload(Deployment.steps)))


def _last_deployments(session: Session, aliases: Sequence[str]) -> Iterable[Deployment]:
    """Returns the newest ended deployment of each of these indexes."""
    query = select(Deployment).options(load_only(*_COLUMNS))
    return session.scalars(_join_newest(query, *_IS_ENDED, Deployment.alias.in_(aliases)))


def _join_newest(query: Select[Any], *conditions: ColumnElement[bool]) -> Select[Any]:
    """Narrows a query of deployments to the newest of each index that meets the conditions."""
    newest = select(Deployment.alias, func.max(Deployment.created_at).label("at"))
    latest = newest.where(*conditions).group_by(Deployment.alias).subquery()
    return query.where(*conditions).join(
        latest, (Deployment.alias == latest.c.alias) & (Deployment.created_at == latest.c.at)
    )


def _group_by_alias(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.alias, []).append(row)
    return found


def _describe_home_index(
    alias: str, rank: int, known: _KnownRows, seen: StoreSnapshot
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
    if meant is None or not meant.settled or not _leads_elsewhere(alias, meant.desired, seen):
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
