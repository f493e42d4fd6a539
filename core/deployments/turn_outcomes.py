"""What a turn came to, written down.

One transaction per turn: the deployment's row (whose ``turn`` moves on, which ends the claim), the step's row, and an
event for every change of status and every result of a step, with the alerts that tell of it. Messages go out only
after it has committed.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.collections.deletion import deletions as retention
from qdrant_rollouts.core.collections.deletion import notices as deletion_notices
from qdrant_rollouts.core.collections.deletion import retention_policy as keeping
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.database.stored_json import stored
from qdrant_rollouts.core.deployments import operator_requests as wishes
from qdrant_rollouts.core.deployments import placing
from qdrant_rollouts.core.deployments.claims import Claim, fence, knock_for
from qdrant_rollouts.core.deployments.plan import Done, Hold, Outcome, Reject, Wait
from qdrant_rollouts.core.deployments.turn_record import Writer, Written
from qdrant_rollouts.core.deployments.turns import current_step, moves
from qdrant_rollouts.core.lifecycle import Event, Status, StepStatus
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.services import Services

#: An undo is worth more patience than the step it takes back: giving up leaves work for a person.
UNDO_PATIENCE = 3600.0
_NEAR = ("deadline_near",)
#: A retry waits at most this many times as long as the one before: twice, and 1.2 over 0.8 for the spread.
_GROWTH = 3.0


@dataclass(frozen=True, slots=True)
class Later:
    """The outside did not answer; try again with growing waits."""

    reason: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """The turn was cut short."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """No step is left in this direction."""


@dataclass(frozen=True, slots=True)
class Honour:
    """An operator's wish comes before any step."""


TurnOutcome = Outcome | Later | Crashed | Finish | Honour


def write(services: Services, claim: Claim, outcome: TurnOutcome) -> Written:
    """Commits the turn. Raises LeaseLost, and changes nothing, if the turn belongs to somebody else by now."""
    with services.sessions.begin() as session:
        fence(session, claim)
        row = session.get_one(Deployment, claim.deployment.id)
        writer = Writer(services, session, row, services.clock.now(session))
        writer.over(("no_progress",), "a worker takes its turns again")
        before = row.status
        written = _rule(row, claim, outcome)(writer, outcome)
        written.places = placing.settle(row, before)
        row.claimed_at = row.lease_until = row.lease_owner = None
        row.knocked_at = writer.now
        session.flush()
        written.knock = knock_for(row, writer.now) if moves(row) else None
        return written


def _rule(row: Deployment, claim: Claim, outcome: TurnOutcome) -> Callable[..., Written]:
    if row.status == Status.PAUSED and isinstance(outcome, Wait | Later | Crashed):
        return _still_paused
    return _RULES[claim.undoing, type(outcome)]


# --- forward ----------------------------------------------------------------------------------------------------


def _still_paused(writer: Writer, outcome: Wait | Later | Crashed) -> Written:
    """Nothing but harm comes of a look while it is paused, so no patience is used up and the message stays."""
    seconds = writer.services.times.longest_retry
    if isinstance(outcome, Wait):
        seconds = outcome.seconds
        writer.step.tries = writer.step.crashes = 0
    writer.wake(seconds)
    return Written(f"paused in {writer.step.name}: {outcome.reason}; next look in {seconds:g} s")


def _done(writer: Writer, outcome: Done) -> Written:
    step = writer.step
    step.status, step.finished_at, step.output = StepStatus.DONE, writer.now, outcome.output
    step.message = str(outcome.output.get("summary", ""))
    writer.event(f"{step.name}.done", step.message)
    writer.over(_NEAR, f"{step.name} is done")
    writer.tell("stage_completed", f"{step.name}: {step.message}" if step.message else f"{step.name} is done")
    writer.wake()
    following = current_step(writer.row)
    return Written(f"{step.name} done -> {following.name if following else 'finish'}")


def _wait(writer: Writer, outcome: Wait) -> Written:
    step = writer.step
    if outcome.progress:
        step.tries = step.crashes = 0
        step.waited = 0.0
        writer.over(_NEAR, f"{step.name} gets on: {outcome.reason}")
    elif _patience_gone(writer, step, outcome.seconds):
        return _out_of_patience(writer, step, outcome.reason)
    step.message = outcome.reason
    if step.status == StepStatus.RUNNING:
        step.status = StepStatus.WAITING
    writer.wake(outcome.seconds)
    return Written(f"{step.name}: {outcome.reason}; next look in {outcome.seconds:g} s")


