"""What can be done with a deployment or an index now: each verb with the reason if it is refused,
what it will do, and the command that does the same. The refusals are those of the commands
themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.answers import indexes as index_answers
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.step_traits import has_step, traits_of
from qdrant_rollouts.core.deployments import abort_notices, operator_requests
from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.strategies import STRATEGIES
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import (
    FINAL,
    OPEN_RUNS,
    Event,
    ExperimentEvent,
    ExperimentStatus,
    StepStatus,
    next_experiment_status,
)
from qdrant_rollouts.core.ports.naming import shell_word


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """``refused`` is why it cannot be done; empty if it can. ``says`` is what it will do; ``steps``
    are those that follow, in order."""

    verb: str
    label: str
    says: str
    command: str
    refused: str = ""
    grave: bool = False
    must_say_why: bool = False
    steps: Sequence[str] = ()


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
#: States of a version whose collection is there, as far as that is known.
_THERE = ("live", "retained", "deletion due", "unknown")
#: The verbs of ``actions_of_version``.
VERSION_VERBS = ("rollback_to", "rollback_to_bad", "mark_bad", "mark_good")
_GOES_ON = (Event.PROMOTE, Event.RESUME)


def actions_of_deployment(row: Deployment) -> list[OperatorAction]:
    """Returns the requests in the order in which people need them; none for an ended deployment."""
    if row.status in FINAL:
        return []
    events = list(_LABELS)
    if row.paused_for == "operator":
        events.sort(key=lambda event: event is not Event.RESUME)
    acts = [_build_action(row, event) for event in events]
    return [act for act in acts if not act.refused or act.verb not in _ONLY_IF_POSSIBLE]


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


def label_step(name: str, arguments: Mapping[str, object]) -> str:
    """Returns a step's name, with its share of the searches if several steps have that name."""
    share = arguments.get("percentage")
    if share is None:
        return name
    if arguments.get("shadow"):
        return f"{name} shadow"
    return f"{name} {share:g} %"


# --- indexes, experiments, schedules, backups -----------------------------------------------------


def actions_of_index(
    alias: str, busy: str, declared: IndexSpec | None, back: Mapping[str, Any]
) -> list[OperatorAction]:
    """``busy``: what is running on the index, in words; ``back``: what a rollback needs and does,
    as ``fallback.describe_way_back`` says it."""
    source = declared.source if declared else None
    unbuildable = ""
    if not source:
        unbuildable = f"{alias} has no source in the index file; `rollouts deploy` can name one"
    return [
        OperatorAction(
            "deploy",
            "Deploy",
            f"Builds a new version from {source or 'its source'}, and "
            f"{_describe_move(alias, declared)}.",
            f"rollouts deploy {shell_word(alias)}",
            busy or unbuildable,
            steps=_name_planned_steps(declared) if declared else (),
        ),
        OperatorAction(
            "rollback",
            "Roll back",
            f"Moves {alias} back to {back['target'] or 'the version before'}, after checking it; "
            "nothing is rebuilt.",
            f"rollouts rollback --reason '…' {shell_word(alias)}",
            _name_missing(back),
            grave=True,
        ),
        *_rollbacks_at_once(alias, back),
    ]


def _name_missing(back: Mapping[str, Any], option: str = "") -> str:
    """Returns what a rollback lacks, with an option of the command or without."""
    return "; ".join(
        one["said"]
        for one in back["conditions"]
        if one["state"] == "no" and not (option and one.get("unless") == option)
    )


def _rollbacks_at_once(alias: str, back: Mapping[str, Any]) -> list[OperatorAction]:
    if not back["brings_back"]:
        return []
    return [
        OperatorAction(
            "rollback_now",
            "Roll back at once",
            f"Moves {alias} back and waits for nothing; what was written since stays behind, and "
            "is listed.",
            f"rollouts rollback --now --reason '…' {shell_word(alias)}",
            _name_missing(back, "now"),
            grave=True,
        )
    ]


def actions_of_version(
    alias: str, version: index_answers.Version, busy: str
) -> list[OperatorAction]:
    """Returns what can be done with one version that is there. ``busy``: what is running on the
    index, in words."""
    number = version["number"]
    if number is None or version["state"] not in _THERE:
        return []
    marked = version.get("marked_bad") is not None
    found = [_mark_of_version(alias, number, marked=marked)]
    if version["live"]:
        return found
    option = " --force" if marked else ""
    back = OperatorAction(
        "rollback_to_bad" if marked else "rollback_to",
        "Roll back to it anyway" if marked else "Roll back to it",
        f"Moves {alias} to version {number}, after checking it; nothing is rebuilt."
        + (" It is marked bad." if marked else ""),
        f"rollouts rollback --to {number}{option} --reason '…' {shell_word(alias)}",
        busy,
        grave=True,
    )
    return [back, *found]


