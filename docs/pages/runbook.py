"""The runbook: what each alert means and what a person does about it."""

from docs.pages.markdown import joined, table
from qdrant_rollouts.core.alerts.outbox import TRIGGERS, Trigger

_HEAD = """# Runbook

What each alert means and what to do. `python -m docs.make_reference` makes this page from
`TRIGGERS`. Every alert also says what to do next. Begin with the message: it names the thing, the
value and the bound. Two commands check everything and change nothing:

```sh
rollouts doctor          # servers, queues, sources, late turns and late deletions
rollouts status ID       # steps, gate and events of one deployment, backup or verification
```

A step that is done is no alert: `rollouts events` and the page of the deployment show it.

Severities: `info` needs no action, `warn` can wait until morning, `error` cannot wait. An alert
that is sent *while* something lasts is repeated every four hours and ends with a message
`resolved`. All other alerts are sent once. Channels: [one by one](howto/channels.md). Messages of
refusals: [messages](reference/messages.md).
"""

Entry = tuple[str, str]
_NOTHING = "nothing"

#: For deployments, backups and verifications alike; ``{run}`` is replaced by the kind of run.
_RUNS: dict[str, Entry] = {
    "created": ("a {run} was recorded and begins", _NOTHING),
    "completed": ("the {run} has finished", _NOTHING),
    "paused": ("a person paused the {run}", "`rollouts resume ID`, or `rollouts abort ID`"),
    "deadline_near": (
        "a step has used half of `progress_deadline_seconds` without progress; when the time is "
        "over, the {run} is rolled back",
        "`rollouts status ID` says what the step waits for: repair that server or source, or let "
        "the {run} be rolled back",
    ),
    "no_progress": (
        "a turn has been due for 300 s and no worker takes it. The text gives the cause: no "
        "worker takes its queue; or a worker has room but does not take the turn, so messages are "
        "lost or discarded; or, after an hour, all workers of the queue are busy",
        "`rollouts workers`. If no worker takes the queue, start the process that does (`worker`: "
        "control, celery, rouse; `worker-bulk`: bulk). If messages are lost, read the log of the "
        "named worker, check its clock, broker and release, and restart it. If all are busy, wait "
        "or start another worker",
    ),
    "needs_operator": (
        "the {run} failed and was told not to roll back, or an undo failed; nothing happens until "
        "a person acts",
        "correct what the message names, then `rollouts abort ID`; see "
        "[statuses](reference/statuses.md)",
    ),
    "failed": (
        "a step or the gate rejected; the {run} is being undone",
        "wait for `{run}.rolled_back`",
    ),
    "aborted": ("a person aborted the {run}; it is being undone", "wait for `{run}.rolled_back`"),
    "rolled_back": (
        "everything is as it was before the {run}",
        "`rollouts status ID` says why; correct the cause, then start it again",
    ),
}

