"""What can be asked of a deployment while it is under way."""

from collections.abc import Sequence

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.step_traits import has_step, traits_of
from qdrant_rollouts.core.deployments import abort_notices, operator_requests
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import FINAL, Event, StepStatus
from qdrant_rollouts.core.operations.views.overview.actions.operator_action import OperatorAction
from qdrant_rollouts.core.operations.views.overview.step_labels import label_step

_OPTIONS = {Event.PROMOTE_FULL: "promote {} --full", Event.ABORT_KEEP: "abort {} --keep"}
_LABELS = {
    Event.PROMOTE: "Promote",
    Event.PROMOTE_FULL: "Promote past all stages",
    Event.RETRY: "Retry",
    Event.PAUSE: "Pause",
    Event.RESUME: "Resume",
    Event.ABORT_KEEP: "Abort, keep it serving",
    Event.ABORT: "Abort",
}
_GRAVE = (Event.PROMOTE_FULL, Event.ABORT_KEEP, Event.ABORT)
#: Shown only if it can be done, because it is the way out of one case.
_ONLY_IF_POSSIBLE = (Event.ABORT_KEEP,)
_GOES_ON = (Event.PROMOTE, Event.RESUME)


def actions_of_deployment(row: Deployment) -> list[OperatorAction]:
    """Returns the requests in the order in which people need them; none for an ended deployment."""
    if row.status in FINAL:
        return []
    events = list(_LABELS)
    if row.paused_for == "operator":
        events.sort(key=lambda event: event is not Event.RESUME)
    actions = [_build_action(row, event) for event in events]
    return [one for one in actions if not one.refused or one.verb not in _ONLY_IF_POSSIBLE]


def _build_action(row: Deployment, event: Event) -> OperatorAction:
    return OperatorAction(
        verb=event.value,
        label=_LABELS[event],
        says=_describe_effect(row, event),
        command=f"rollouts {_OPTIONS.get(event, event.value + ' {}').format(row.id)} --reason '…'",
        refused=_why_refused(row, event),
        grave=event in _GRAVE,
        must_say_why=event is Event.PROMOTE_FULL,
        steps=_name_steps(row, event),
    )


def _name_steps(row: Deployment, event: Event) -> Sequence[str]:
    """Returns the steps that the action undoes, or continues with."""
    if event is Event.ABORT:
        return _name_undone_steps(row)
    if event not in _GOES_ON:
        return ()
    return _name_coming_steps(row)


def _why_refused(row: Deployment, event: Event) -> str:
    try:
        operator_requests.check_request(row, event, "asked whether it can be")
    except Refused as error:
        return str(error)
    if not _is_outranked(row, event):
        return ""
    return f"{row.requested} was requested and comes first"


def _is_outranked(row: Deployment, event: Event) -> bool:
    return row.requested is not None and operator_requests.rank(
        row.requested
    ) <= operator_requests.rank(event)


def _describe_effect(row: Deployment, event: Event) -> str:
    said = {
        Event.PROMOTE: _describe_promote(row),
        Event.PROMOTE_FULL: "Skips every stage that only watches; no gate is skipped.",
        Event.RETRY: "Runs this step again from its beginning; what it found before no longer "
        "counts.",
        Event.PAUSE: _describe_pause(row),
        Event.RESUME: "Continues where it was paused.",
        Event.ABORT_KEEP: f"Ends the watch; {row.green} keeps serving, and nothing is undone.",
        Event.ABORT: _describe_abort(row),
    }
    return said[event]


def _describe_pause(row: Deployment) -> str:
    if has_step((step.name for step in row.steps), lambda step: step.shares_searches):
        return "Stops after the current turn; a canary keeps its share and is still watched."
    return "Stops after the current turn; what is done stays done."


def _describe_promote(row: Deployment) -> str:
    coming = _name_coming_steps(row)
    if not coming:
        return "Ends the remaining waits."
    if row.paused_for == "approval":
        return f"Approves it, and goes on with {coming[0]}."
    return f"Goes on with {coming[0]}."


def _name_coming_steps(row: Deployment) -> list[str]:
    return [
        label_step(step.name, step.arguments)
        for step in row.steps
        if step.status == StepStatus.PENDING
    ]


def _name_undone_steps(row: Deployment) -> list[str]:
    """Returns the steps that an abort undoes, in that order."""
    begun = [step for step in row.steps if step.started_at and step.undone_at is None]
    names = [
        label_step(step.name, step.arguments)
        for step in reversed(begun)
        if step.name not in STEPS or STEPS[step.name].undo
    ]
    return [f"undo {name}" for name in names]


def _describe_abort(row: Deployment) -> str:
    if row.kind != "rollout":
        return "Stops it and cleans up what it made."
    if _answers_searches(row):
        answers = (
            f"{row.blue} answers {row.alias} again" if row.blue else f"{row.alias} is removed again"
        )
        first = f"{answers}, then"
    elif row.blue:
        first = f"{row.blue} keeps answering {row.alias};"
    else:
        first = f"Nothing serves {row.alias}, as before;"
    warning = f" Note: {found}" if (found := abort_notices.warn_of_abort(row)) else ""
    return (
        f"{first} {row.green} is "
        f"given up{'' if _name_undone_steps(row) else '; nothing was begun yet'}.{warning}"
    )


def _answers_searches(row: Deployment) -> bool:
    """Returns whether green answers searches, or may do so any moment."""
    return any(
        (traits_of(step.name).moves_alias or traits_of(step.name).shares_searches)
        and step.status not in (StepStatus.PENDING, StepStatus.SKIPPED, StepStatus.UNDONE)
        for step in row.steps
    )