def _mark_of_version(alias: str, number: int, *, marked: bool) -> OperatorAction:
    if marked:
        return OperatorAction(
            "mark_good",
            "Remove the mark",
            f"Version {number} can be chosen by a rollback again.",
            f"rollouts mark --good {shell_word(alias)} {number}",
        )
    return OperatorAction(
        "mark_bad",
        "Mark bad",
        f"A rollback no longer chooses version {number} by itself; nothing else changes.",
        f"rollouts mark --bad --reason '…' {shell_word(alias)} {number}",
        must_say_why=True,
    )


def _describe_move(alias: str, spec: IndexSpec | None) -> str:
    plan = _plan_declared(spec) if spec else ()
    if plan and not any(step.traits.moves_alias for step in plan):
        return f"leaves {alias} where it is"
    return f"moves {alias} to it when its gate has passed"


def _name_planned_steps(spec: IndexSpec) -> list[str]:
    return [label_step(step.name, step.arguments) for step in _plan_declared(spec)]


def _plan_declared(spec: IndexSpec) -> Plan:
    """Empty for an unknown strategy: the deployment would be refused."""
    strategy = STRATEGIES.get(spec.strategy)
    return strategy(spec) if strategy else ()


def actions_of_experiment(experiment: str, status: str, coverage: int) -> list[OperatorAction]:
    if status == "running" and coverage < 10_000:
        widen = ""
    else:
        widen = f"it is {status} with {coverage / 100:g} % of the users"
    return [
        OperatorAction(
            "start",
            "Start",
            "Splits the searches from now on.",
            f"rollouts experiment start {experiment}",
            _why_not_possible(status, ExperimentEvent.START),
        ),
        OperatorAction(
            "widen",
            "Widen",
            "Lets more users take part; no user changes arm, and this cannot be undone.",
            f"rollouts experiment widen {experiment} --coverage PERCENT",
            widen,
        ),
        OperatorAction(
            "stop",
            "Stop",
            "The control answers all users again; observations are kept.",
            f"rollouts experiment stop {experiment} --reason '…'",
            _why_not_possible(status, ExperimentEvent.STOP),
            grave=True,
        ),
    ]


def _why_not_possible(status: str, event: ExperimentEvent) -> str:
    try:
        next_experiment_status(ExperimentStatus(status), event)
    except Refused as error:
        return str(error)
    return ""


def actions_of_schedule(
    alias: str, action: str, status: str, open_run: str | None
) -> list[OperatorAction]:
    command = f"{shell_word(alias)} {action}"
    off = "it is off: the index file names no times for it"
    run = ""
    if open_run in OPEN_RUNS:
        run = f"a run is {open_run} already"
    return [
        OperatorAction(
            "run",
            "Run now",
            f"Has the {action} of {alias} done now.",
            f"rollouts schedule run {command}",
            run,
        ),
        OperatorAction(
            "pause",
            "Pause",
            "Times pass without a run; an open run continues.",
            f"rollouts schedule pause {command}",
            {"off": off, "paused": "it is paused"}.get(status, ""),
        ),
        OperatorAction(
            "resume",
            "Resume",
            "Continues with the next time; times that passed are not made up for.",
            f"rollouts schedule resume {command}",
            "" if status == "paused" else f"it is {status}, not paused",
        ),
    ]


def actions_of_backup(
    backup: str, alias: str | None, status: str, refused: str
) -> list[OperatorAction]:
    damaged = ""
    if status != "done":
        damaged = f"it is {status}"
    return [
        OperatorAction(
            "verify",
            "Verify",
            "Restores it into a temporary collection, compares, and drops that again.",
            f"rollouts backup verify {backup}",
            refused or damaged,
        ),
        OperatorAction(
            "restore",
            "Restore",
            f"Makes a new collection of it; {alias} moves there if it passes the gate.",
            f"rollouts backup restore {backup} --reason '…'",
            refused or damaged,
            grave=True,
        ),
    ]


def action_to_back_up(refused: str) -> OperatorAction:
    says = (
        "Takes a snapshot of the collection behind the index, with a sealed list of what is in it."
    )
    return OperatorAction(
        "create", "Create a backup", says, "rollouts backup create ALIAS", refused
    )
