"""Deployments, their events, and the deletions they leave behind."""

from typing import (
    Any,
    NotRequired,  # pydantic reads those of typing only from Python 3.12 on
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
    """A row of the gate. ``level``: hard, soft, or shown without a bound. ``found`` is what was found as a sentence,
    ``means`` and ``act`` what that means for searches and what to do, both empty where it passed; ``detail`` has the
    figures in words, ``facts`` as numbers and names in full: intervals, kinds of fault, lost and regressed queries.
    Reports of older releases have none of these but ``detail``."""

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
    """As it was written down when it was judged, with more than is named here."""

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


class ToldEvent(Event):
    id: int
    alias: str | None
    deployment_id: str | None


class Queued(TypedDict):
    """Where it stands among those that wait for a place among the rebuilds, and what for, in ``text``."""

    place: int
    of: int
    since: Moment
    text: str


class DeploymentSummary(TypedDict):
    """``queue`` is null unless it waits for a place."""

    id: str
    alias: str
    kind: str
    strategy: str
    status: StatusWord
    blue: str | None
    green: str
    message: str
    created_at: Moment
    finished_at: Moment | None
    actor: str
    queue: Queued | None


class ListedDeployment(DeploymentSummary):
    steps: list[Step]


class Announced(TypedDict):
    """A deletion to come, in words, with the command that keeps the collection; null where it has begun.
    ``delete_after`` is null until the deployment that leads to it is live."""

    collection: str
    delete_after: Moment | None
    text: str
    keep: str | None


class Deployment(ListedDeployment):
    """``abort_warning`` says what an abort would cost those who search; empty where it costs them nothing. ``waits``:
    why nobody has taken its turn, which is due."""

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


class DeploymentPage(TypedDict):
    deployments: list[ListedDeployment]
    next: str | None


class EventPage(TypedDict):
    events: list[ToldEvent]
    next: int | None


class Started(TypedDict):
    """``new_collection`` of a way back is the one that served before. ``warnings``: what the gate will not be able to
    decide; absent where there is none."""

    deployment_id: str
    status: StatusWord
    alias: str
    old_collection: str | None
    new_collection: str
    warnings: NotRequired[list[str]]


class Rebuilt(TypedDict):
    """``deployment_id`` is null, and ``status`` unchanged, where nothing else would be built."""

    deployment_id: str | None
    status: str
    alias: str
    old_collection: str | None
    new_collection: str
    reason: NotRequired[str]


class Deletion(TypedDict):
    """``text`` says in words what will be, or what was; ``keep`` is the command that keeps the collection, null where
    nothing is to come."""

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
