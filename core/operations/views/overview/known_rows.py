"""The rows of which the list of indexes tells.

Rule: however many indexes there are, the number of queries is the same.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, load_only, selectinload

from qdrant_rollouts.core.collections.deletion import notices as deletion_notices
from qdrant_rollouts.core.collections.deletion.deletions import OPEN_STATUSES
from qdrant_rollouts.core.collections.deletion.notices import DeletionRules
from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.database.models import AliasState, Deletion, Deployment, Version
from qdrant_rollouts.core.database.schedule_rows import Schedule, ScheduleRun
from qdrant_rollouts.core.deployments import places, unclaimed
from qdrant_rollouts.core.lifecycle import OPEN_RUNS, ExperimentStatus, Place
from qdrant_rollouts.core.operations.schedules.declared import overlay_declared
from qdrant_rollouts.core.operations.views.overview.ranking import (
    IS_ENDED,
    IS_RUNNING,
    Ranked,
    join_newest,
)
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.operations.views.queries import SUMMARY_COLUMNS
from qdrant_rollouts.core.services import Services

_COLUMNS = (*SUMMARY_COLUMNS, Deployment.paused_for, Deployment.place)


class KnownRows:
    """Rows of some indexes by alias, one query for each kind."""

    def __init__(
        self,
        services: Services,
        session: Session,
        now: datetime,
        seen: StoreSnapshot,
        ranked: Ranked,
        aliases: Sequence[str],
    ) -> None:
        rules = DeletionRules(seen.declared, services.store.embedded)
        self.meant, self.versions = _read_live(session, aliases)
        self.running = {row.alias: row for row in _running_deployments(session, aliases)}
        waiting = [row.id for row in self.running.values() if row.place == Place.WAITING]
        self.queue = places.queue(session, waiting)
        self.last = {row.alias: row for row in _last_deployments(session, aliases)}
        schedules = session.scalars(select(Schedule).where(Schedule.alias.in_(aliases)))
        declared = {alias: rules.declared[alias] for alias in aliases if alias in rules.declared}
        self.schedules = _group_by_alias(overlay_declared(schedules, declared, now))
        self.runs = _last_runs(session, aliases)
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
        self.waits = {
            found.turn.deployment_id: found.text
            for found in unclaimed.findings(services, session, now)
        }


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
    query = select(Deployment).where(*IS_RUNNING, Deployment.alias.in_(aliases))
    return session.scalars(query.options(load_only(*_COLUMNS), selectinload(Deployment.steps)))


def _last_deployments(session: Session, aliases: Sequence[str]) -> Iterable[Deployment]:
    """Returns the newest ended deployment of each of these indexes."""
    query = select(Deployment).options(load_only(*_COLUMNS))
    return session.scalars(join_newest(query, *IS_ENDED, Deployment.alias.in_(aliases)))


def _last_runs(session: Session, aliases: Sequence[str]) -> dict[int, ScheduleRun]:
    """Returns the newest ended run of the rebuilds of these indexes, by schedule."""
    ended = ScheduleRun.status.not_in(OPEN_RUNS), Schedule.action == "rebuild"
    newest = select(func.max(ScheduleRun.id)).join(Schedule, Schedule.id == ScheduleRun.schedule_id)
    newest = newest.where(*ended, Schedule.alias.in_(aliases)).group_by(ScheduleRun.schedule_id)
    rows = session.scalars(
        select(ScheduleRun)
        .where(ScheduleRun.id.in_(newest))
        .options(
            load_only(
                ScheduleRun.schedule_id,
                ScheduleRun.status,
                ScheduleRun.message,
                ScheduleRun.finished_at,
                ScheduleRun.deployment_id,
            )
        )
    )
    return {row.schedule_id: row for row in rows}


def _group_by_alias(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.alias, []).append(row)
    return found
