"""Writes the outcome of a turn.

One transaction writes each turn: the deployment's row (its ``turn`` moves on, which ends the
claim), the step's row, one event for each change of status and each result of a step, and the
alerts about them. Messages are sent only after the commit.
"""

from collections.abc import Callable
from dataclasses import dataclass

from qdrant_rollouts.core.collections.deletion import deletions, retention_policy
from qdrant_rollouts.core.collections.deletion import notices as deletion_notices
from qdrant_rollouts.core.collections.serving_history import ROLLBACK
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.models import Deployment, StepRow, Version
from qdrant_rollouts.core.database.schedule_rows import is_replaced
from qdrant_rollouts.core.database.step_data import StepOutput, write_data
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import (
    end_messages,
    fill_history,
    operator_requests,
    patience,
    placing,
    way_back,
)
from qdrant_rollouts.core.deployments.abort_notices import has_switched
from qdrant_rollouts.core.deployments.claims import Claim, hold_turn, knock_for
from qdrant_rollouts.core.deployments.plan import Done, Hold, Reject, Wait
from qdrant_rollouts.core.deployments.turn_record import HELD, TurnResult, TurnWriter
from qdrant_rollouts.core.deployments.turn_runs import Crashed, RetryLater, RunOutcome
from qdrant_rollouts.core.deployments.turns import current_step, moves
from qdrant_rollouts.core.lifecycle import Event, Status, StepStatus
from qdrant_rollouts.core.routing import table
from qdrant_rollouts.core.services import Services

#: An undo gets more patience than the step that it takes back: an undo that gives up leaves work
#: for a person.
UNDO_PATIENCE = 3600.0
_DEADLINE_NEAR = ("deadline_near",)


@dataclass(frozen=True, slots=True)
class Finish:
    """No step is left in this direction."""


@dataclass(frozen=True, slots=True)
class ApplyRequest:
    """An operator's request. It is applied before any step runs."""


TurnOutcome = RunOutcome | Finish | ApplyRequest


def write_outcome(services: Services, claim: Claim, outcome: TurnOutcome) -> TurnResult:
    """Commits the turn. Raises LeaseLost, and changes nothing, if the turn belongs to another
    worker by now."""
    with services.sessions.begin() as session:
        hold_turn(claim).fence(session)
        row = session.get_one(Deployment, claim.deployment.id)
        writer = TurnWriter(services, session, row, services.clock.now(session))
        writer.over(("no_progress",), "a worker takes its turns again")
        fill_history.sample_filling(session, row, current_step(row), writer.now)
        before = row.status
        written = _choose_rule(row, claim, outcome)(writer, outcome)
        written.places = placing.settle(row, before)
        row.claimed_at = row.lease_until = row.lease_owner = None
        row.knocked_at = writer.now
        session.flush()
        written.knock = knock_for(row, writer.now) if moves(row) else None
        return written


def _choose_rule(row: Deployment, claim: Claim, outcome: TurnOutcome) -> Callable[..., TurnResult]:
    if row.status == Status.PAUSED and isinstance(outcome, Wait | RetryLater | Crashed):
        return _stay_paused
    return _RULES[claim.undoing, type(outcome)]


# --- forward --------------------------------------------------------------------------------------


def _stay_paused(writer: TurnWriter, outcome: Wait | RetryLater | Crashed) -> TurnResult:
    """Keeps the deployment paused. A look during a pause can only reject, so it uses up no patience
    and does not change the message."""
    seconds = writer.services.times.longest_retry
    if isinstance(outcome, Wait):
        seconds = outcome.seconds
        writer.step.tries = writer.step.crashes = 0
        writer.step.queue = outcome.queue or writer.step.queue
    writer.wake(seconds)
    return TurnResult(f"paused in {writer.step.name}: {outcome.reason}; next look in {seconds:g} s")


