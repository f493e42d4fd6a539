"""What a turn came to, written down.

One transaction per turn: the deployment's row (whose ``turn`` moves on, which ends the claim), the step's row, and an
event for every change of status and every result of a step. Messages and alerts go out only after it has committed.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from core import events, retention
from core.claims import Claim, current_step, fence, knock_for
from core.errors import Refused
from core.lifecycle import FINAL, MOVING, Event, Status, StepStatus, after
from core.models import Deployment, StepRow
from core.plan import Done, Hold, Outcome, Reject, Wait
from core.ports import Alert, Knock
from core.services import Services

#: An undo is worth more patience than the step it takes back: giving up leaves work for a person.
UNDO_PATIENCE = 3600.0


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


@dataclass(slots=True)
class Written:
    """What is to be sent now that the turn is committed. ``line`` is what Flower shows; ``failed`` makes it red."""

    line: str
    failed: bool = False
    knock: Knock | None = None
    alerts: list[Alert] = field(default_factory=list)


def write(services: Services, claim: Claim, outcome: TurnOutcome) -> Written:
    """Commits the turn. Raises LeaseLost, and changes nothing, if the turn belongs to somebody else by now."""
    with services.sessions.begin() as session:
        fence(session, claim)
        row = session.get_one(Deployment, claim.deployment.id)
        writer = _Writer(services, session, row, services.clock.now(session))
        written = _RULES[claim.undoing, type(outcome)](writer, outcome)
        row.claimed_at = row.lease_until = row.lease_owner = None
        row.knocked_at = writer.now
        session.flush()
        moving = row.status in MOVING or (row.requested and row.status not in FINAL)
        written.knock = knock_for(services, row, writer.now) if moving else None
        return written


@dataclass(slots=True)
class _Writer:
    services: Services
    session: Session
    row: Deployment
    now: datetime

    @property
    def step(self) -> StepRow:
        step = current_step(self.row)
        assert step is not None
        return step

    def event(self, event: str, detail: str = "", actor: str = events.SYSTEM) -> None:
        events.record(
            self.session, self.now, event, detail, actor=actor, deployment_id=self.row.id, alias=self.row.alias
        )

    def wake(self, seconds: float = 0.0) -> None:
        self.row.wake_at = self.now + timedelta(seconds=seconds)

    def move(self, event: Event, message: str, actor: str = events.SYSTEM) -> None:
        self.row.status = after(self.row.status, event)
        self.row.message = message
        self.event(f"deployment.{self.row.status}", message, actor)
        self.wake()

    def alert(self, severity: str, text: str) -> Alert:
        return Alert(severity, f"{self.row.alias}: deployment {self.row.id} {self.row.status}", text)


# --- forward ----------------------------------------------------------------------------------------------------


def _done(writer: _Writer, outcome: Done) -> Written:
    step = writer.step
    step.status, step.finished_at, step.output = StepStatus.DONE, writer.now, outcome.output
    step.message = str(outcome.output.get("summary", ""))
    writer.event(f"{step.name}.done", step.message)
    writer.wake()
    following = current_step(writer.row)
    return Written(f"{step.name} done -> {following.name if following else 'finish'}")


def _wait(writer: _Writer, outcome: Wait) -> Written:
    step = writer.step
    if outcome.progress:
        step.tries = step.crashes = 0
        step.waited = 0.0
    elif _patience_gone(writer, step, outcome.seconds):
        return _out_of_patience(writer, step, outcome.reason)
    step.message = outcome.reason
    if step.status == StepStatus.RUNNING:
        step.status = StepStatus.WAITING
    writer.wake(outcome.seconds)
    return Written(f"{step.name}: {outcome.reason}; next look in {outcome.seconds:g} s")


def _later(writer: _Writer, outcome: Later) -> Written:
    step, times = writer.step, writer.services.times
    delay = min(times.first_retry * 2 ** min(step.tries - 1, 16), times.longest_retry)
    delay *= random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries of many deployments, hides nothing
    if _patience_gone(writer, step, delay):
        return _out_of_patience(writer, step, outcome.reason)
    writer.event(f"{step.name}.retry", f"{outcome.reason}; trying again in {delay:.1f} s")
    return _wait_on(writer, step, delay, outcome.reason)


def _crashed(writer: _Writer, outcome: Crashed) -> Written:
    step = writer.step
    step.crashes += 1
    writer.event(f"{step.name}.interrupted", outcome.reason)
    return _wait_on(writer, step, 0.0, outcome.reason)


def _wait_on(writer: _Writer, step: StepRow, seconds: float, reason: str) -> Written:
    step.message = reason
    writer.wake(seconds)
    return Written(f"{step.name}: {reason}; again in {seconds:.1f} s")


def _patience_gone(writer: _Writer, step: StepRow, seconds: float) -> bool:
    """Patience is counted in the waits themselves: no clock that jumps, and no pause of ours, uses it up."""
    step.waited += seconds
    undoing = writer.row.status == Status.ROLLING_BACK
    return step.waited > (UNDO_PATIENCE if undoing else float(writer.row.spec["progress_deadline_seconds"]))


def _out_of_patience(writer: _Writer, step: StepRow, reason: str) -> Written:
    text = f"no progress for {step.waited:.0f} s: {reason}"
    return _RULES[writer.row.status == Status.ROLLING_BACK, Reject](writer, Reject(text))


def _hold(writer: _Writer, outcome: Hold) -> Written:
    step = writer.step
    step.status, step.message, step.output = StepStatus.WAITING, outcome.reason, outcome.output
    writer.row.paused_for = "approval"
    message = f"{step.name}: {outcome.reason}; promote to go on, retry to look again, abort to roll back"
    writer.move(Event.HOLD, message)
    return Written(message, alerts=[writer.alert("warn", message)])


def _reject(writer: _Writer, outcome: Reject) -> Written:
    step = writer.step
    step.status, step.finished_at, step.message = StepStatus.FAILED, writer.now, outcome.reason
    step.output = outcome.output or step.output
    writer.event(f"{step.name}.failed", outcome.reason)
    message = f"{step.name} failed: {outcome.reason}"
    if writer.row.spec["rollback_on_failure"]:
        writer.move(Event.FAIL, message)
        _turn_back(writer)
        return Written(message, failed=True, alerts=[writer.alert("warn", message)])
    message += f". {writer.row.green} is kept for inspection; abort drops it"
    writer.move(Event.KEEP_FAILED, message)
    return Written(message, failed=True, alerts=[writer.alert("error", message)])


def _turn_back(writer: _Writer) -> None:
    """From here the undos of the begun steps run in reverse, each with counters of its own."""
    for step in writer.row.steps:
        if step.started_at is None:
            step.status = StepStatus.SKIPPED
        step.tries = step.crashes = 0
        step.waited = 0.0


def _finish(writer: _Writer, outcome: Finish) -> Written:
    row = writer.row
    row.finished_at = writer.now
    message = f"{row.alias} is served by {row.green}"
    if row.blue:
        minutes = float(row.spec["grace_period_minutes"])
        retention.schedule(
            writer.session,
            writer.now,
            row.blue,
            minutes,
            reason=f"{row.green} replaced it; kept for {minutes:g} minutes",
            alias=row.alias,
            deployment_id=row.id,
        )
        message += f"; {row.blue} is kept for {minutes:g} minutes, until then `rollouts rollback {row.alias}`"
    writer.move(Event.FINISH, message)
    return Written(message, alerts=[writer.alert("info", message)])


# --- backward ---------------------------------------------------------------------------------------------------


def _undone(writer: _Writer, outcome: Done) -> Written:
    step = writer.step
    note = str(outcome.output.get("summary", ""))
    step.undone_at = writer.now
    if step.status != StepStatus.FAILED:
        step.status = StepStatus.UNDONE
        step.message = note or step.message
    writer.event(f"{step.name}.undone", note)
    writer.wake()
    return Written(f"{step.name} undone")


def _give_up(writer: _Writer, outcome: Reject | Hold) -> Written:
    step = writer.step
    message = f"undo of {step.name} gave up: {outcome.reason}. Mend that, then abort again"
    writer.event(f"{step.name}.undo_failed", outcome.reason)
    writer.move(Event.GIVE_UP, message)
    return Written(message, failed=True, alerts=[writer.alert("error", message)])


def _rolled_back(writer: _Writer, outcome: Finish) -> Written:
    row = writer.row
    row.finished_at = writer.now
    cause = row.message
    serving = f"{row.alias} is served by {row.blue}" if row.blue else f"{row.alias} has no collection, as before"
    writer.move(Event.UNDONE, f"{cause}. Rolled back: {serving}")
    return Written(row.message, alerts=[writer.alert("warn", row.message)])


# --- wishes -----------------------------------------------------------------------------------------------------


def _honour(writer: _Writer, outcome: Honour) -> Written:
    row = writer.row
    wish, actor, reason = str(row.requested), row.requested_by or events.SYSTEM, row.requested_reason or ""
    row.requested = row.requested_by = row.requested_reason = None
    try:
        after(row.status, Event(wish))
    except Refused as error:
        writer.event(f"{wish}.refused", str(error), actor)
        writer.wake()
        return Written(f"{wish} refused: {error}")
    _WISHES[Event(wish)](writer, actor, reason)
    return Written(row.message)


def _pause(writer: _Writer, actor: str, reason: str) -> None:
    writer.row.paused_for = "operator"
    writer.move(Event.PAUSE, _signed("paused", actor, reason), actor)


def _resume(writer: _Writer, actor: str, reason: str) -> None:
    writer.row.paused_for = None
    writer.move(Event.RESUME, _signed("resumed", actor, reason), actor)


def _promote(writer: _Writer, actor: str, reason: str) -> None:
    """Approves what a step held up, or ends a person's pause; it opens no gate that was blocked."""
    if writer.row.paused_for == "approval":
        step = writer.step
        step.status, step.finished_at = StepStatus.DONE, writer.now
        step.output = {**step.output, "approved_by": actor, "approved_because": reason}
        writer.event(f"{step.name}.approved", reason, actor)
    writer.row.paused_for = None
    writer.move(Event.PROMOTE, _signed("promoted", actor, reason), actor)


def _retry(writer: _Writer, actor: str, reason: str) -> None:
    """The held step runs again from nothing, as its next attempt: what it said before opens nothing any more."""
    step = writer.step
    step.attempt += 1
    step.status, step.message, step.state, step.output = StepStatus.PENDING, "", {}, {}
    step.tries = step.crashes = 0
    step.waited = 0.0
    writer.row.paused_for = None
    writer.event(f"{step.name}.retried", f"attempt {step.attempt}" + (f": {reason}" if reason else ""), actor)
    writer.move(Event.RETRY, _signed("tried again", actor, reason), actor)


def _abort(writer: _Writer, actor: str, reason: str) -> None:
    writer.row.paused_for = None
    writer.move(Event.ABORT, _signed("aborted", actor, reason), actor)
    _turn_back(writer)


def _signed(verb: str, actor: str, reason: str) -> str:
    return f"{verb} by {actor}" + (f": {reason}" if reason else "")


_WISHES: dict[Event, Callable[[_Writer, str, str], None]] = {
    Event.PAUSE: _pause,
    Event.RESUME: _resume,
    Event.PROMOTE: _promote,
    Event.RETRY: _retry,
    Event.ABORT: _abort,
}

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
