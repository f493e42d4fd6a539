"""Runs that go on by themselves: forward or back, or waiting for their turn."""

from typing import TYPE_CHECKING

from qdrant_rollouts.core.answers.deployments import Step
from qdrant_rollouts.core.deployments.end_messages import find_cause
from qdrant_rollouts.core.late import Library
from qdrant_rollouts.core.lifecycle import StepStatus
from qdrant_rollouts.core.operations.views.overview.progress import describe_progress
from qdrant_rollouts.core.operations.views.overview.situation.parts import (
    Run,
    Since,
    Situation,
    begin_sentence,
)

if TYPE_CHECKING:
    from qdrant_rollouts.core.deployments import steps as known_steps
else:  # the command that shows a deployment which has ended needs none of their functions
    known_steps = Library("qdrant_rollouts.core.deployments.steps")


def describe_pending(run: Run) -> Situation:
    queue = run.told["queue"]
    if queue is None:
        return _describe_forward(run, "It begins as soon as a worker takes it")
    return Situation(
        tone="calm",
        now=f"It waits for its turn: {queue['text']}",
        since=(Since("it waits since", queue["since"]),),
        until="its turn comes",
        needed=run.or_requested("Nothing: it begins by itself"),
    )


def describe_running(run: Run) -> Situation:
    queue = run.told["queue"]
    if queue is not None:
        return describe_pending(run)
    return _describe_forward(run, _describe_work(run))


def describe_rolling_back(run: Run) -> Situation:
    begun = [step for step in run.told["steps"] if step["started_at"]]
    left = [step for step in begun if step["status"] != StepStatus.UNDONE]
    link, see = run.link_to_cause()
    count = "1 step is" if len(left) == 1 else f"{len(left)} steps are"
    return Situation(
        tone="warn",
        now=f"Going back, at {run.label}, because {find_cause(run.told['message']).what}",
        since=(Since("the whole run since", run.told["created_at"]),),
        until=f"what it began is undone; {count} left",
        needed=run.or_requested("Nothing: it goes back by itself"),
        link=link,
        see=see,
    )


def _describe_forward(run: Run, work: str) -> Situation:
    waits = run.told["waits"]
    if waits is not None and waits["cause"] != "busy":
        return Situation(
            tone="bad",
            now=f"{work}. It makes no progress: {waits['text']}",
            since=run.list_since(),
            until="a worker takes its turn",
            needed=f"Look at the workers: {waits['next']}",
            person=True,
            link="/workers",
            see="the workers",
        )
    if waits is not None:
        work = f"{work}. {begin_sentence(waits['text'])}"
    until, low, high = _foretell_end(run)
    return Situation(
        tone="calm",
        now=work,
        since=run.list_since(),
        until=until,
        low=low,
        high=high,
        needed=run.or_requested("Nothing: it goes on by itself"),
    )


def _describe_work(run: Run) -> str:
    """Returns what the current step does, and how far it is."""
    if run.step is None:
        return "All steps are done, and it ends"
    known = known_steps.STEPS.get(run.step["name"])
    work = f"Running {run.label}"
    if known is not None and known.doing:
        work = known.doing.format(green=run.green, alias=run.alias, share=_name_share(run.step))
    reached = describe_progress(run.step["progress"]) or run.step["message"]
    reached = reached.removeprefix("filling ")  # the work says so already
    return f"{work}: {reached}" if reached else work


def _name_share(step: Step) -> str:
    share = f"{step['arguments'].get('percentage', 0):g} % of the searches"
    if step["arguments"].get("shadow"):
        return f"copies of {share}"
    return share


def _foretell_end(run: Run) -> tuple[str, str | None, str | None]:
    """Returns words, or the least and the greatest time."""
    eta = run.around.eta
    if eta is None:
        return "not known", None, None
    if eta["low"] is not None:
        return "", eta["low"], eta["high"]
    unknown = ", ".join(eta["unknown"])
    if not unknown:
        return "in a moment", None, None
    return f"not known: this index has not had {unknown} before", None, None


def describe_unknown(run: Run) -> Situation:
    """Of a status that only a newer release knows, whose workers take its turns."""
    return Situation(
        tone="calm",
        now=f"Its status is {run.told['status']}, which only a newer release of this program knows",
        since=run.list_since(),
        needed="Nothing here: look at it with the newer release",
    )
