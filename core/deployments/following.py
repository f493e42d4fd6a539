"""Keeps the older version like the newer one after a switch, as long as the journal says so: a
rollback then loses nothing, and waits for little.

Rule: bulk workers do it beside deployments, one worker for an alias, and a deployment that needs
rounds of its own comes first (``core.journal.following``).
"""

import logging
import time

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from qdrant_rollouts.core.database.journal_rows import Gate, WriteStateRow
from qdrant_rollouts.core.database.leases import name_owner
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.deployments import alias_lock
from qdrant_rollouts.core.deployments.claims import read_outputs, view_deployment
from qdrant_rollouts.core.deployments.plan import StepContext, StepOutputs
from qdrant_rollouts.core.deployments.steps import journaled
from qdrant_rollouts.core.deployments.steps.data import RoundState
from qdrant_rollouts.core.errors import AppError, Busy, LeaseLost, Refused
from qdrant_rollouts.core.journal import following, rebuilding
from qdrant_rollouts.core.journal.following import FollowerTurn
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

_NOTHING = "nothing to bring over"


def list_behind(services: Services) -> list[str]:
    """Returns the aliases whose older version lacks writes. Also ends the journals that nobody
    needs any more, because the older version was deleted, or somebody has moved the alias."""
    with services.sessions() as session:
        followed = following.list_followed(session)
        idle = [row for row in followed if _is_idle(session, row.alias)]
        behind = [row.alias for row in following.list_followed(session, behind=True)]
    ended = {row.alias for row in idle if _end_if_useless(services, row)}
    return [alias for alias in behind if alias not in ended]


def follow_back(services: Services, alias: str) -> str:
    """Works for a slice on what the older version lacks. Safe to run twice. Returns what was done,
    as a line of text."""
    owner = name_owner()
    turn = following.claim_following(services, alias, owner)
    if turn is None:
        return f"{alias} is followed by another worker, or not at all"
    try:
        return _work_on(services, alias, turn)
    except LeaseLost as error:
        return str(error)
    except AppError as error:  # the next sweep asks again; the lag is on the pages
        log.warning("the older version of %s gets no writes: %s", alias, error)
        return f"{alias}: {error}"
    finally:
        following.release_following(services, alias, owner)


def _work_on(services: Services, alias: str, turn: FollowerTurn) -> str:
    row = _find_last(services, alias)
    if row is None:
        return f"{alias} was not switched by a deployment"
    context = StepContext(view_deployment(row), {}, StepOutputs(read_outputs(row)), services, turn)
    work = journaled.open_backward(context, turn)
    ends = time.monotonic() + services.times.slice
    done, more = journaled.follow_piece(work, RoundState(), lambda: time.monotonic() < ends)
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


def _end_if_useless(services: Services, row: WriteStateRow) -> bool:
    """Returns whether the journal was ended."""
    if row.gate == Gate.FLIPPING:
        return False
    try:
        there = row.follower in services.store.collections()
        shown = services.store.aliases().get(row.alias)
    except (AppError, Busy):
        return False
    if there and shown == row.leader:
        return False
    rebuilding.leave_journal(services, row.alias)
    log.info("the journal of %s ended: %s is not kept any more", row.alias, row.follower)
    return True


def _is_idle(session: Session, alias: str) -> bool:
    try:
        alias_lock.check_alias_idle(session, alias)
    except Refused:
        return False
    return True
