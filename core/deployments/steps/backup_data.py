"""What the steps that make a backup, or recover one, save for their next turn and hand on. See
``data``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.database.step_data import UNSET, StepOutput, StepState, Unset
from qdrant_rollouts.core.deployments.steps.data import MadeGreen, PieceState
from qdrant_rollouts.core.ports import PointId, Schema


@dataclass(frozen=True, kw_only=True)
class SnapshotState(PieceState):
    """``after`` and ``scanned``: how far the points were read from which ``sample`` is drawn.
    ``at``, ``schema``, ``metadata``, ``count`` and ``points`` (with digests) describe the content
    before the snapshot. ``known``: the snapshots that existed before. ``snapshots``: those of the
    parts; ``foreign`` are those of them that have appeared after an answer was lost, so they may be
    of others. ``own``: the release before wrote whether all are surely ours. ``asked``: a part is
    asked for and has no answer; ``lost``: there will be none. ``unnamed``: requests that were given
    up without an answer. ``looks`` counts looks without a result."""

    phase: str = ""
    after: PointId | None = None
    scanned: bool | None = None
    sample: Sequence[Sequence[Any]] = ()
    at: str = ""
    schema: Schema | None = None
    metadata: Mapping[str, Any] | None = None
    count: int = 0
    points: Sequence[Sequence[Any]] = ()
    known: Sequence[str] = ()
    snapshots: Sequence[str] = ()
    own: bool | None = None
    foreign: Sequence[str] = ()
    asked: bool | None = None
    lost: bool = False
    unnamed: int = 0
    looks: int = 0

    def form(self) -> int:
        """A release that knows the first form alone guesses from lists which snapshots are its
        own."""
        if self.asked is None:
            return super().form()
        return 2

    def name_phase(self) -> str:
        return self.phase


@dataclass(frozen=True, kw_only=True)
class TakenSnapshot(StepOutput):
    """``low`` and ``high``: the counts before and after. ``sample``: points that were the same
    before and after, with digests. ``own`` and ``foreign`` as in ``SnapshotState``."""

    snapshots: Sequence[str]
    own: bool
    foreign: Sequence[str] = ()
    at: str
    schema: Schema
    metadata: dict[str, Any]
    low: int
    high: int
    sample: list[list[Any]]


@dataclass(frozen=True, kw_only=True)
class FetchState(StepState):
    """``files`` that are complete, the bytes ``done`` of the next file, and how many bytes to write
    at once (``chunk``)."""

    files: Sequence[dict[str, Any]] = ()
    done: int = 0
    chunk: int | None = None


@dataclass(frozen=True, kw_only=True)
class FetchedFiles(StepOutput):
    """``files`` as the manifest lists them."""

    files: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class SealedBackup(StepOutput):
    """A backup is complete. There is only a summary."""


@dataclass(frozen=True, kw_only=True)
class PrunedBackups(StepOutput):
    removed: Sequence[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class RecoverState(StepState):
    """``patience``: how many looks may pass until the collection must exist. ``uploads``: uploads
    that were begun. ``sent``: shards that were sent. ``made``: whether the collection was ever
    seen. ``found``: its count at the last look. ``strict``: the strict mode of the recovered
    collection."""

    phase: str = ""
    patience: int | None = None
    looks: int = 0
    uploads: int = 0
    sent: int = 0
    made: bool | None = None
    found: int | None = None
    strict: dict[str, Any] | Unset | None = UNSET
    undo_looks: int = 0

    def name_phase(self) -> str:
        return self.phase


@dataclass(frozen=True, kw_only=True)
class RecoveredGreen(MadeGreen):
    """Green was made from a backup. ``strict``: the strict mode of the recovered collection. It is
    not set if an older release wrote the row."""

    collection: str = ""
    strict: dict[str, Any] | Unset | None = UNSET
    filled: Filling = field(default_factory=Filling, metadata={"of": Filling})


@dataclass(frozen=True, kw_only=True)
class UnpackedSource(StepOutput):
    """A backup was recovered into ``collection``, to be read as a source."""

    collection: str
    schema: Schema


@dataclass(frozen=True, kw_only=True)
class ComparedBackup(StepOutput):
    count: int
    sampled: int
    queries: int
    faults: Sequence[str]
