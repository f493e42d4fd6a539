"""What may go, and what went."""

from typing_extensions import TypedDict  # pydantic reads those of typing only from Python 3.12 on

from qdrant_rollouts.core.answers.words import Moment


class Over(TypedDict):
    """A version that retention keeps no longer."""

    collection: str
    delete_after: Moment
    reason: str
    alias: str
    keep: str


class Due(TypedDict):
    """``waits_for``: what must be there before it is deleted; empty where nothing is missing."""

    collection: str
    delete_after: Moment
    reason: str
    used_by: list[str]
    keep: str
    waits_for: str


class Kept(TypedDict):
    """A replaced collection that was to be deleted and is not. ``next`` is what has it deleted all the same."""

    collection: str
    alias: str | None
    reason: str
    next: str


class Leftover(TypedDict):
    """What a run has recovered of a backup and could not drop. ``run``: its kind and id, as in "verification ID"."""

    collection: str
    run: str
    backup: str
    points: int
    used_by: list[str]
    deletion: str | None


class Orphan(TypedDict):
    """A collection that is named as ours and has no row."""

    collection: str
    points: int
    deployment: str | None
    used_by: list[str]
    deletion: str | None
    delete_after: Moment | None


class Collected(TypedDict):
    """``deleted`` says in words what was done."""

    dry_run: bool
    over: list[Over]
    due: list[Due]
    leftovers: list[Leftover]
    orphans: list[Orphan]
    kept: list[Kept]
    deleted: list[str]