def _complete_step(writer: TurnWriter, outcome: Done) -> TurnResult:
    step = writer.step
    step.status = StepStatus.DONE
    step.finished_at = writer.now
    step.output = write_data(outcome.output)
    step.message = outcome.output.summary
    writer.event(f"{step.name}.done", step.message)
    writer.over(_DEADLINE_NEAR, f"{step.name} is done")
    writer.wake()
    following = current_step(writer.row)
    return TurnResult(f"{step.name} done -> {following.name if following else 'finish'}")


def _wait_in_step(writer: TurnWriter, outcome: Wait) -> TurnResult:
    step = writer.step
    if outcome.progress:
        patience.note_progress(step)
        writer.over(_DEADLINE_NEAR, f"{step.name} makes progress again: {outcome.reason}")
    elif _is_patience_gone(writer, step, outcome.seconds):
        return _reject_without_progress(writer, step, outcome.reason)
    step.message = outcome.reason
    if outcome.queue:
        step.queue = outcome.queue
    if step.status == StepStatus.RUNNING:
        step.status = StepStatus.WAITING
    writer.wake(outcome.seconds)
    return TurnResult(f"{step.name}: {outcome.reason}; next look in {outcome.seconds:g} s")


def _retry_later(writer: TurnWriter, outcome: RetryLater) -> TurnResult:
    step = writer.step
    delay = patience.choose_delay(writer.services.times, step)
    if _is_patience_gone(writer, step, delay):
        return _reject_without_progress(writer, step, outcome.reason)
    writer.event(f"{step.name}.retry", f"{outcome.reason}; trying again in {delay:.1f} s")
    return _try_again_after(writer, step, delay, outcome.reason)


def _count_crash(writer: TurnWriter, outcome: Crashed) -> TurnResult:
    step = writer.step
    step.crashes += 1
    writer.event(f"{step.name}.interrupted", outcome.reason)
    return _try_again_after(writer, step, 0.0, outcome.reason)


def _find_measured_value(output: StepOutput) -> tuple[str, str]:
    """Returns the value and the bound of the first finding because of which the gate did not
    pass."""
    findings = (output.report or {}).get("checks", [])
    for verdict in ("block", "inconclusive"):
        for finding in findings:
            if finding["verdict"] == verdict and finding["level"] == "hard":
                return f"{finding['name']} {_format_figure(finding['value'])}", _format_figure(
                    finding["bound"]
                )
    return "", ""


def _format_figure(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.4g}"


def _try_again_after(writer: TurnWriter, step: StepRow, seconds: float, reason: str) -> TurnResult:
    step.message = reason
    writer.wake(seconds)
    return TurnResult(f"{step.name}: {reason}; again in {seconds:.1f} s")


def _is_patience_gone(writer: TurnWriter, step: StepRow, seconds: float) -> bool:
    """Adds up the waits themselves, so neither a jumping clock nor an operator's pause uses up
    patience."""
    step.waited += seconds
    undoing = writer.row.status == Status.ROLLING_BACK
    bound = UNDO_PATIENCE
    if not undoing:
        bound = read_stored(IndexSpec, writer.row.spec).progress_deadline_seconds
    if step.waited <= bound < max(2 * step.waited, step.waited + patience.RETRY_GROWTH * seconds):
        writer.tell(
            "deadline_near",
            f"{step.name} makes no progress: {step.message}",
            value=f"{step.waited:.0f} s without progress",
            bound=f"{bound:g} s, then {'a person is needed' if undoing else 'it is rolled back'}",
            act="see what it waits for: rollouts status {id}",
        )
    return step.waited > bound


def _reject_without_progress(writer: TurnWriter, step: StepRow, reason: str) -> TurnResult:
    text = f"no progress for {step.waited:.0f} s: {reason}"
    return _RULES[writer.row.status == Status.ROLLING_BACK, Reject](writer, Reject(text))


