"""Deployments, their events, and the deletions that they cause."""

from typing import (
    Any,
    NotRequired,  # pydantic needs typing_extensions before Python 3.12
)

from pydantic import with_config
from typing_extensions import TypedDict

from qdrant_rollouts.core.answers.words import Moment, StatusWord, StepWord, VerdictWord
from qdrant_rollouts.core.answers.workers import Waits


class Step(TypedDict):
    name: str
    arguments: dict[str, Any]
    status: StepWord
    attempt: int
    tries: int
    crashes: int
    started_at: Moment | None
    finished_at: Moment | None
    message: str
    output: dict[str, Any]
    progress: dict[str, Any] | None


class Check(TypedDict):
    """A row of the gate. ``level``: hard, soft, or shown without a bound.

    ``found`` is the finding as a sentence. ``means`` and ``act`` say what that means for searches
    and what to do; both are empty if the check passed. ``detail`` has the figures in words.
    ``facts`` has all numbers and names: intervals, kinds of fault, lost and regressed queries.
    Reports of older releases have only ``detail``.
    """

    name: str
    value: float | None
    bound: float | None
    n: int
    verdict: VerdictWord
    level: NotRequired[str]
    detail: str
    found: NotRequired[str]
    means: NotRequired[str]
    act: NotRequired[str]
    facts: NotRequired[dict[str, Any]]


@with_config(extra="allow")
class Gate(TypedDict):
    """The report as it was stored when it was judged; it may contain more keys than are named
    here."""

    verdict: VerdictWord
    collection: str
    live: str | None
    warnings: list[str]
    checks: list[Check]
    worst: NotRequired[list[dict[str, Any]]]


class Event(TypedDict):
    at: Moment
    actor: str
    event: str
    detail: str
    reason: str
    source: str


class ListedEvent(Event):
    id: int
    alias: str | None
    deployment_id: str | None


class Queued(TypedDict):
    """The place of a deployment in the queue of rebuilds, and what it waits for, in ``text``."""

    place: int
    of: int
    since: Moment
    text: str


class DeploymentOutline(TypedDict):
    """What every list says of a deployment. ``why``: why it did not go live, in the words of what
    decided it, and what to do; empty for any other."""

    id: str
    status: StatusWord
    strategy: str
    actor: str
    message: str
    why: str
    created_at: Moment
    finished_at: Moment | None


class DeploymentSummary(DeploymentOutline):
    """``queue`` is null unless the deployment waits for a place."""

    alias: str
    kind: str
    blue: str | None
    green: str
    queue: Queued | None


class ListedDeployment(DeploymentSummary):
    steps: list[Step]


class Announced(TypedDict):
    """A coming deletion in words, with the command that keeps the collection (null once the
    deletion has begun).

    ``delete_after`` is null until the deployment that causes the deletion is live.
    """

    collection: str
    delete_after: Moment | None
    text: str
    keep: str | None


class Deployment(ListedDeployment):
    """``abort_warning`` says what an abort would cost the applications that search; empty if
    nothing. ``waits``: why no worker has taken its due turn."""

    number: int
    source: str | None
    requested: str | None
    abort_warning: str
    turn: int
    wake_at: Moment | None
    lease_owner: str | None
    waits: Waits | None
    gate: Gate | None
    events: list[Event]
    deletions: list[Announced]


class Since(TypedDict):
    """``what`` is a text before the time ``at``."""

    what: str
    at: Moment


class Situation(TypedDict):
    """What happens now, since when, until when, and what is needed of a person, in sentences
    without a full stop.

    ``tone``: good, calm, warn or bad. The run ends between ``low`` and ``high``, or ended at
    ``ended``; without these, ``until`` says when it ends. ``person``: the run waits for what is
    ``needed``. ``advice`` is how the cause can be mended. ``back`` is how to return to the version
    before, which is kept until ``kept_until``. ``link`` is the place on the pages that shows what
    is spoken of, and ``see`` says what that is. A text that is not needed is empty.
    """

    tone: str
    now: str
    since: list[Since]
    until: str
    low: Moment | None
    high: Moment | None
    ended: Moment | None
    needed: str
    person: bool
    advice: str
    back: str
    kept_until: Moment | None
    link: str
    see: str


class DeploymentWithSituation(Deployment):
    """A deployment with what a person wants to know first: what happens now, and what is needed."""

    situation: Situation


class DeploymentPage(TypedDict):
    deployments: list[ListedDeployment]
    next: str | None


class EventPage(TypedDict):
    """``next`` is the ``before`` of the page that follows, None on the last one."""

    events: list[ListedEvent]
    next: int | None


class Started(TypedDict):
    """``new_collection`` of a rollback is the one that served before. ``warnings``: what the gate
    will not be able to decide; absent if there is nothing."""

    deployment_id: str
    status: StatusWord
    alias: str
    old_collection: str | None
    new_collection: str
    warnings: NotRequired[list[str]]


class Rebuilt(TypedDict):
    """``deployment_id`` is null and ``status`` is unchanged if a rebuild would build nothing
    else."""

    deployment_id: str | None
    status: str
    alias: str
    old_collection: str | None
    new_collection: str
    reason: NotRequired[str]


class Deletion(TypedDict):
    """``text`` says what will happen, or happened. ``keep`` is the command that keeps the
    collection; null if no deletion is coming."""

    collection: str
    alias: str | None
    status: str
    delete_after: Moment
    finished_at: Moment | None
    reason: str
    actor: str
    text: str
    keep: str | None


class Deletions(TypedDict):
    deletions: list[Deletion]


class LogLine(TypedDict):
    """``level`` is info, warning or error; ``process`` is the worker that took the turn."""

    at: Moment
    level: str
    process: str
    logger: str
    text: str


class DeploymentLog(TypedDict):
    """The newest lines that were logged during its turns, the oldest of them first."""

    deployment_id: str
    lines: list[LogLine]
