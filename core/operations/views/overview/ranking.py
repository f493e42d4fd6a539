"""In which order indexes stand: those that need attention first, then those with something running.

Rule: of each index a few columns are read, with a fixed number of queries, however large its rows
are. So all indexes can be ranked, counted and searched for each page.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, func, select, union_all
from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts.outbox import read_message
from qdrant_rollouts.core.database.alert_rows import ConditionRow
from qdrant_rollouts.core.database.models import AliasState, Deployment
from qdrant_rollouts.core.lifecycle import FINAL, Status
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot

IS_RUNNING = Deployment.kind == "rollout", Deployment.status.not_in(FINAL)
IS_ENDED = Deployment.kind == "rollout", Deployment.status.in_(FINAL)
#: Ranks of an index; those below are 1 if it serves nothing and 0 if it serves.
ERROR = 4
ATTENTION = 3
RUNNING = 2


@dataclass(frozen=True, slots=True)
class Ranked:
    """What is read of all indexes. ``ranks``: 4 has an error, 3 needs attention, 2 has something
    running, 1 serves nothing, 0 serves. ``live``: the collections behind those that serve.
    ``running``: those of which a deployment runs or is paused."""

    ranks: Mapping[str, int]
    conditions: Sequence[ConditionRow]
    live: Mapping[str, str]
    running: Set[str]

    @property
    def calling(self) -> list[str]:
        """The indexes that need attention, the worst first."""
        return sorted(
            (alias for alias, rank in self.ranks.items() if rank >= ATTENTION),
            key=lambda alias: (-self.ranks[alias], alias),
        )


def rank_indexes(session: Session, seen: StoreSnapshot) -> Ranked:
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
    ranks = {alias: RUNNING if alias in running else int(alias not in known) for alias in names}
    for alias in rolled_back - running:
        ranks[alias] = ATTENTION
    conditions = session.scalars(select(ConditionRow).order_by(ConditionRow.since)).all()
    for condition in conditions:
        level = _rank_severity(read_message(condition.message)["severity"])
        ranks[condition.alias] = max(ranks.get(condition.alias, 0), level)
    for row in states:
        if row.surely_set and leads_elsewhere(row.alias, row.desired, seen):
            ranks[row.alias] = ERROR
    ranks = {alias: rank for alias, rank in ranks.items() if alias in names}
    live = {**(seen.aliases or {}), **desired}
    return Ranked(ranks, conditions, live, running)


def leads_elsewhere(alias: str, desired: str | None, seen: StoreSnapshot) -> bool:
    """Returns whether Qdrant's alias does not lead where it was set to, as far as Qdrant could be
    asked."""
    if seen.aliases is None or seen.error or seen.at is None:
        return False
    return seen.aliases.get(alias) != desired


def _rank_severity(severity: str) -> int:
    return ERROR if severity == "error" else ATTENTION


def _find_running_and_rolled_back(session: Session) -> tuple[set[str], set[str]]:
    """Returns the indexes of which a deployment runs, and those whose newest ended one was rolled
    back."""
    columns: Any = select(Deployment.alias, Deployment.status)
    ended = join_newest(columns, *IS_ENDED)
    rolled_back = ended.where(Deployment.status == Status.ROLLED_BACK)
    both: CompoundSelect[Any] = union_all(columns.where(*IS_RUNNING), rolled_back)
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for alias, status in session.execute(both):
        found[status == Status.ROLLED_BACK].add(alias)
    return found[False], found[True]


def join_newest(query: Select[Any], *conditions: ColumnElement[bool]) -> Select[Any]:
    """Narrows a query of deployments to the newest of each index that meets the conditions."""
    newest = select(Deployment.alias, func.max(Deployment.created_at).label("at"))
    latest = newest.where(*conditions).group_by(Deployment.alias).subquery()
    return query.where(*conditions).join(
        latest, (Deployment.alias == latest.c.alias) & (Deployment.created_at == latest.c.at)
    )
