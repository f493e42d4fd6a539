"""The runbook: what each alert means and what a person does about it."""

from docs.pages.markdown import joined, table
from qdrant_rollouts.core.alerts.outbox import TRIGGERS, Trigger

_HEAD = """# Runbook

What each alert means and what to do, made from `TRIGGERS` by `python -m docs.make_reference`. An alert carries its
own next act too. Begin with the message: it names the thing, the value and the bound. Two commands look at
everything and change nothing:

```sh
rollouts doctor          # servers, queues, sources, late turns and late deletions
rollouts status ID       # steps, gate and events of one deployment, backup or verification
```

Severities: `info` asks nothing of anybody, `warn` can wait for the morning, `error` cannot. What is told *while* it
lasts is said again every four hours and ends with a message `resolved`; the rest is told once. Channels: [one by
one](howto/channels.md). Messages of refusals: [operations](operations.md#what-a-message-means).
"""

Entry = tuple[str, str]
_NOTHING = "nothing"

#: Of a deployment, a backup and a verification alike; ``{run}`` is what it is.
_RUNS: dict[str, Entry] = {
    "created": ("a {run} was written down and begins", _NOTHING),
    "stage_completed": ("one of its steps is done", _NOTHING),
    "completed": ("the {run} has reached its end", _NOTHING),
    "paused": ("a person stopped the {run} between two turns", "`rollouts resume ID`, or `rollouts abort ID`"),
    "deadline_near": (
        "a step has used up half of `progress_deadline_seconds` without getting on; at the end of it the {run} is "
        "rolled back",
        "`rollouts status ID` says what it waits for: mend that server or source; or let it be rolled back",
    ),
    "no_progress": (
        "nobody has taken a turn that has been due for 300 s, and the text says why: no worker takes its queue; or one "
        "that has room does not take it, so that messages are lost or thrown away; or, after an hour, all who do are "
        "busy",
        "`rollouts workers`. None takes the queue: start the process that does (`worker`: control, celery, rouse; "
        "`worker-bulk`: bulk). Lost: read the log of the worker that is named, set its clock, look at its broker and "
        "release, restart it. Busy: wait, or start one more",
    ),
    "needs_operator": (
        "the {run} failed and was told not to roll back, or something could not be taken back; it keeps its place "
        "until a person acts",
        "mend what the message names, then `rollouts abort ID`; see "
        "[operations](operations.md#what-a-status-asks-of-you)",
    ),
    "failed": ("a step or the gate rejected; what was done is being taken back", "wait for `{run}.rolled_back`"),
    "aborted": ("a person asked for the {run} to be taken back", "wait for `{run}.rolled_back`"),
    "rolled_back": (
        "everything is as it was before the {run}",
        "`rollouts status ID` says why; mend the cause, then ask for it again",
    ),
}

