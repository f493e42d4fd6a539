"""Takes one turn of a deployment: claims it, runs one step, writes the outcome and knocks for the
next turn.

The rows are the truth, and a message is only a knock: every knock may be lost, late, doubled or
reordered.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.collections import freezing
from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database import clock_jumps, events
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.database.step_data import StepState, read_data
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import (
    claims,
    due_slices,
    due_turns,
    operator_requests,
    placing,
    slices,
    turn_log,
    turn_outcomes,
    unclaimed,
)
from qdrant_rollouts.core.deployments.claims import Claim, Declined, view_deployment
from qdrant_rollouts.core.deployments.plan import (
    Done,
    Outcome,
    Plan,
    Reject,
    Step,
    StepContext,
    StepFunction,
    StepOutputs,
)
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.turn_leases import Lease
from qdrant_rollouts.core.deployments.turn_outcomes import (
    ApplyRequest,
    Finish,
    TurnOutcome,
)
from qdrant_rollouts.core.deployments.turn_record import TurnResult
from qdrant_rollouts.core.deployments.turn_runs import run_turn
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import Event, Status, StepStatus
from qdrant_rollouts.core.ports import Knock
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

#: Knocks of one transaction for each list of due turns, and transactions of one sweep. Other sweeps
#: and the turns themselves wait for a transaction.
_MOST_KNOCKS = 200
_MOST_BATCHES = 5


def enroll_deployment(
    session: Session, deployment: Deployment, plan: Plan, now: datetime, told_as: str = "created"
) -> None:
    """Writes the deployment and its whole plan. A running deployment keeps this plan when the code
    changes. ``told_as`` is the name of the alert."""
    deployment.created_at = deployment.wake_at = now
    deployment.steps = [_write_step(position, step) for position, step in enumerate(plan)]
    placing.enter(session, deployment, plan, read_stored(IndexSpec, deployment.spec))
    session.add(deployment)
    session.flush()
    detail = f"{deployment.strategy}: {' -> '.join(step.name for step in plan)}; {deployment.green}"
    if deployment.message:
        detail += f"; {deployment.message}"
    events.record_event(
        session,
        now,
        "deployment.pending",
        detail,
        actor=deployment.actor,
        reason=deployment.message,
        deployment_id=deployment.id,
        alias=deployment.alias,
    )
    outbox.record_alert(session, now, _build_start_alert(deployment, detail, told_as))


def advance(
    services: Services,
    deployment_id: str,
    turn: int,
    owner: str,
    begun: Callable[[str], None] | None = None,
) -> TurnResult:
    """Takes the turn if it is free and due. Raises LeaseLost if another worker took the turn while
    the step was working.

    ``begun`` receives the phase of the step, if it has phases, before the step begins. What is
    logged meanwhile is stored with the deployment.
    """
    claim = claims.claim_turn(services, deployment_id, turn, owner)
    if isinstance(claim, Declined):
        return TurnResult(claim.reason, foreign=claim.foreign)
    with turn_log.keep_lines(services, deployment_id, owner):
        return _run_claimed_turn(services, claim, begun)


def _run_claimed_turn(
    services: Services, claim: Claim, begun: Callable[[str], None] | None
) -> TurnResult:
    started = time.monotonic()
    phase = _phase_of_turn(claim)
    with Lease(services, claims.hold_turn(claim), turn_log.store_so_far) as lease:
        if begun is not None and phase:
            begun(phase)
        outcome = _decide_outcome(services, claim, lease)
        written = turn_outcomes.write_outcome(services, claim, outcome)
    turn_log.tell_end(written.line, outcome, time.monotonic() - started)
    delivered = _send_knock(services, written)
    if written.places:
        placing.give(services)
    return delivered


def take_turn(services: Services, knock: Knock, owner: str) -> TurnResult:
    """Takes the turn that the knock asks for: of the deployment, or of one of its slices."""
    if knock.slice is None:
        return advance(services, knock.deployment_id, knock.turn, owner)
    return slices.advance_slice(services, knock.deployment_id, knock.slice, knock.turn, owner)


def store_request(
    services: Services,
    deployment_id: str,
    request: Event,
    actor: str,
    reason: str = "",
    place: str | None = None,
    along: Callable[[Session, str], None] | None = None,
) -> None:
    """Stores an operator's request. The engine applies it between turns. Raises Refused, with the
    reason, if the request is not possible. ``place`` is where the person saw the deployment
    (``turns.name_place``): what goes on is refused elsewhere, and what stops never is. ``along``
    writes in the same transaction."""
    with services.sessions.begin() as session:
        row = session.get(Deployment, deployment_id, with_for_update=True)
        if row is None:
            raise Refused(f"there is no deployment {deployment_id}; `rollouts list` shows them")
        if place is not None:
            operator_requests.check_place(row, request, place)
        _check_new_request(row, request, reason)
        now = services.clock.now(session)
        write_request(session, now, row, request, actor, reason)
        if along is not None:
            along(session, row.id)
        session.refresh(row)
        knock = claims.knock_for(row, now, again=True)
    services.knock(knock)


def write_request(
    session: Session, now: datetime, row: Deployment, request: Event, actor: str, reason: str
) -> None:
    """Writes a request that is possible into the locked row, in the caller's transaction. The sweep
    knocks for it."""
    wanted = {
        "requested": request,
        "requested_by": actor,
        "requested_reason": reason,
        "knocked_at": None,
    }
    if _is_pause_withdrawn(row, request):
        wanted["requested"] = None
    session.execute(update(Deployment).where(Deployment.id == row.id).values(wanted))
    events.record_event(
        session,
        now,
        f"{request}.requested",
        reason,
        actor=actor,
        reason=reason,
        deployment_id=row.id,
        alias=row.alias,
    )


def knock_overdue_turns(services: Services) -> list[Knock]:
    """Knocks for each deployment whose turn is due and which got no knock yet, or no answer to the
    last one; returns the knocks.

    It also gives free places to deployments, adds to the time in which the service was running (the
    caller is alive), reports turns that no worker takes, and lets collections take writes again
    whose deployment died while it switched.
    """
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        deletions.advance_service_clock(session, now)
        clock_jumps.mend(session, now, services.times.lease)
    knocks = [*_knock_in_batches(services), *due_slices.knock_due(services, _MOST_KNOCKS)]
    unclaimed.watch(services)
    given = placing.give(services)
    freezing.lift_expired(services)
    return [*knocks, *given]


def _knock_in_batches(services: Services) -> list[Knock]:
    """Sends the knocks of one batch after its commit and before the next batch, so that no
    transaction lasts long. The next sweep continues where this one has ended."""
    sent: list[Knock] = []
    for _ in range(_MOST_BATCHES):
        knocks, full = _stamp_unanswered(services)
        for knock in knocks:
            services.knock(knock)
        sent += knocks
        if not full:
            break
    return sent


def _stamp_unanswered(services: Services) -> tuple[list[Knock], bool]:
    """Returns the knocks to send now, and whether there may be more."""
    times = services.times
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        late = now - timedelta(seconds=times.knock_again_after)
        rows, full = due_turns.take_unanswered(
            session, now, late, _MOST_KNOCKS, holds_waits=times.holds_waits
        )
        knocks = [claims.knock_for(row, now, again=not _is_first(row)) for row in rows]
        stamp = update(Deployment).where(Deployment.id.in_([row.id for row in rows]))
        session.execute(
            stamp.values(knocked_at=now, knocks=Deployment.knocks + 1),
            execution_options={"synchronize_session": False},
        )
    return knocks, full


def _write_step(position: int, step: Step) -> StepRow:
    row = StepRow(position=position, name=step.name, queue=step.queue, arguments=step.arguments)
    if step.skipped:
        row.status = StepStatus.SKIPPED
        row.message = step.skipped
    return row


def _phase_of_turn(claim: Claim) -> str:
    if claim.step is None or claim.request:
        return ""
    if claim.undoing:
        return "undo"
    return _read_state(claim.step).name_phase()


def _read_state(step: StepRow) -> StepState:
    return read_data(STEPS[step.name].state, step.state)


def _decide_outcome(services: Services, claim: Claim, lease: Lease) -> TurnOutcome:
    if claim.request:
        return ApplyRequest()
    if claim.step is None:
        return Finish()
    if claim.step.crashes >= services.times.crashes:
        died = (
            f"its worker died or was stopped {claim.step.crashes} times in the middle of the same "
            "piece"
        )
        return Reject(f"{died}: {_piece(claim.step, undoing=claim.undoing)}")
    return _run_step(services, claim, claim.step, lease)


def _piece(step: StepRow, *, undoing: bool) -> str:
    """Describes where the work was when its workers died, as far as the step has saved it."""
    if undoing:
        return f"the undo of {step.name}"
    state = _read_state(step)
    phase = state.name_phase()
    told = step.name
    if phase:
        told = f"{step.name} ({phase})"
    return f"{told}, {state.describe_place() or 'before anything of it was saved'}"


def _run_step(services: Services, claim: Claim, step: StepRow, lease: Lease) -> TurnOutcome:
    def work() -> Outcome:
        return _choose_function(step.name, claim)(_build_context(services, claim, step, lease))

    return run_turn(services, work, f"step {step.name} of deployment {claim.deployment.id}")


def _choose_function(name: str, claim: Claim) -> StepFunction:
    step = STEPS[name]
    if claim.deployment.status == Status.PAUSED:
        assert step.guard
        return step.guard
    if claim.undoing:
        return step.undo or _undo_nothing
    return step.do


def _undo_nothing(context: StepContext) -> Done:
    return Done()


def _build_context(services: Services, claim: Claim, step: StepRow, lease: Lease) -> StepContext:
    return StepContext(
        view_deployment(claim.deployment),
        dict(step.state),
        StepOutputs(claim.outputs),
        services,
        lease,
        step.attempt,
        dict(step.arguments),
        step.position,
        step.waited,
    )


def _send_knock(services: Services, written: TurnResult) -> TurnResult:
    if written.knock is not None:
        services.knock(written.knock)
    return written


def _check_new_request(row: Deployment, request: Event, reason: str) -> None:
    if _is_pause_withdrawn(row, request):
        return
    operator_requests.check_request(row, request, reason)
    if row.requested and operator_requests.rank(row.requested) < operator_requests.rank(request):
        raise Refused(
            f"{row.requested} was asked for by {row.requested_by} and comes before {request}"
        )


def _is_pause_withdrawn(row: Deployment, request: Event) -> bool:
    """Returns whether this resume takes back a pause that has not been applied yet."""
    return request is Event.RESUME and row.requested == Event.PAUSE and row.status != Status.PAUSED


def _is_first(row: Deployment) -> bool:
    """Returns whether the deployment's wait has just ended, so that no knock for this turn exists
    yet."""
    return not row.requested and row.knocked_at is not None and row.knocked_at < row.wake_at


def _build_start_alert(row: Deployment, detail: str, told_as: str) -> Alert:
    word = outbox.run_word(row.kind)
    return Alert(
        row.alias,
        f"{word}.{told_as}",
        f"{word} {row.id} begins: {detail}",
        actor=row.actor,
        reason=row.message,
        next=f"watch it: rollouts status {row.id} --watch",
        deployment_id=row.id,
    )
