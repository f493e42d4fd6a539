"""What an operator can request of a running deployment, and the effect of each request.

A request is checked when it is made and again when it takes effect, between turns, because another
one may have taken effect first.
"""

from collections.abc import Callable, Iterable

from sqlalchemy import or_, select

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deployment, EventRow, StepRow
from qdrant_rollouts.core.database.schedule_rows import is_replaced
from qdrant_rollouts.core.database.step_data import add_approval
from qdrant_rollouts.core.database.step_traits import traits_of
from qdrant_rollouts.core.deployments.abort_notices import has_switched
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.turn_record import HELD, TurnResult, TurnWriter
from qdrant_rollouts.core.deployments.turns import current_step, name_place
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import Event, Status, StepStatus, next_status
from qdrant_rollouts.core.sanitize.quoting import add_reason

#: These requests pass over something that waits, watches or holds.
_GOES_ON = (Event.PROMOTE, Event.PROMOTE_FULL, Event.RETRY, Event.RESUME)

#: A request has priority over those after it.
REQUEST_RANK = (
    Event.ABORT,
    Event.ABORT_KEEP,
    Event.PAUSE,
    Event.PROMOTE_FULL,
    Event.RETRY,
    Event.PROMOTE,
    Event.RESUME,
)


def rank(request: str) -> int:
    """Returns the priority; lower comes first. A request of a newer release comes first, because no
    other process knows its meaning."""
    if request not in REQUEST_RANK:
        return -1
    return REQUEST_RANK.index(Event(request))


def check_request(row: Deployment, request: Event, reason: str = "") -> None:
    """Raises Refused, with the reason, if the request is not possible."""
    next_status(row.status, request)
    _CHECKS.get(request, _allow_always)(row, reason)


def check_place(row: Deployment, request: Event, place: str) -> None:
    """Raises Refused for a request that goes on from another place than the person saw: pressed
    twice, or on an old page, it would skip what nobody has looked at."""
    if request not in _GOES_ON or place == name_place(row):
        return
    step = current_step(row)
    raise Refused(
        f"{row.id} has moved on since you looked: it is {row.status} at "
        f"{step.name if step else 'its end'} now ({row.message}); look again, then decide"
    )


def apply_request(writer: TurnWriter) -> TurnResult:
    """Applies the stored request, before any step runs. If it has become impossible, its refusal is
    recorded."""
    row = writer.row
    request = Event(row.requested or "")
    actor = row.requested_by or events.SYSTEM
    reason = row.requested_reason or ""
    row.requested = row.requested_by = row.requested_reason = None
    try:
        check_request(row, request, reason)
        if request is Event.PROMOTE:
            _check_step_asked_for(writer)
    except Refused as error:
        writer.event(f"{request}.refused", str(error), actor)
        writer.wake()
        return TurnResult(f"{request} refused: {error}")
    _ACTIONS[request](writer, actor, reason)
    row.paused_for = "operator" if request is Event.PAUSE else None
    return TurnResult(row.message)


def _check_step_asked_for(writer: TurnWriter) -> None:
    """Raises Refused if a step has ended since the request was written, in the turn that was under
    way then. The request was for that step, and would end the next one, which nobody has seen."""
    mine = EventRow.deployment_id == writer.row.id
    newest = select(EventRow.event).order_by(EventRow.id.desc()).limit(1)
    either = or_(EventRow.event == f"{Event.PROMOTE}.requested", EventRow.event.endswith(".done"))
    last = writer.session.scalar(newest.where(mine, either))
    if last is not None and last.endswith(".done"):
        raise Refused(
            f"the step for which it was requested has ended by itself ({last}): look at what "
            "follows, and promote that if it is right"
        )


def _allow_always(row: Deployment, reason: str) -> None:
    return


def _check_resume(row: Deployment, reason: str) -> None:
    if row.paused_for == "approval":
        raise Refused(f"{row.id} waits for an approval, which resume is not: {row.message}")


def _check_retry(row: Deployment, reason: str) -> None:
    if row.paused_for != "approval":
        raise Refused(f"{row.id} was paused by a person and has no result to try again; use resume")


def _check_promote(row: Deployment, reason: str) -> None:
    step = current_step(row)
    if row.status == Status.RUNNING and not (step and _is_soft(step)):
        name = step.name if step else "the end"
        raise Refused(
            f"{row.id} is at {name}, which cannot be shortened; promote ends a stage of traffic"
        )


def _check_promote_full(row: Deployment, reason: str) -> None:
    """Checks that there is something to skip. This request skips waits, but never a gate."""
    step = current_step(row)
    if not reason:
        raise Refused("promote --full skips what would have protected users: say why with a reason")
    if row.paused_for == "approval" and step and not _is_soft(step):
        raise Refused(
            f"{step.name} holds {row.id} and is not skipped: promote approves it, retry looks again"
        )
    if not any(_is_soft(step) for step in _steps_to_come(row)):
        raise Refused(f"{row.id} has no stage left to skip")


def _check_abort_keep(row: Deployment, reason: str) -> None:
    if not (has_switched(row) and all(_is_soft(step) for step in _steps_to_come(row))):
        raise Refused(
            f"{row.green} does not serve {row.alias} yet: there is nothing to keep, and abort "
            "takes it back"
        )