def _hold_deployment(writer: TurnWriter, outcome: Hold) -> TurnResult:
    step = writer.step
    step.status = StepStatus.WAITING
    step.message = outcome.reason
    step.output = write_data(outcome.output)
    writer.row.paused_for = "approval"
    message = (
        f"{step.name}: {outcome.reason.removesuffix('.')}. Promote to go on, retry to check again, "
        "or abort to roll back"
    )
    told_as = "inconclusive" if outcome.output.report else "approval_needed"
    writer.move(Event.HOLD, message, keeps=(told_as,))
    value, bound = _find_measured_value(outcome.output)
    writer.tell(
        told_as,
        message,
        value=value,
        bound=bound,
        reason=outcome.reason,
        act="rollouts promote {id}, rollouts retry {id} or rollouts abort {id}",
        cause=_name_inconclusive(outcome.output),
    )
    return TurnResult(message)


def _name_inconclusive(output: StepOutput) -> str:
    """Returns the checks because of which the gate cannot tell: the cause of the pause."""
    findings = (output.report or {}).get("checks", [])
    names = {
        finding["name"]
        for finding in findings
        if finding["verdict"] == "inconclusive" and finding["level"] == "hard"
    }
    return ", ".join(sorted(names))


def _fail_step(writer: TurnWriter, outcome: Reject) -> TurnResult:
    step = writer.step
    step.status = StepStatus.FAILED
    step.finished_at = writer.now
    step.message = outcome.reason
    step.output = write_data(outcome.output) or step.output
    writer.event(f"{step.name}.failed", outcome.reason)
    message = end_messages.say_failed(step.name, outcome.reason)
    writer.row.paused_for = None
    value, bound = _find_measured_value(outcome.output)
    if read_stored(IndexSpec, writer.row.spec).rollback_on_failure:
        writer.move(Event.FAIL, message)
        writer.tell(
            "failed",
            message,
            value=value,
            bound=bound,
            reason=outcome.reason,
            act="wait: it is rolled back",
        )
        writer.turn_back()
        return TurnResult(message, failed=True)
    message = end_messages.say_kept(message, writer.row.green)
    writer.move(Event.KEEP_FAILED, message)
    look = "rollouts status {id}, then rollouts abort {id}"
    writer.tell(
        "needs_operator", message, value=value, bound=bound, reason=outcome.reason, act=look
    )
    return TurnResult(message, failed=True)


def _finish_deployment(writer: TurnWriter, outcome: Finish) -> TurnResult:
    row = writer.row
    row.finished_at = writer.now
    if row.kind != "rollout":
        return _finish_other_run(writer)
    if not has_switched(row):
        return _finish_without_switch(writer)
    message = f"{row.alias} is served by {row.green}"
    if row.blue:
        command = way_back.build_command(row.alias, *_name_way_back(writer, row.blue))
        message += f". {_schedule_deletions(writer, row.blue)} `{command}`"
    writer.move(Event.FINISH, message)
    writer.tell("completed", message)
    return TurnResult(message)


def _name_way_back(writer: TurnWriter, blue: str) -> tuple[str, ...]:
    """A rollback leads to what a rollback has left, or to a version that is marked bad, only by its
    name."""
    version = writer.session.get(Version, blue)
    if version is not None and version.marked_bad_at is not None:
        return ("--to", blue, "--force")
    return ("--to", blue) if writer.row.strategy == ROLLBACK else ()


def _schedule_deletions(writer: TurnWriter, blue: str) -> str:
    """Schedules the deletion of collections that are no longer kept (blue or older ones), and says
    what happens to blue."""
    row = writer.row
    spec = read_stored(IndexSpec, writer.row.spec)
    surplus = retention_policy.find_surplus(
        writer.session, writer.now, row.alias, row.green, spec, replaced=blue
    )
    retention_policy.schedule_surplus(
        writer.session, writer.now, row.alias, surplus, deployment_id=row.id
    )
    going = deletions.find_open_deletion(writer.session, blue)
    if going is None:
        return f"{blue} is kept. To return to it:"
    rules = deletion_notices.read_rules(writer.services)
    told = deletion_notices.describe_open_deletions(writer.session, [going], rules)
    return f"{told[going.id]['text']}. To return to it:"


def _finish_other_run(writer: TurnWriter) -> TurnResult:
    """Finishes a run that moved no alias, such as a backup. It has replaced nothing."""
    message = _last_message(writer.row)
    writer.move(Event.FINISH, message)
    writer.tell("completed", message)
    return TurnResult(message)