def _later(writer: Writer, outcome: Later) -> Written:
    step, times = writer.step, writer.services.times
    delay = min(times.first_retry * 2 ** min(step.tries - 1, 16), times.longest_retry)
    delay *= random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries of many deployments, hides nothing
    if _patience_gone(writer, step, delay):
        return _out_of_patience(writer, step, outcome.reason)
    writer.event(f"{step.name}.retry", f"{outcome.reason}; trying again in {delay:.1f} s")
    return _wait_on(writer, step, delay, outcome.reason)


def _crashed(writer: Writer, outcome: Crashed) -> Written:
    step = writer.step
    step.crashes += 1
    writer.event(f"{step.name}.interrupted", outcome.reason)
    return _wait_on(writer, step, 0.0, outcome.reason)


def _measured(output: dict[str, Any]) -> tuple[str, str]:
    """What the gate's first finding that stopped it measured, and against what."""
    findings = output.get("gate", {}).get("checks", [])
    for verdict in ("block", "inconclusive"):
        for finding in findings:
            if finding["verdict"] == verdict and finding["level"] == "hard":
                return f"{finding['name']} {_figure(finding['value'])}", _figure(finding["bound"])
    return "", ""


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _wait_on(writer: Writer, step: StepRow, seconds: float, reason: str) -> Written:
    step.message = reason
    writer.wake(seconds)
    return Written(f"{step.name}: {reason}; again in {seconds:.1f} s")


def _patience_gone(writer: Writer, step: StepRow, seconds: float) -> bool:
    """Patience is counted in the waits themselves: no clock that jumps, and no pause of ours, uses it up."""
    step.waited += seconds
    undoing = writer.row.status == Status.ROLLING_BACK
    bound = UNDO_PATIENCE if undoing else stored(IndexSpec, writer.row.spec).progress_deadline_seconds
    if step.waited <= bound < max(2 * step.waited, step.waited + _GROWTH * seconds):
        writer.tell(
            "deadline_near",
            f"{step.name} gets nowhere: {step.message}",
            value=f"{step.waited:.0f} s without progress",
            bound=f"{bound:g} s, then {'a person is needed' if undoing else 'it is rolled back'}",
            act="see what it waits for: rollouts status {id}",
        )
    return step.waited > bound


def _out_of_patience(writer: Writer, step: StepRow, reason: str) -> Written:
    text = f"no progress for {step.waited:.0f} s: {reason}"
    return _RULES[writer.row.status == Status.ROLLING_BACK, Reject](writer, Reject(text))


def _hold(writer: Writer, outcome: Hold) -> Written:
    step = writer.step
    step.status, step.message, step.output = StepStatus.WAITING, outcome.reason, outcome.output
    writer.row.paused_for = "approval"
    message = f"{step.name}: {outcome.reason}; promote to go on, retry to look again, abort to roll back"
    writer.move(Event.HOLD, message)
    value, bound = _measured(outcome.output)
    writer.tell(
        "inconclusive" if "gate" in outcome.output else "approval_needed",
        message,
        value=value,
        bound=bound,
        reason=outcome.reason,
        act="rollouts promote {id}, rollouts retry {id} or rollouts abort {id}",
    )
    return Written(message)


def _reject(writer: Writer, outcome: Reject) -> Written:
    step = writer.step
    step.status, step.finished_at, step.message = StepStatus.FAILED, writer.now, outcome.reason
    step.output = outcome.output or step.output
    writer.event(f"{step.name}.failed", outcome.reason)
    message = f"{step.name} failed: {outcome.reason}"
    writer.row.paused_for = None
    value, bound = _measured(outcome.output)
    if stored(IndexSpec, writer.row.spec).rollback_on_failure:
        writer.move(Event.FAIL, message)
        writer.tell("failed", message, value=value, bound=bound, reason=outcome.reason, act="wait: it is rolled back")
        writer.turn_back()
        return Written(message, failed=True)
    message += f". {writer.row.green} is kept for inspection; abort drops it"
    writer.move(Event.KEEP_FAILED, message)
    look = "rollouts status {id}, then rollouts abort {id}"
    writer.tell("needs_operator", message, value=value, bound=bound, reason=outcome.reason, act=look)
    return Written(message, failed=True)


