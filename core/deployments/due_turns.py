"""The turns that are due, read by indexes that lead to nothing else.

Rule: a deployment that has a turn to take is in one list. *Unasked*: no knock was sent for its turn
since it is due. *Asked*: one was sent, and no worker has taken the turn. *Held*: a worker has taken
it. *Paused*: the deployment is paused, and its step may be guarded meanwhile. Each list is a
partial index by the time at which the sweep must look, so what waits for later is not read. The
rows are the lists: a turn is in the next list as soon as its row says so, whichever release has
written it.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    TextClause,
    and_,
    case,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session, load_only, selectinload

from qdrant_rollouts.core.database.models import (
    ASKED,
    HELD,
    PAUSED,
    UNASKED,
    Deployment,
    StepRow,
)
from qdrant_rollouts.core.database.step_traits import has_trait
from qdrant_rollouts.core.deployments.turns import moves
from qdrant_rollouts.core.lifecycle import FINAL, MOVING, Place, Status, StepStatus

#: An operator's request is due at once, whatever the deployment waits for.
_due_from = case((Deployment.requested.is_(None), Deployment.wake_at), else_=Deployment.created_at)
_READ = (
    load_only(
        Deployment.alias,
        Deployment.kind,
        Deployment.status,
        Deployment.turn,
        Deployment.wake_at,
        Deployment.lease_until,
        Deployment.knocked_at,
        Deployment.requested,
        Deployment.place,
    ),
    selectinload(Deployment.steps).load_only(
        StepRow.name, StepRow.queue, StepRow.status, StepRow.tries, StepRow.started_at,
        StepRow.undone_at,
    ),
)  # fmt: skip


def take_unanswered(
    session: Session, now: datetime, late: datetime, most: int, *, holds_waits: bool
) -> tuple[list[Deployment], bool]:
    """Locks and returns the deployments for whose turn a knock must be sent now: nobody has sent
    one since the turn is due, or no worker has answered one that was sent before ``late``. At most
    ``most`` of each list, those that are due for longest; and whether a list may have more.

    ``holds_waits``: whoever wrote the wait holds a knock for its end, which may be lost too.
    """
    quiet = or_(Deployment.knocked_at.is_(None), Deployment.knocked_at <= late)
    unheld: list[ColumnElement[bool]] = []
    if holds_waits:
        unheld = [or_(Deployment.knocked_at.is_(None), Deployment.wake_at <= late)]
    fresh = or_(quiet, Deployment.knocked_at < Deployment.wake_at)
    lists = (
        _select(_due_from, UNASKED, _due_from <= now, *unheld),
        _select(Deployment.knocked_at, ASKED, Deployment.knocked_at <= late),
        _select(Deployment.lease_until, HELD, Deployment.lease_until < now, quiet, _is_due(now)),
        _select(
            Deployment.wake_at, PAUSED, Deployment.wake_at <= now, _is_guarded(), fresh, *unheld
        ),
    )
    rows: list[Deployment] = []
    full = False
    for query in lists:
        found = session.scalars(query.limit(most).with_for_update(skip_locked=True)).all()
        full = full or len(found) == most
        rows += found
    return rows, full


def list_late(session: Session, now: datetime, seconds: float, most: int) -> list[Deployment]:
    """Returns the deployments whose turn has been due for ``seconds`` without a worker that holds
    it, those that are due for longest first; an operator's request counts from the start."""
    since = now - timedelta(seconds=seconds)
    late = or_(Deployment.requested.is_not(None), Deployment.wake_at <= since)
    lists = (
        _select_ids(most, _due_from, UNASKED, _due_from <= since),
        _select_ids(most, Deployment.wake_at, ASKED, Deployment.knocked_at <= now, late),
        _select_ids(most, Deployment.wake_at, HELD, Deployment.lease_until < now, late),
        _select_ids(most, Deployment.wake_at, PAUSED, Deployment.wake_at <= since, _is_guarded()),
    )
    ids = session.scalars(union_all(*lists)).all()
    if not ids:
        return []
    query = select(Deployment).where(Deployment.id.in_(ids)).options(*_READ)
    rows = [row for row in session.scalars(query) if moves(row)]
    return sorted(rows, key=lambda row: row.wake_at)[:most]


def _select(
    order: SQLColumnExpression[Any], *conditions: ColumnElement[bool] | TextClause
) -> Select[Deployment]:
    return select(Deployment).where(*conditions).order_by(order).options(*_READ)


def _select_ids(
    most: int, order: SQLColumnExpression[Any], *conditions: ColumnElement[bool] | TextClause
) -> Select[Any]:
    """Returns one list as a part of a query over several. SQLite sorts and limits only the parts
    that are subqueries."""
    found = select(Deployment.id).where(*conditions).order_by(order).limit(most).subquery()
    return select(found.c.id)


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Says of a turn that was held that it is there to be taken again: a request may be withdrawn
    meanwhile."""
    placed = or_(Deployment.place.is_(None), Deployment.place != Place.WAITING)
    moving = or_(and_(Deployment.status.in_(MOVING), placed), _is_guarded())
    return and_(
        Deployment.status.not_in(FINAL),
        or_(Deployment.requested.is_not(None), and_(Deployment.wake_at <= now, moving)),
    )


def _is_guarded() -> ColumnElement[bool]:
    begun = and_(
        has_trait(lambda step: step.guarded),
        StepRow.status.in_((StepStatus.RUNNING, StepStatus.WAITING)),
    )
    return and_(Deployment.status == Status.PAUSED, Deployment.steps.any(begun))