def _finish_without_switch(writer: TurnWriter) -> TurnResult:
    """Finishes a plan that only tried green. It has replaced nothing, so nothing is scheduled for
    deletion. No search goes to green any more, whatever the plan's last step was."""
    row = writer.row
    table.release_route(writer.services, writer.session, row.alias, row.id)
    message = (
        f"{_served(row)}{', as before' if row.blue else ''}: no step of this plan moves it. "
        f"{_last_message(row)}"
    )
    writer.move(Event.COMPLETE, message)
    writer.tell("completed", message)
    return TurnResult(message)


def _last_message(row: Deployment) -> str:
    return next((step.message for step in reversed(row.steps) if step.message), "")


# --- backward -------------------------------------------------------------------------------------


def _complete_undo(writer: TurnWriter, outcome: Done) -> TurnResult:
    step = writer.step
    note = outcome.output.summary
    step.undone_at = writer.now
    if step.status != StepStatus.FAILED:
        step.status = StepStatus.UNDONE
        step.message = note or step.message
    writer.event(f"{step.name}.undone", note)
    writer.wake()
    return TurnResult(f"{step.name} undone")


def _give_up_undo(writer: TurnWriter, outcome: Reject | Hold) -> TurnResult:
    step = writer.step
    message = (
        f"{end_messages.UNDO}{step.name} gave up: {outcome.reason}. Correct that, then abort again"
    )
    writer.event(f"{step.name}.undo_failed", outcome.reason)
    writer.move(Event.GIVE_UP, message)
    writer.tell(
        "needs_operator",
        message,
        reason=outcome.reason,
        act="correct that, then rollouts abort {id}",
    )
    return TurnResult(message, failed=True)


def _finish_rollback(writer: TurnWriter, outcome: Finish) -> TurnResult:
    row = writer.row
    row.finished_at = writer.now
    if row.kind == "rollout":
        spec = read_stored(IndexSpec, row.spec)
        retention_policy.schedule_again(
            writer.session, writer.now, row.alias, row.green, spec, row.created_at
        )
    cause = row.message
    message = end_messages.say_rolled_back(cause, _describe_former_state(row))
    if is_replaced(writer.session, row.id):  # the next run goes on, and tells
        writer.move(Event.UNDONE, message, keeps=HELD)
        return TurnResult(row.message)
    writer.move(Event.UNDONE, message)
    writer.tell("rolled_back", row.message, reason=cause, act="rollouts status {id} says why")
    return TurnResult(row.message)


def _describe_former_state(row: Deployment) -> str:
    if not any(step.started_at for step in row.steps):
        return f"it had not begun and nothing was made; {_served(row)}"
    return _served(row)


def _served(row: Deployment) -> str:
    if row.kind != "rollout":
        return f"nothing is left of this {row.kind}"
    if row.blue:
        return f"{row.alias} is served by {row.blue}"
    return f"{row.alias} has no collection, as before"


def _apply_request(writer: TurnWriter, outcome: ApplyRequest) -> TurnResult:
    return operator_requests.apply_request(writer)


#: (is it rolling back?, the type of the outcome) -> the function that writes it.
_RULES: dict[tuple[bool, type[TurnOutcome]], Callable[..., TurnResult]] = {
    (False, Done): _complete_step,
    (False, Wait): _wait_in_step,
    (False, RetryLater): _retry_later,
    (False, Crashed): _count_crash,
    (False, Hold): _hold_deployment,
    (False, Reject): _fail_step,
    (False, Finish): _finish_deployment,
    (False, ApplyRequest): _apply_request,
    (True, Done): _complete_undo,
    (True, Wait): _wait_in_step,
    (True, RetryLater): _retry_later,
    (True, Crashed): _count_crash,
    (True, Hold): _give_up_undo,
    (True, Reject): _give_up_undo,
    (True, Finish): _finish_rollback,
    (True, ApplyRequest): _apply_request,
}