_CHECKS: dict[Event, Callable[[Deployment, str], None]] = {
    Event.RESUME: _check_resume,
    Event.RETRY: _check_retry,
    Event.PROMOTE: _check_promote,
    Event.PROMOTE_FULL: _check_promote_full,
    Event.ABORT_KEEP: _check_abort_keep,
}


def _apply_pause(writer: TurnWriter, actor: str, reason: str) -> None:
    text = _sign_message("paused", actor, reason)
    writer.move(Event.PAUSE, text, actor)
    writer.tell("paused", text, actor=actor, reason=reason, act="rollouts resume {id}")


def _apply_resume(writer: TurnWriter, actor: str, reason: str) -> None:
    writer.move(Event.RESUME, _sign_message("resumed", actor, reason), actor)


def _apply_promote(writer: TurnWriter, actor: str, reason: str) -> None:
    """Approves what a step waits for, ends a stage of traffic, or ends a person's pause; never
    opens a gate that blocked."""
    step = current_step(writer.row)
    approves = writer.row.paused_for == "approval"
    if step and approves and traits_of(step.name).moves_alias:  # it must still move the alias
        step.state = add_approval(step.state, actor, reason)
        writer.event(f"{step.name}.approved", reason, actor)
    elif step and (approves or _is_soft(step)):
        step.status = StepStatus.DONE
        step.finished_at = writer.now
        step.output = add_approval(step.output, actor, reason)
        step.message = f"{_sign_message('approved', actor, reason)}; {step.message}"
        writer.event(f"{step.name}.approved", reason, actor)
    writer.move(Event.PROMOTE, _sign_message("promoted", actor, reason), actor)


def _apply_promote_full(writer: TurnWriter, actor: str, reason: str) -> None:
    _skip_steps(
        writer, [step for step in _steps_to_come(writer.row) if _is_soft(step)], actor, reason
    )
    writer.move(
        Event.PROMOTE_FULL, _sign_message("promoted past every stage", actor, reason), actor
    )


def _apply_retry(writer: TurnWriter, actor: str, reason: str) -> None:
    """Runs the held step again from the beginning, as its next attempt; its earlier output no
    longer counts."""
    step = writer.step
    step.attempt += 1
    step.status = StepStatus.PENDING
    step.message = ""
    step.state = {}
    step.output = {}
    step.tries = step.crashes = 0
    step.waited = 0.0
    writer.event(f"{step.name}.retried", add_reason(f"attempt {step.attempt}", reason), actor)
    writer.move(Event.RETRY, _sign_message("tried again", actor, reason), actor)


def _apply_abort(writer: TurnWriter, actor: str, reason: str) -> None:
    text = _sign_message("aborted", actor, reason)
    if is_replaced(writer.session, writer.row.id):
        _let_next_run_judge(writer, text, actor)
    else:
        writer.move(Event.ABORT, text, actor)
        writer.tell("aborted", text, actor=actor, reason=reason, act="wait: it is rolled back")
    writer.turn_back()


def _let_next_run_judge(writer: TurnWriter, text: str, actor: str) -> None:
    """Goes back in favour of the next run of the schedule. The alert about the hold lasts until
    that run has judged, so that people hear once of what comes every night."""
    before = writer.row.message
    writer.move(Event.ABORT, text, actor, keeps=HELD)
    told = f"{text}, which judges anew; before that: {before}"
    act = "nothing to do until it has judged"
    for what in outbox.HELD:
        outbox.amend_lasting(writer.session, writer.row.alias, what, told, act)


def _apply_abort_keep(writer: TurnWriter, actor: str, reason: str) -> None:
    _skip_steps(writer, _steps_to_come(writer.row), actor, reason)
    text = _sign_message("aborted, and kept serving,", actor, reason)
    writer.move(Event.ABORT_KEEP, text, actor)
    writer.tell(
        "aborted",
        text,
        actor=actor,
        reason=reason,
        act="check whether it answers well: it keeps serving",
    )


_ACTIONS: dict[Event, Callable[[TurnWriter, str, str], None]] = {
    Event.PAUSE: _apply_pause,
    Event.RESUME: _apply_resume,
    Event.PROMOTE: _apply_promote,
    Event.PROMOTE_FULL: _apply_promote_full,
    Event.RETRY: _apply_retry,
    Event.ABORT: _apply_abort,
    Event.ABORT_KEEP: _apply_abort_keep,
}


def _skip_steps(writer: TurnWriter, steps: Iterable[StepRow], actor: str, reason: str) -> None:
    for step in steps:
        step.status = StepStatus.SKIPPED
        step.finished_at = writer.now
        step.message = _sign_message("skipped", actor, reason)
        writer.event(f"{step.name}.skipped", reason, actor)


def _is_soft(step: StepRow) -> bool:
    return step.name in STEPS and STEPS[step.name].soft


def _steps_to_come(row: Deployment) -> list[StepRow]:
    return [step for step in row.steps if step.status not in (StepStatus.DONE, StepStatus.SKIPPED)]


def _sign_message(verb: str, actor: str, reason: str) -> str:
    return add_reason(f"{verb} by {actor}", reason)
