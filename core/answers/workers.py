"""The workers, and why a turn waits."""

from typing_extensions import TypedDict  # pydantic needs typing_extensions before Python 3.12

from qdrant_rollouts.core.answers.words import Moment


class Busy(TypedDict):
    """``task`` is Celery's name; a turn of a deployment also has the deployment's id."""

    task: str
    deployment_id: str | None
    alias: str | None
    since: Moment
    seconds: float


class Worker(TypedDict):
    """``kind``: worker, beat or embedded. ``answers``: it wrote its row in the last 30 s, by the
    database's clock. ``idle_since``: since when it has had room for one more task without
    interruption. ``clock_offset_seconds``: how far its clock is ahead of the database's."""

    name: str
    kind: str
    host: str
    pid: int
    queues: list[str]
    concurrency: int
    busy: list[Busy]
    idle_since: Moment | None
    received: int
    discarded: int
    version: str
    revision: str
    clock_offset_seconds: float
    clock_is_off: bool
    started_at: Moment
    seen_at: Moment
    seen_seconds: float
    answers: bool


class Listed(TypedDict):
    now: Moment
    workers: list[Worker]


class Waits(TypedDict):
    """Why no worker has taken a due turn. ``cause``: unlistened, busy or lost; ``next``: what a
    person can do."""

    cause: str
    text: str
    next: str
    seconds: float


class WaitingTurn(Waits):
    deployment_id: str
    alias: str
    step: str
    queue: str


class Workers(Listed):
    """``waiting``: due turns that no worker has taken for a while."""

    waiting: list[WaitingTurn]
