"""Who may take a turn, and for how long.

Rule: a worker takes a turn by adding one to ``turn`` in a locked row, so of all knocks for one turn
exactly one wins. The new number is the fence: what the holder writes later is written only while
``turn`` still has that value. A holder that dies leaves ``lease_until`` behind. The next worker
sees that the lease has expired and counts a crash.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session, object_session

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.database.step_data import read_data, why_not_known
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import patience
from qdrant_rollouts.core.deployments.plan import DeploymentView, StepRecord
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.turn_leases import HeldTurn
from qdrant_rollouts.core.deployments.turns import current_step, moves
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.lifecycle import Event, Place, Status, StepStatus, next_status
from qdrant_rollouts.core.ports import Knock
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

#: A knock that comes at most this early is accepted, because clocks and timers are not exact.
EARLY_TOLERANCE = timedelta(milliseconds=50)
#: The queue of short work. Requests for deployments that wait for a place use it too, because the
#: workers that build may be busy.
REQUEST_QUEUE = "control"


@dataclass(frozen=True, slots=True)
class Claim:
    """A turn that was won. ``step`` is None if only the end of the deployment is left to write."""

    deployment: Deployment
    held: int
    step: StepRow | None
    undoing: bool
    request: str | None
    plan: tuple[str, ...]
    outputs: tuple[StepRecord, ...]


@dataclass(frozen=True, slots=True)
class Declined:
    """A knock that won no turn, and why. ``foreign``: only another release can take the turn,
    because this program lacks something that it needs."""

    reason: str
    foreign: bool = False


def claim_turn(services: Services, deployment_id: str, turn: int, owner: str) -> Claim | Declined:
    """Claims ``turn`` of the deployment for ``owner``."""
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        row = session.get(Deployment, deployment_id, with_for_update=True)
        if row is None:
            return Declined(f"no deployment {deployment_id}")
        refusal = _why_declined(row, turn, now)
        if refusal:
            return Declined(refusal)
        if unknown := _unknown(row):
            return Declined(f"left to a newer program: {unknown}", foreign=True)
        if not row.requested and row.wake_at > now + EARLY_TOLERANCE:
            return Declined("early")
        if row.status == Status.PENDING and not row.requested:
            row.status = next_status(row.status, Event.START)
            events.record_event(
                session, now, f"deployment.{row.status}", deployment_id=row.id, alias=row.alias
            )
        _mark_claimed(services, session, row, now, owner)
        session.flush()
        claim = _build_claim(row)
        session.expunge_all()
        return claim


def knock_for(row: Deployment, now: datetime, *, again: bool = False) -> Knock:
    """Returns the knock that asks for the row's next turn when it is due. ``again``: the sweep may
    send a knock for the same turn."""
    step = current_step(row) or row.steps[-1]
    waits = row.place == Place.WAITING
    ahead = 0.0
    if not row.requested:
        ahead = max(0.0, (row.wake_at - now).total_seconds())
    undoing = row.status == Status.ROLLING_BACK
    return Knock(
        deployment_id=row.id,
        turn=row.turn,
        step=step.name,
        queue=REQUEST_QUEUE if waits else step.queue,
        countdown=ahead,
        label=f"{row.alias} turn {row.turn} try {step.tries + 1}{' undo' if undoing else ''}",
        again=again,
        first=_is_first(row),
        long=not undoing and _is_long(step),
    )


def _is_long(step: StepRow) -> bool:
    """Returns whether the step's next turn is long. A state that cannot be read is reported by the
    turn itself; it must not keep a sweep from knocking for others."""
    if step.name not in STEPS or why_not_known(step.state):
        return False
    try:
        return read_data(STEPS[step.name].state, step.state).is_long()
    except (Unavailable, TypeError, ValueError, LookupError, AttributeError) as error:
        log.warning(
            "the state of step %s of %s cannot be read: %s",
            step.name,
            step.deployment_id,
            type(error).__name__,
        )
        return False


def _is_first(row: Deployment) -> bool:
    """Returns whether this deployment has had its place for longest. It is finished before the
    others make progress."""
    session = object_session(row)
    if row.place != Place.TAKEN or session is None:
        return False
    first = select(Deployment.id).where(Deployment.place == Place.TAKEN)
    return session.scalar(first.order_by(Deployment.placed_at, Deployment.id).limit(1)) == row.id


def _why_declined(row: Deployment, turn: int, now: datetime) -> str:
    if row.turn != turn:
        return f"stale turn {turn}, now {row.turn}"
    if row.lease_until is not None and row.lease_until >= now:
        return f"turn {turn} is under way at {row.lease_owner}"
    if not moves(row) and row.status in set(Status):
        waits = row.place == Place.WAITING
        return (
            "nothing to do: "
            f"{row.status}{', waits for a place among the rebuilds' if waits else ''}"
        )
    return ""


def _unknown(row: Deployment) -> str:
    """Returns what the turn would need that this program does not know, because a newer release may
    have written it."""
    concerned = _select_steps(row)
    words: list[tuple[str, str, Collection[str]]] = [
        ("status", row.status, list(Status)),
        ("request", row.requested or Event.ABORT, list(Event)),
        *(("step", one.name, STEPS) for one in concerned),
        *(("state of a step", one.status, list(StepStatus)) for one in concerned),
    ]
    for what, word, known in words:
        if word not in known:
            return f"{what} {word} of {row.id} is not known to this program"
    for content in (*(one.state for one in concerned), *(one.output for one in row.steps)):
        if why := why_not_known(content):
            return f"what a step of {row.id} has written down is not known to this program: {why}"
    try:
        read_stored(IndexSpec, row.spec)
    except Unavailable as error:
        return str(error)
    return ""


def _select_steps(row: Deployment) -> list[StepRow]:
    """Returns the steps that a turn must know. Pause and abort need none, because they run no step.
    Other requests look at the steps to come, and the end looks at all steps."""
    if row.requested in (Event.ABORT, Event.PAUSE):
        return []
    if row.requested:
        return list(row.steps)
    step = current_step(row)
    if step is not None:
        return [step]
    # The result of a finished plan depends on what its steps have done; the result of a rollback
    # does not.
    if row.status == Status.ROLLING_BACK:
        return []
    return list(row.steps)


def _mark_claimed(
    services: Services, session: Session, row: Deployment, now: datetime, owner: str
) -> None:
    crashed = row.lease_until is not None
    dead = row.lease_owner
    row.claimed_at = now
    row.lease_owner = owner
    row.knocks = 0
    row.lease_until = now + timedelta(seconds=services.times.lease)
    step = current_step(row)
    if step is None:
        return
    if crashed:
        step.crashes += 1
        _record_death(services, session, row, step, now, dead)
    if not row.requested:
        step.tries += 1
        _begin_step(row, step, now)


def _record_death(
    services: Services,
    session: Session,
    row: Deployment,
    step: StepRow,
    now: datetime,
    dead: str | None,
) -> None:
    of = f"{step.crashes} of {services.times.crashes} without progress between them"
    detail = (
        f"its worker {dead or 'of an unknown name'} died or was stopped in the middle of turn "
        f"{row.turn}: {of}"
    )
    events.record_event(
        session, now, f"{step.name}.worker_died", detail, deployment_id=row.id, alias=row.alias
    )


def _begin_step(row: Deployment, step: StepRow, now: datetime) -> None:
    if row.status == Status.RUNNING:
        step.status = StepStatus.RUNNING
        step.started_at = step.started_at or now


def _build_claim(row: Deployment) -> Claim:
    return Claim(
        deployment=row,
        held=row.turn,
        step=current_step(row),
        undoing=row.status == Status.ROLLING_BACK,
        request=row.requested,
        plan=tuple(step.name for step in row.steps),
        outputs=read_outputs(row),
    )


def read_outputs(row: Deployment) -> tuple[StepRecord, ...]:
    """Returns the outputs of the deployment's steps."""
    return tuple(
        StepRecord(STEPS[step.name].output, step.output, step.attempt)
        for step in row.steps
        if step.name in STEPS
    )


def view_deployment(row: Deployment) -> DeploymentView:
    """Returns what a step may know about the deployment."""
    return DeploymentView(
        id=row.id,
        alias=row.alias,
        plan=tuple(step.name for step in row.steps),
        blue=row.blue,
        green=row.green,
        spec=read_stored(IndexSpec, row.spec),
        source=row.source,
        number=row.number,
    )


def hold_turn(claim: Claim) -> HeldTurn:
    """Returns the turn that the claim has won. What it saves goes to the row of its step."""
    step = claim.step

    def save_state(state: dict[str, Any], progress: bool) -> Update:
        assert step is not None
        values = {"state": state, **(patience.PROGRESS if progress else {})}
        mine = StepRow.deployment_id == step.deployment_id, StepRow.position == step.position
        return update(StepRow).where(*mine).values(values)

    id = claim.deployment.id
    return HeldTurn(Deployment, (Deployment.id == id,), claim.held, id, save_state)
