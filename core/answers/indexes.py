"""Indexes, their versions, and which collections answer for them."""

from typing import (
    Any,
    NotRequired,  # pydantic needs typing_extensions before Python 3.12
)

from pydantic import with_config
from typing_extensions import TypedDict

from qdrant_rollouts.core.answers.deployments import DeploymentOutline, Queued
from qdrant_rollouts.core.answers.words import Moment


class Attention(TypedDict):
    """``next`` is what a person can do."""

    severity: str
    text: str
    since: Moment | None
    link: str
    next: str


class Live(TypedDict):
    collection: str
    number: int | None
    since: Moment | None
    built_at: Moment | None
    points: int | None
    model: str | None
    gate: str | None


class UnderWay(DeploymentOutline):
    """``share`` is the finished part of the step, from 0 to 1. ``counted`` says it in words if
    reaching 1 is not the end. ``set`` and ``confirmed`` are a canary's percentages. ``waits``: why
    no worker takes its due turn."""

    paused_for: str | None
    waits: str
    step: str
    position: int
    steps: int
    share: float | None
    counted: str
    set: float | None
    confirmed: Any
    queue: Queued | None


class LastRun(TypedDict):
    """``deployment_id``: what the run has started, if it has started anything."""

    status: str
    message: str
    finished_at: Moment | None
    deployment_id: str | None


class Rebuild(TypedDict):
    """``last_run`` is the newest run that has ended."""

    cron: str
    zone: str
    next_at: Moment | None
    paused_by: str | None
    last_run: LastRun | None


class Compared(TypedDict):
    id: str
    name: str
    decision: str | None


class OpenDeletion(TypedDict):
    collection: str
    status: str
    delete_after: Moment
    reason: str
    text: str
    keep: str | None


class Index(TypedDict):
    """``rank`` is the order: an index that needs attention has 3 or 4."""

    alias: str
    live: Live | None
    running: UnderWay | None
    last: DeploymentOutline | None
    rebuild: Rebuild | None
    experiment: Compared | None
    deletions: list[OpenDeletion]
    attention: list[Attention]
    rank: int


class Sight(TypedDict):
    """What could not be asked, and since when."""

    qdrant_error: str
    qdrant_since: Moment | None
    qdrant_at: Moment | None
    file_error: str


class Home(Sight):
    """A page of indexes. ``next`` is the ``after`` of the page that follows, None on the last one.
    ``total``: all indexes; ``attention``: those of them that need attention, which come first."""

    now: Moment
    indexes: list[Index]
    next: str | None
    total: int
    attention: int


class Mark(TypedDict):
    """Who has marked a version bad, when and why."""

    at: Moment
    by: str
    reason: str


class Marked(TypedDict):
    """``marked_bad`` is null after the mark was taken back. ``changed`` is false if it was so
    before. ``next`` is what a person can do."""

    alias: str
    collection: str
    number: int
    marked_bad: Mark | None
    changed: bool
    next: str


@with_config(extra="allow")
class Version(TypedDict):
    """Besides these keys a version has more facts (``core.collections.versions``). A version that
    another program made has no number. ``deletion`` says in words when it will be deleted, and how
    to keep it. ``rolled_away``: a rollback has left it or went past it. ``rollback_target``: a
    rollback leads to it if nobody names a version."""

    collection: str
    number: int | None
    live: bool
    state: str
    alias: NotRequired[str]
    parent: NotRequired[str | None]
    deployment: NotRequired[str | None]
    created_at: NotRequired[Moment]
    delete_after: NotRequired[Moment | None]
    deletion: NotRequired[str | None]
    marked_bad: NotRequired[Mark | None]
    rolled_away: NotRequired[bool]
    rollback_target: NotRequired[bool]


class Versions(TypedDict):
    alias: str
    versions: list[Version]


class Arm(TypedDict):
    """``ranges`` of the 10,000 buckets of users."""

    variant: str
    collection: str
    ranges: list[list[int]]
    document: NotRequired[str]


class Confirmed(TypedDict):
    """How many of the living search processes serve the newest version of a route."""

    serving: int
    known: int


class RouteState(TypedDict):
    """All that a router needs to choose. ``share`` and ``shadow`` are in basis points; ``salt`` is
    hashed with the user."""

    alias: str
    version: int
    stage: str
    salt: str
    blue: str | None
    green: str | None
    share: int
    shadow: int
    deployment_id: str | None
    experiment_id: str | None
    arms: list[Arm]
    at_rest: bool


class Route(RouteState):
    """With the search processes that serve it."""

    confirmed: Confirmed


class Routes(TypedDict):
    routes: list[Route]


class ExperimentRoute(TypedDict):
    """``route``: the alias, or the experiment's own name, whose route splits the users. ``control``
    answers all of them after the end."""

    route: str
    control: str


class Serving(TypedDict):
    """How many routes this router was noted for."""

    routes: int


class Aliases(TypedDict):
    aliases: dict[str, str]
