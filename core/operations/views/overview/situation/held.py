"""Runs that wait for a person."""

from qdrant_rollouts.core.deployments.end_messages import CANNOT_TELL, UNDO, find_cause
from qdrant_rollouts.core.operations.views.overview import causes
from qdrant_rollouts.core.operations.views.overview.situation.parts import (
    CANARY,
    GATE,
    Run,
    Situation,
    begin_sentence,
)

_DECIDE = "Decide: promote it to go on, retry to check again, or abort it"


def describe_paused(run: Run) -> Situation:
    if run.around.paused_for != "approval":
        return _describe_pause(run)
    check = causes.find_deciding_check(run.told["gate"])
    cause = find_cause(run.step["message"] if run.step is not None else "")
    if run.step is not None and causes.is_judging(run.step) and check is not None:
        return Situation(
            tone="warn",
            now=f"The gate cannot tell whether {run.green} may serve. "
            f"{begin_sentence(cause.what.removeprefix(CANNOT_TELL))}. {run.say_what_serves()}",
            since=run.list_since(),
            until="a person promotes it, has the gate check again, or aborts it",
            needed=run.or_requested(_DECIDE),
            person=not run.told["requested"],
            advice=cause.next,
            link=GATE,
            see=f"the check {check['name']}",
        )
    return _describe_hold(run)


def _describe_hold(run: Run) -> Situation:
    """A step that asks for a decision without a gate: a stage of a canary without evidence."""
    why = run.told["message"]
    link = ""
    see = ""
    if run.step is not None:
        why = run.step["message"] or why
        if causes.is_stage(run.step):
            link = CANARY
            see = "what the canary saw"
    return Situation(
        tone="warn",
        now=f"Held at {run.label}: {why.rstrip('.')}. {run.say_what_serves()}",
        since=run.list_since(),
        until="a person promotes it, has it check again, or aborts it",
        needed=run.or_requested(_DECIDE),
        person=not run.told["requested"],
        link=link,
        see=see,
    )


def _say_who_paused(run: Run) -> str:
    """Returns the message of a pause, which names the person and the reason, with the step."""
    message = run.told["message"]
    if message.startswith("paused"):
        return f"paused at {run.label}{message.removeprefix('paused')}"
    return f"paused at {run.label}: {message}"


def _describe_pause(run: Run) -> Situation:
    return Situation(
        tone="warn",
        now=f"{begin_sentence(_say_who_paused(run))}. {run.say_what_serves()}",
        since=run.list_since(),
        until="a person resumes or aborts it",
        needed=run.or_requested("Resume it, or abort it"),
        person=not run.told["requested"],
    )


def describe_stuck(run: Run) -> Situation:
    """A failed version that is kept, or an undo that gave up."""
    link, see = run.link_to_cause()
    cause = find_cause(run.told["message"])
    if not run.told["message"].startswith(UNDO):
        return Situation(
            tone="bad",
            now=f"{begin_sentence(cause.what)}. "
            f"{begin_sentence(run.green)} is kept for inspection. {run.say_what_serves()}",
            since=run.list_since(),
            until="a person aborts it",
            needed=run.or_requested(f"Look at {run.green}, then abort: that drops it"),
            person=not run.told["requested"],
            advice=cause.next,
            link=link,
            see=see,
        )
    return Situation(
        tone="bad",
        now=f"It stopped, and cannot go on by itself: {run.told['message']}",
        since=run.list_since(),
        until="a person has looked at it and aborts it",
        needed=run.or_requested("Correct what is named, then abort: that undoes what is left"),
        person=not run.told["requested"],
        link=link,
        see=see,
    )
