"""Keeps the older version like the newer one after a switch, as long as the journal says so: a
rollback then loses nothing, and waits for little.

Rule: bulk workers do it beside deployments, one worker for an alias, and a deployment that needs
rounds of its own comes first (``core.journal.following``).
"""

import logging
from collections.abc import Callable
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.journal_rows import Gate, Phase, WriteStateRow
from qdrant_rollouts.core.database.leases import name_owner
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.deployments import alias_lock
from qdrant_rollouts.core.deployments.claims import read_outputs, view_deployment
from qdrant_rollouts.core.deployments.plan import StepContext, StepOutputs
from qdrant_rollouts.core.deployments.steps import journaled
from qdrant_rollouts.core.deployments.steps.data import RoundState
from qdrant_rollouts.core.deployments.steps.pieces import limit_to
from qdrant_rollouts.core.errors import AppError, Refused
from qdrant_rollouts.core.journal import following, rebuilding
from qdrant_rollouts.core.journal.following import FollowerTurn
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

_NOTHING = "nothing to bring over"
_WAITS_FOR_A_PERSON = (Status.PAUSED, Status.NEEDS_OPERATOR)
#: Seconds. What is left of the lease then is enough for the last round.
_LONGEST_TURN = 15.0


def list_behind(services: Services) -> list[str]:
    """Returns the aliases whose older version lacks writes. Also ends the journals that nobody
    needs any more, and deletes what ended ones have left."""
    with services.sessions() as session:
        rows = following.list_journaled(session)
        running = {row.alias: _find_status(session, row.alias) for row in rows}
        behind = following.list_behind(session)
        ended = following.list_ended(session)
    for alias in ended:
        _try_for(alias, partial(rebuilding.prune_journal, services, alias))
    for row in rows:
        if running[row.alias] is None:
            _try_for(row.alias, partial(_end_if_useless, services, row))
        elif row.gate == Gate.FLIPPING and running[row.alias] in _WAITS_FOR_A_PERSON:
            _try_for(row.alias, partial(_let_writes_in, services, row))
    return behind


def _try_for(alias: str, act: Callable[[], object]) -> None:
    """One alias must not keep the others from their turn."""
    try:
        act()
    except AppError as error:
        log.warning("the journal of %s is looked at again by the next sweep: %s", alias, error)


def follow_back(services: Services, alias: str) -> str:
    """Works for a turn on what the older version lacks. Safe to run twice. Returns what was done,
    as a line of text."""
    owner = name_owner()
    turn = following.claim_following(services, alias, owner)
    if turn is None:
        return f"{alias} is followed by another worker, or not at all"
    try:
        return _work_on(services, alias, turn)
    except Refused as error:
        return _give_up(services, turn, str(error))
    except AppError as error:  # the next sweep asks again
        log.warning("the older version of %s gets no writes: %s", alias, error)
        return f"{alias}: {error}"
    finally:
        following.release_following(services, alias, owner)


def _give_up(services: Services, turn: FollowerTurn, why: str) -> str:
    """Nothing that can be waited for brings writes to the older version, so none are written down
    any more. A person reads it before a rollback. If a new rebuild has begun meanwhile, its journal
    goes on."""
    alias = turn.alias
    try:
        rebuilding.end_rebuild(services, alias, turn)
    except AppError as error:
        return f"{alias}: {error}"
    told = f"a rollback of {alias} will not bring back what is written from now on: {why}"
    with services.sessions.begin() as session:
        events.record_event(session, services.clock.now(session), events.WARNING, told, alias=alias)
    return told


def _work_on(services: Services, alias: str, turn: FollowerTurn) -> str:
    row = _find_last(services, alias)
    if row is None:
        return f"{alias} was not switched by a deployment"
    context = StepContext(view_deployment(row), {}, StepOutputs(read_outputs(row)), services, turn)
    work = journaled.open_backward(context, turn)
    goes_on = limit_to(min(services.times.turn_time, _LONGEST_TURN))
    done, more = journaled.follow_piece(work, RoundState(), goes_on)
    if not done.checked:
        return f"{alias}: {_NOTHING}"
    left = f", {done.left:,} are left" if more else ""
    return f"{alias}: {done.checked:,} points brought to {row.blue}{left}"


def _find_last(services: Services, alias: str) -> Deployment | None:
    """Returns the deployment whose switch the journal follows."""
    state = rebuilding.read_state(services, alias)
    if state is None or state.follower is None:
        return None
    query = (
        select(Deployment)
        .where(
            Deployment.alias == alias,
            Deployment.green == state.leader,
            Deployment.blue == state.follower,
        )
        .options(selectinload(Deployment.steps))
    )
    with services.sessions() as session:
        return session.scalars(query.order_by(Deployment.created_at.desc()).limit(1)).first()


def _end_if_useless(services: Services, row: WriteStateRow) -> None:
    """Ends the journal if nobody goes on with its rebuild, if the older version is gone, or if
    somebody has moved the alias."""
    if row.phase == Phase.FOLLOWING and row.gate != Gate.FLIPPING:
        there = row.follower in services.store.collections()
        if there and services.store.aliases().get(row.alias) == row.leader:
            return
    rebuilding.leave_journal(services, row.alias, decided=True, version=row.version)
    log.info("the journal of %s has ended", row.alias)


def _let_writes_in(services: Services, row: WriteStateRow) -> None:
    """A switch was decided, and a person must act before it is finished. Writers do not wait for
    that."""
    shown = services.store.aliases().get(row.alias)
    rebuilding.settle_decided(services, row.alias, shown)
    log.warning("writes to %s go on; its switch was not finished", row.alias)


def _find_status(session: Session, alias: str) -> Status | None:
    running = alias_lock.find_open_deployment(session, alias)
    return Status(running.status) if running is not None else None