#: What is one thing's own, or needs other words than the rest.
_OWN: dict[str, Entry] = {
    "deployment.completed": (
        "the new collection serves; the text says when the one before will be deleted",
        "`rollouts keep COLLECTION` to keep it",
    ),
    "deployment.failed": (
        "a step or the gate rejected; the alias is, or is put back, on the old collection",
        "wait for `deployment.rolled_back`; then look at the value and the bound in the alert",
    ),
    "deployment.rolled_back": (
        "the old collection serves and the new one is gone",
        "`rollouts status ID` says why; mend source, model or bound, then `rollouts deploy ALIAS`",
    ),
    "deployment.approval_needed": (
        "a stage of a canary cannot decide by itself: too little traffic, or evidence on neither side",
        '`rollouts status ID`; `rollouts retry ID` when the evidence can be had, `rollouts promote ID --reason "…"` if '
        "you know better, `rollouts abort ID` if in doubt",
    ),
    "deployment.inconclusive": (
        "the gate lacks evidence for a check; the alias has not moved",
        "read which check in `rollouts status ID`; get the evidence and `rollouts retry ID`, or "
        '`rollouts promote ID --reason "…"`, or `rollouts abort ID`',
    ),
    "deployment.rollback_by_hand": ("a person puts the version before back", "ask that person why"),
    "schedule.failed": (
        "a run of a schedule was refused, rolled back, needs an operator, or its gate did not pass",
        "the message has the cause; mend it, then `rollouts schedule run ALIAS rebuild` (or `verify`)",
    ),
    "schedule.rebuild_late": (
        "no rebuild has succeeded for `success_within_hours`: what is served gets old",
        "`rollouts schedule list --alias ALIAS` shows the last runs and their results; mend the cause, then "
        "`rollouts schedule run ALIAS rebuild`",
    ),
    "schedule.verify_late": (
        "no verification has succeeded for `success_within_hours`",
        "`rollouts schedule list --alias ALIAS`; mend the cause, then `rollouts schedule run ALIAS verify`",
    ),
    "schedule.backup_late": (
        "no backup has succeeded for `success_within_hours`: what is lost now was last kept so long ago",
        "`rollouts schedule list --alias ALIAS`; mend the cause, then `rollouts schedule run ALIAS backup`",
    ),
    "worker.clock_off": (
        "a worker's clock is 2 s or more from the database's; no turn depends on it, but logs, Flower and whatever "
        "else runs there do",
        "set that machine's clock (NTP); if `rollouts workers` shows every worker off alike, it is the database's",
    ),
    "alias.moved_by_hand": ("a person or an application moved an alias by command", "nothing, if that was meant"),
    "deletion.scheduled": (
        "a collection will be deleted when its grace period is over; the text says if a backup comes first",
        "`rollouts keep COLLECTION` to keep it",
    ),
    "deletion.deleted": ("a collection is gone", _NOTHING),
    "deletion.cancelled": ("a deletion that was written down will not happen", _NOTHING),
    "deletion.in_use": (
        "a deletion was due and something uses the collection; it was not deleted",
        "`rollouts list` says by what; free it, or `rollouts keep COLLECTION`",
    ),
    "deletion.no_final_backup": (
        "a deletion is due and waits: `retention.final_backup` wants a whole backup of the collection first, or this "
        "program did not make it, and there is none",
        "`rollouts backup list` says what became of the last one; mend that, and the deletion goes on by itself; or "
        "`rollouts keep COLLECTION`",
    ),
    "experiment.started": ("users of an alias are split between collections", _NOTHING),
    "experiment.stopped": ("a person ended an experiment; control answers everybody", _NOTHING),
    "experiment.ship": (
        "a treatment won; control answers everybody until it is deployed",
        "nothing tonight; `rollouts experiment report ID`, then `rollouts deploy ALIAS --collection WINNER`, unless "
        "`--on-ship` has begun that",
    ),
    "experiment.rollback": (
        "a treatment harms, fails or is gone; it gets no searches any more",
        "nothing tonight; `rollouts experiment report ID` says what got worse",
    ),
    "experiment.stop_inconclusive": ("its time is up without a decision; control stays", _NOTHING),
    "experiment.invalid": (
        "its data cannot be believed; traffic is still split and nothing is decided",
        '`rollouts experiment report ID` says why; `rollouts experiment stop ID --reason "…"` if users suffer',
    ),
    "experiment.unseen": (
        "an experiment could not be looked at; traffic is still split and nobody would notice harm",
        "mend the server that the message names; `rollouts experiment stop ID` if that takes long",
    ),
    "experiment.not_shipped": (
        "a treatment won and another deployment was in its way for a day",
        "`rollouts deploy ALIAS --collection WINNER` when that one has ended",
    ),
    "worker.stopped": (
        "a worker takes no messages: the database is of a release that its program cannot work on",
        "update that worker, or run `rollouts migrate`, whichever the text says; see [upgrading](upgrading.md)",
    ),
}


def page() -> str:
    groups = dict.fromkeys(name.partition(".")[0] for name in TRIGGERS)
    return joined(_HEAD, *(_group(group) for group in groups))


def entry(name: str) -> Entry:
    """What an alert means and what to do. Raises KeyError for one that nobody has written about."""
    run, _, what = name.partition(".")
    if name in _OWN:
        return _OWN[name]
    if run not in ("deployment", "backup", "verification"):
        raise KeyError(f"{name} has no entry in docs/pages/runbook.py")
    means, act = _RUNS[what]
    return means.format(run=run), act.format(run=run)


def written() -> set[str]:
    """Everything that has words of its own here, be it told or not."""
    return set(_OWN)


def _group(group: str) -> str:
    found = {name: trigger for name, trigger in TRIGGERS.items() if name.partition(".")[0] == group}
    rows = [[f"`{name}`", _severity(trigger), *entry(name)] for name, trigger in found.items()]
    return joined(f"## {group}", table(["alert", "severity", "what it means", "what to do"], rows))


def _severity(trigger: Trigger) -> str:
    return f"{trigger.severity}, while it lasts" if trigger.lasts else str(trigger.severity)
