"""What can be deleted, and what was deleted."""

from typing_extensions import TypedDict  # pydantic needs typing_extensions before Python 3.12

from qdrant_rollouts.core.answers.words import Moment


class Over(TypedDict):
    """A version that retention no longer keeps."""

    collection: str
    delete_after: Moment
    reason: str
    alias: str
    keep: str


class Due(TypedDict):
    """``waits_for`` says what must exist before the deletion; empty if nothing is missing."""

    collection: str
    delete_after: Moment
    reason: str
    used_by: list[str]
    keep: str
    waits_for: str


class Kept(TypedDict):
    """A replaced collection that is kept instead of deleted. ``next`` says how to delete it
    anyway."""

    collection: str
    alias: str | None
    reason: str
    next: str


class Leftover(TypedDict):
    """A collection that a run restored from a backup and could not drop, or that the server made
    again after a run had dropped it; then ``backup`` is empty. ``run``: its kind and id, as in
    "verification ID"."""

    collection: str
    run: str
    backup: str
    points: int
    used_by: list[str]
    deletion: str | None


class Orphan(TypedDict):
    """A collection that has our naming scheme but no row."""

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
