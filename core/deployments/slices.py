"""Takes one turn of a slice: one of the parts of a source, or of a comparison, on which several
workers work at the same time.

Rule: a slice obeys the laws that a deployment obeys. Its row is the truth and a message is only a
knock; a turn is won by adding one to ``turn``; what a late worker writes is refused by the fence.
In addition its turns stop when its deployment stops: the fence also holds the deployment to that.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Update, update
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.slice_rows import SliceRow
from qdrant_rollouts.core.database.step_data import StepOutput, read_data, why_not_known
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import due_slices, patience, turn_log
from qdrant_rollouts.core.deployments.claims import (
    EARLY_TOLERANCE,
    Declined,
    read_outputs,
    view_deployment,
)
from qdrant_rollouts.core.deployments.plan import (
    DeploymentView,
    Done,
    Hold,
    Outcome,
    Reject,
    SliceWork,
    StepContext,
    StepOutputs,
    StepRecord,
    Wait,
)
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.turn_leases import HeldTurn, Lease
from qdrant_rollouts.core.deployments.turn_record import TurnResult
from qdrant_rollouts.core.deployments.turn_runs import Crashed, RetryLater, RunOutcome, run_turn
from qdrant_rollouts.core.deployments.turns import current_step
from qdrant_rollouts.core.errors import LeaseLost, Unavailable
from qdrant_rollouts.core.lifecycle import SliceEvent, SliceStatus, Status, next_slice_status
from qdrant_rollouts.core.ports import Cursor, State
from qdrant_rollouts.core.services import Services


@dataclass(frozen=True, slots=True)
class _Claim:
    """A turn that was won. ``position`` is that of the deployment's present step."""

    deployment: DeploymentView
    outputs: tuple[StepRecord, ...]
    position: int
    number: int
    held: int
    start: Cursor | None
    stop: Cursor | None
    state: State
    crashes: int
    waited: float
    work: SliceWork


def advance_slice(
    services: Services, deployment_id: str, number: int, turn: int, owner: str
) -> TurnResult:
    """Takes the turn if it is free and due. Raises LeaseLost if another worker took the turn
    meanwhile."""
    claim = _claim_turn(services, deployment_id, number, turn, owner)
    if isinstance(claim, Declined):
        return TurnResult(claim.reason, foreign=claim.foreign)
    with turn_log.keep_lines(services, deployment_id, owner):
        return _run_claimed_turn(services, claim)


def _run_claimed_turn(services: Services, claim: _Claim) -> TurnResult:
    """Raises LeaseLost."""
    started = time.monotonic()
    held = _hold_turn(claim)
    outcome: RunOutcome | None = None
    try:
        with Lease(services, held, turn_log.store_so_far) as lease:
            outcome = _decide_outcome(services, claim, lease)
            written = _write_outcome(services, claim, held, outcome)
    except LeaseLost:
        if not _give_back(services, claim, outcome):
            raise
        return TurnResult(
            f"slice {claim.number + 1}: given back, because its deployment has stopped"
        )
    turn_log.tell_end(written.line, outcome, time.monotonic() - started)
    if written.knock is not None:
        services.knock(written.knock)
    return written


def _claim_turn(
    services: Services, deployment_id: str, number: int, turn: int, owner: str
) -> _Claim | Declined:
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        # Whoever stops slices locks the deployment first, and then the slices.
        lock = {"read": True, "key_share": True}
        deployment = session.get(Deployment, deployment_id, with_for_update=lock)
        row = session.get(SliceRow, (deployment_id, number), with_for_update=True)
        if row is None or deployment is None:
            return Declined(f"no slice {number} of {deployment_id}")
        refusal = _why_declined(row, deployment, turn, now)
        if refusal:
            return Declined(refusal)
        if unknown := _unknown(row, deployment):
            return Declined(f"left to a newer program: {unknown}", foreign=True)
        if row.wake_at > now + EARLY_TOLERANCE:
            return Declined("early")
        if row.lease_until is not None:
            _record_death(services, session, row, deployment.alias, now)
        row.tries += 1
        row.lease_owner = owner
        row.lease_until = now + timedelta(seconds=services.times.lease)
        session.flush()
        return _build_claim(row, deployment)


def _why_declined(row: SliceRow, deployment: Deployment, turn: int, now: datetime) -> str:
    if row.turn != turn:
        return f"stale turn {turn}, now {row.turn}"
    if row.lease_until is not None and row.lease_until >= now:
        return f"turn {turn} is under way at {row.lease_owner}"
    if row.status in set(SliceStatus) - {SliceStatus.FILLING}:
        return f"nothing to do: the slice is {row.status}"
    if deployment.status != Status.RUNNING or deployment.requested is not None:
        return f"nothing to do: {deployment.id} is {deployment.requested or deployment.status}"
    return ""


def _unknown(row: SliceRow, deployment: Deployment) -> str:
    """Returns what the turn would need that this program does not know, because a newer release may
    have written it."""
    if row.status not in set(SliceStatus):
        return f"status {row.status} of a slice of {row.deployment_id}"
    try:
        read_stored(IndexSpec, deployment.spec)
    except Unavailable as error:
        return str(error)
    step = current_step(deployment)
    if step is None or _find_work(step.name) is None:
        return f"slices of the step {step.name if step is not None else None}"
    return why_not_known(row.state)


def _find_work(step: str) -> SliceWork | None:
    return STEPS[step].slices if step in STEPS else None


