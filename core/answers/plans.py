"""What a deployment would do and take, and how right earlier plans were."""

from typing_extensions import TypedDict  # pydantic needs typing_extensions before Python 3.12

from qdrant_rollouts.core.answers.words import Moment


class Figure(TypedDict):
    """An estimate with the ends of its interval, which is made for 95 %. ``value`` is null if it is
    not known. An end is null if nothing is known on that side. ``source`` says how it is known, or
    why it is not."""

    value: float | None
    low: float | None
    high: float | None
    source: str


class Room(TypedDict):
    """Bytes that the new collection needs at least, on each node, and those that are free at most;
    null if the server does not tell it."""

    needed: Figure
    free: int | None


class Compared(TypedDict):
    """``error`` is what was planned to what it took, less one: 0.1 is a tenth too much. It is null
    if one of them is not known. ``within``: what it took was in the interval."""

    planned: float | None
    took: float
    error: float | None
    within: bool | None


class PastPlan(TypedDict):
    deployment_id: str
    filled_at: Moment
    way: str | None
    records: Compared
    texts: Compared
    seconds: Compared


class Errors(TypedDict):
    """The mean size of the errors of ``plans``, without their sign; null if none is known."""

    plans: list[PastPlan]
    records: float | None
    texts: float | None
    seconds: float | None


class PlannedWorkers(TypedDict):
    """Those that answer and take the turns that fill. ``note`` says so if there are none."""

    queue: str | None
    names: list[str]
    note: str


class Sampled(TypedDict):
    """``complete``: the sample is the whole source. ``spread``: it is from all over the source; if
    not, it is the beginning. ``bad`` records of it would be refused; ``first_bad`` says why."""

    records: int
    complete: bool
    spread: bool
    bad: int
    first_bad: str


class Plan(TypedDict):
    """``way`` is how the new collection would be filled, and ``why`` it would; null if nothing is
    filled or it is not known. ``slices`` is by how many workers at most it would be filled at once;
    0 if nothing is filled or the way is not known. ``unchanged`` says why a rebuild would build
    nothing; empty if it would. ``changes``: how many points of a clone of the live collection would
    be written or deleted; its value is null if nothing is cloned. ``seconds`` are those of the
    filling, ``watching`` those of stages and soak. ``cost`` is in the currency of the declared
    price."""

    alias: str
    strategy: str
    source: str | None
    old_collection: str | None
    steps: list[str]
    way: str | None
    why: str
    slices: int
    unchanged: str
    sample: Sampled
    records: Figure
    changes: Figure
    texts: Figure
    tokens: Figure
    seconds: Figure
    watching: Figure
    workers: PlannedWorkers
    disk: Room
    memory: Room
    cost: Figure
    warnings: list[str]
    errors: Errors