#: Alerts of one kind of thing only, or with other words than above.
_OWN: dict[str, Entry] = {
    "deployment.completed": (
        "the new collection serves; the text says when the previous one will be deleted",
        "`rollouts keep COLLECTION` to keep it",
    ),
    "deployment.writers_faster": (
        "applications write faster than the rebuild brings over: the last comparison took longer "
        "than `fence_seconds` and not less than the one before, or writes were refused and let in "
        "again five times. It is sent once in a deployment",
        "let applications write less for a while, or set `writes.fence_seconds` or "
        "`writes.if_longer`; see [writes during a rebuild](howto/live-writes.md)",
    ),
    "deployment.failed": (
        "a step or the gate rejected; the alias points, or is being moved back, to the old "
        "collection",
        "wait for `deployment.rolled_back`; then look at the value and the bound in the alert",
    ),
    "deployment.rolled_back": (
        "the old collection serves and the new one is deleted",
        "`rollouts status ID` says why; correct the source, model or bound, then `rollouts deploy "
        "ALIAS`",
    ),
    "deployment.approval_needed": (
        "a stage of a canary cannot decide by itself: there is too little traffic, or the evidence "
        "is not clear",
        "`rollouts status ID`; `rollouts retry ID` when the evidence is available, "
        '`rollouts promote ID --reason "…"` if you know better, `rollouts abort ID` if in doubt',
    ),
    "deployment.inconclusive": (
        "the gate lacks evidence for a check; the alias has not moved. If it was a scheduled "
        "rebuild, the next one takes its place, and the alert goes on while that finds the same: "
        "the text says how many times in a row",
        "`rollouts status ID` names the check; provide the evidence and `rollouts retry ID`, or "
        '`rollouts promote ID --reason "…"`, or `rollouts abort ID`; see [a night whose gate '
        "cannot tell](understand/nights.md)",
    ),
    "deployment.rollback_by_hand": (
        "a person rolls back to an older version",
        "ask that person why; `rollouts mark ALIAS VERSION --bad` keeps others from going back to "
        "the version that was left",
    ),
    "schedule.failed": (
        "a scheduled run was refused or rolled back, needs an operator, or did not pass its gate",
        "the message gives the cause; correct it, then `rollouts schedule run ALIAS rebuild` (or "
        "`verify`)",
    ),
    "schedule.rebuild_late": (
        "no rebuild has succeeded for `success_within_hours`, so the live data are getting old",
        "`rollouts schedule list --alias ALIAS` shows the last runs and their results; correct "
        "the cause, then `rollouts schedule run ALIAS rebuild`",
    ),
    "schedule.verify_late": (
        "no verification has succeeded for `success_within_hours`",
        "`rollouts schedule list --alias ALIAS`; correct the cause, then `rollouts schedule run "
        "ALIAS verify`",
    ),
    "schedule.backup_late": (
        "no backup has succeeded for `success_within_hours`, so the newest backup is at least that "
        "old",
        "`rollouts schedule list --alias ALIAS`; correct the cause, then `rollouts schedule run "
        "ALIAS backup`",
    ),
    "worker.clock_off": (
        "a worker's clock differs from the database's by 2 s or more; no turn depends on it, but "
        "logs, Flower and other programs on that machine do",
        "correct that machine's clock (NTP); if `rollouts workers` shows the same offset for "
        "every worker, correct the database's clock",
    ),
    "alias.moved_by_hand": (
        "a person or an application moved an alias with a command",
        "nothing, if intended",
    ),
    "deletion.scheduled": (
        "a collection will be deleted when its grace period is over; the text says whether a "
        "backup comes first",
        "`rollouts keep COLLECTION` to keep it",
    ),
    "deletion.deleted": ("a collection was deleted", _NOTHING),
    "deletion.cancelled": ("a scheduled deletion was cancelled", _NOTHING),
    "deletion.in_use": (
        "a deletion was due, but something uses the collection; it was not deleted",
        "`rollouts list` says what uses it; free the collection, or `rollouts keep COLLECTION`",
    ),
    "deletion.no_final_backup": (
        "a deletion is due and waits for a complete backup of the collection, because of "
        "`retention.final_backup` or because this program did not make the collection",
        "`rollouts backup list` says why the last backup failed; correct that, and the deletion "
        "continues by itself; or `rollouts keep COLLECTION`",
    ),
    "experiment.started": (
        "an experiment splits the users of an alias between collections",
        _NOTHING,
    ),
    "experiment.stopped": ("a person ended an experiment; the control answers all users", _NOTHING),
    "experiment.ship": (
        "a treatment won; the control answers all users until the treatment is deployed",
        "nothing tonight; `rollouts experiment report ID`, then `rollouts deploy ALIAS "
        "--collection WINNER`, unless `--on-ship` has started the deployment",
    ),
    "experiment.rollback": (
        "a treatment causes harm, fails or is gone; it no longer gets searches",
        "nothing tonight; `rollouts experiment report ID` says what got worse",
    ),
    "experiment.stop_inconclusive": (
        "the time is over without a decision; the control stays",
        _NOTHING,
    ),
    "experiment.invalid": (
        "the experiment's data are not valid; traffic is still split and nothing is decided",
        '`rollouts experiment report ID` says why; `rollouts experiment stop ID --reason "…"` if '
        "users suffer",
    ),
    "experiment.unseen": (
        "an experiment could not be looked at; traffic is still split and harm would go unnoticed",
        "repair the server that the message names; `rollouts experiment stop ID` if that takes "
        "long",
    ),
    "experiment.not_shipped": (
        "a treatment won, but another deployment blocked its deployment for a day",
        "`rollouts deploy ALIAS --collection WINNER` when the other deployment has ended",
    ),
    "worker.stopped": (
        "a worker takes no messages, because the database belongs to a release that its program "
        "cannot work with",
        "update that worker, or run `rollouts migrate`, whichever the text says; see "
        "[upgrading](upgrading.md)",
    ),
}


def page() -> str:
    groups = dict.fromkeys(name.partition(".")[0] for name in TRIGGERS)
    return joined(_HEAD, *(_group(group) for group in groups))


def entry(name: str) -> Entry:
    """What an alert means and what to do. Raises KeyError for an alert without an entry."""
    run, _, what = name.partition(".")
    if name in _OWN:
        return _OWN[name]
    if run not in ("deployment", "backup", "verification"):
        raise KeyError(f"{name} has no entry in docs/pages/runbook.py")
    means, act = _RUNS[what]
    return means.format(run=run), act.format(run=run)


def written() -> set[str]:
    """The names that have their own entry here."""
    return set(_OWN)


def _group(group: str) -> str:
    found = {name: trigger for name, trigger in TRIGGERS.items() if name.partition(".")[0] == group}
    rows = [[f"`{name}`", _severity(trigger), *entry(name)] for name, trigger in found.items()]
    return joined(f"## {group}", table(["alert", "severity", "what it means", "what to do"], rows))


def _severity(trigger: Trigger) -> str:
    return f"{trigger.severity}, while it lasts" if trigger.lasts else str(trigger.severity)