def _finish(writer: Writer, outcome: Finish) -> Written:
    row = writer.row
    row.finished_at = writer.now
    if row.kind != "rollout":
        return _finished(writer)
    message = f"{row.alias} is served by {row.green}"
    if row.blue:
        message += f". {_replaced(writer, row.blue)} `rollouts rollback {shell_word(row.alias)}`"
    writer.move(Event.FINISH, message)
    writer.tell("completed", message)
    return Written(message)


def _replaced(writer: Writer, blue: str) -> str:
    """Writes down what is kept no longer, blue or older ones, and says what becomes of blue."""
    row, spec = writer.row, stored(IndexSpec, writer.row.spec)
    surplus = keeping.over(writer.session, writer.now, row.alias, row.green, spec, replaced=blue)
    keeping.schedule(writer.session, writer.now, row.alias, surplus, deployment_id=row.id)
    going = retention.open_deletion(writer.session, blue)
    if going is None:
        return f"{blue} is kept; back to it by"
    rules = deletion_notices.read_rules(writer.services)
    told = deletion_notices.announce(writer.session, [going], rules)
    return f"{told[going.id]['text']}. Back to it by"


def _finished(writer: Writer) -> Written:
    """What moved no alias has replaced nothing."""
    message = next(step.message for step in reversed(writer.row.steps) if step.message)
    writer.move(Event.FINISH, message)
    writer.tell("completed", message)
    return Written(message)


# --- backward ---------------------------------------------------------------------------------------------------


def _undone(writer: Writer, outcome: Done) -> Written:
    step = writer.step
    note = str(outcome.output.get("summary", ""))
    step.undone_at = writer.now
    if step.status != StepStatus.FAILED:
        step.status = StepStatus.UNDONE
        step.message = note or step.message
    writer.event(f"{step.name}.undone", note)
    writer.wake()
    return Written(f"{step.name} undone")


def _give_up(writer: Writer, outcome: Reject | Hold) -> Written:
    step = writer.step
    message = f"undo of {step.name} gave up: {outcome.reason}. Mend that, then abort again"
    writer.event(f"{step.name}.undo_failed", outcome.reason)
    writer.move(Event.GIVE_UP, message)
    writer.tell("needs_operator", message, reason=outcome.reason, act="mend that, then rollouts abort {id}")
    return Written(message, failed=True)


def _rolled_back(writer: Writer, outcome: Finish) -> Written:
    row = writer.row
    row.finished_at = writer.now
    cause = row.message
    writer.move(Event.UNDONE, f"{cause.removesuffix('.')}. Rolled back: {_as_before(row)}")
    writer.tell("rolled_back", row.message, reason=cause, act="rollouts status {id} says why")
    return Written(row.message)


def _as_before(row: Deployment) -> str:
    if not any(step.started_at for step in row.steps):
        return f"it had not begun and nothing was made; {_served(row)}"
    return _served(row)


def _served(row: Deployment) -> str:
    if row.kind != "rollout":
        return f"nothing is left of this {row.kind}"
    return f"{row.alias} is served by {row.blue}" if row.blue else f"{row.alias} has no collection, as before"


def _honour(writer: Writer, outcome: Honour) -> Written:
    return wishes.honour(writer)


#: (on the way back?, what the turn came to) -> how it is written down.
_RULES: dict[tuple[bool, type[TurnOutcome]], Callable[..., Written]] = {
    (False, Done): _done,
    (False, Wait): _wait,
    (False, Later): _later,
    (False, Crashed): _crashed,
    (False, Hold): _hold,
    (False, Reject): _reject,
    (False, Finish): _finish,
    (False, Honour): _honour,
    (True, Done): _undone,
    (True, Wait): _wait,
    (True, Later): _later,
    (True, Crashed): _crashed,
    (True, Hold): _give_up,
    (True, Reject): _give_up,
    (True, Finish): _rolled_back,
    (True, Honour): _honour,
}