def _record_death(
    services: Services, session: Session, row: SliceRow, alias: str, now: datetime
) -> None:
    row.crashes += 1
    row.unsure += 1
    of = f"{row.crashes} of {services.times.crashes} without progress between them"
    detail = (
        f"its worker {row.lease_owner or 'of an unknown name'} died or was stopped in the middle "
        f"of turn {row.turn} of slice {row.number + 1}: {of}"
    )
    events.record_event(
        session,
        now,
        f"{due_slices.FILL}.worker_died",
        detail,
        deployment_id=row.deployment_id,
        alias=alias,
    )


def _build_claim(row: SliceRow, deployment: Deployment) -> _Claim:
    step = current_step(deployment)
    assert step is not None
    work = _find_work(step.name)
    assert work is not None  # otherwise the turn is declined
    return _Claim(
        deployment=view_deployment(deployment),
        outputs=read_outputs(deployment),
        position=step.position,
        number=row.number,
        held=row.turn,
        start=row.start,
        stop=row.stop,
        state=dict(row.state),
        crashes=row.crashes,
        waited=row.waited,
        work=work,
    )


def _hold_turn(claim: _Claim) -> HeldTurn:
    """The turn is held only while the deployment runs: a pause or an abort ends it at the next
    window."""
    id = claim.deployment.id
    mine = SliceRow.deployment_id == id, SliceRow.number == claim.number

    def save_state(state: dict[str, Any], progress: bool) -> Update:
        values = {"state": state, **(patience.PROGRESS if progress else {})}
        return update(SliceRow).where(*mine).values(values)

    label = f"slice {claim.number + 1} of {id}"
    wanted = (due_slices.is_wanted(),)
    return HeldTurn(SliceRow, mine, claim.held, label, save_state, wanted)


def _decide_outcome(services: Services, claim: _Claim, lease: Lease) -> RunOutcome:
    if claim.crashes >= services.times.crashes:
        place = read_data(claim.work.state, claim.state).describe_place()
        return Reject(
            f"its worker died or was stopped {claim.crashes} times in the middle of the same "
            f"piece: {place or 'before anything of it was saved'}"
        )
    context = StepContext(
        claim.deployment,
        claim.state,
        StepOutputs(claim.outputs),
        services,
        lease,
        position=claim.position,
        waited=claim.waited,
    )

    def work() -> Outcome:
        return claim.work.do(context, claim.number, claim.start, claim.stop)

    return run_turn(services, work, f"slice {claim.number + 1} of {claim.deployment.id}")


def _write_outcome(
    services: Services, claim: _Claim, held: HeldTurn, outcome: RunOutcome
) -> TurnResult:
    with services.sessions.begin() as session:
        held.fence(session)
        now = services.clock.now(session)
        row = session.get_one(SliceRow, (claim.deployment.id, claim.number))
        seconds = _note_outcome(services, row, outcome)
        bound = claim.deployment.spec.progress_deadline_seconds
        if row.status == SliceStatus.FILLING and row.waited > bound:
            _fail(row, f"no progress for {row.waited:.0f} s: {row.message}")
        row.wake_at = now + timedelta(seconds=seconds)
        row.lease_until = row.lease_owner = None
        row.knocked_at = now
        session.flush()
        filling = row.status == SliceStatus.FILLING
        knock = due_slices.knock_for(row, claim.deployment.alias, now) if filling else None
        line = f"slice {claim.number + 1}: {row.message}"
        return TurnResult(line, failed=row.status == SliceStatus.FAILED, knock=knock)


def _note_outcome(services: Services, row: SliceRow, outcome: RunOutcome) -> float:
    """Returns after how many seconds the next turn is due."""
    seconds = 0.0
    match outcome:
        case Done():
            row.status = next_slice_status(row.status, SliceEvent.FINISH)
            row.message = outcome.output.summary
            patience.note_progress(row)
        case Wait():
            seconds = outcome.seconds
            row.message = outcome.reason
            if outcome.progress:
                patience.note_progress(row)
            else:
                row.waited += seconds
        case RetryLater():
            seconds = patience.choose_delay(services.times, row)
            row.message = outcome.reason
            row.waited += seconds
            row.unsure += 1
        case Crashed():
            row.message = outcome.reason
            row.crashes += 1
            row.unsure += 1
        case Reject() | Hold():
            row.state = {**row.state, **_list_bad_records(outcome.output)}
            _fail(row, outcome.reason)
    return seconds


def _list_bad_records(output: StepOutput) -> State:
    """Returns what the state of a rejected slice adds to the evidence of its deployment."""
    if not isinstance(output, Filling):
        return {}
    return {"bad": output.bad, "bad_samples": output.bad_samples}


def _fail(row: SliceRow, reason: str) -> None:
    row.status = next_slice_status(row.status, SliceEvent.FAIL)
    row.message = reason


def _give_back(services: Services, claim: _Claim, outcome: RunOutcome | None) -> bool:
    """Gives the turn back if it is still this worker's: then nothing was saved because the
    deployment has stopped. The worker is alive, so this counts as no death. Returns whether it
    was."""
    with services.sessions.begin() as session:
        key = claim.deployment.id, claim.number
        row = session.get(SliceRow, key, with_for_update=True)
        if row is None or row.turn != claim.held:
            return False
        if isinstance(outcome, RetryLater | Crashed):
            row.unsure += 1
        row.lease_until = row.lease_owner = row.knocked_at = None
        return True
