"""What each step saves for its next turn, and what it hands on to later ones; how that stands in
rows says ``core.database.step_data``.

A state without a ``phase`` is at its beginning. Counts that are None were not counted, so that
older rows and ways that count nothing say so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.database.step_data import UNSET, Progress, StepOutput, StepState, Unset
from qdrant_rollouts.core.ports import Cursor, PointId, Schema

#: Seconds that a piece of work takes (``core.deployments.steps.pieces``).
PIECE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class PieceState(StepState):
    """Of a step that works in pieces: ``piece`` is for how many seconds the next one may work."""

    piece: float = PIECE_SECONDS


# --- making green, and filling it -----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MadeGreen(StepOutput):
    """Green is there, with ``vector`` as the one that searches ask, and settings ``schema`` but for
    its strict mode, which is switched on before it serves. Rows of the first releases have no
    schema."""

    vector: str = ""
    schema: Schema | None = None


@dataclass(frozen=True, kw_only=True)
class CreatedGreen(MadeGreen):
    """``vectors`` says how each is made, as ``VectorPlan.as_state``; a release that knew a single
    vector wrote none."""

    vectors: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class RecoveredGreen(MadeGreen):
    """Made of a backup. ``strict``: the strict mode that it came with, not set where an older
    release wrote it."""

    collection: str = ""
    strict: dict[str, Any] | Unset | None = UNSET
    filled: Filling = field(default_factory=Filling, metadata={"of": Filling})


@dataclass(frozen=True, kw_only=True)
class UnpackedSource(StepOutput):
    """A backup, recovered into ``collection`` to be read."""

    collection: str
    schema: Schema


@dataclass(frozen=True, kw_only=True)
class FillState(PieceState):
    """``way``: records, copy or snapshot; not chosen yet while it is None. ``fingerprint``: the
    source's at that time.

    By records: ``cursor`` behind what was ``read``, and ``window``, the size of the next one. By
    copy: ``position``. By snapshot: ``phase``, the snapshots ``known`` before, the count of the
    source from ``low`` to ``high``, the ``snapshot`` and whether it is surely our ``own``, and the
    count that was last ``found``. When ``filled``: looks that found the index ``ready``, its
    ``work`` and ``failures`` at the last look, and for how long it is ``failing``."""

    way: str | None = None
    fingerprint: str | Unset | None = field(default=UNSET, metadata={"key": "print"})
    left_out: dict[str, Any] | None = None
    note: str | None = None
    written: int | None = None
    expected: int | None = None
    embedded: int | None = None
    reused: int | None = None
    truncated: int | None = None
    by_vector: dict[str, dict[str, int]] | None = None
    bad: int | None = None
    bad_samples: Sequence[str] | None = None
    gone: int | None = None
    cursor: Cursor | None = None
    read: int | None = None
    window: int | None = None
    position: PointId | None = None
    phase: str = ""
    known: Sequence[str] = ()
    low: int | None = None
    high: int | None = None
    snapshot: str = ""
    own: bool | None = None
    found: int | None = None
    filled: bool | None = None
    ready: int | None = None
    work: Sequence[int | None] | None = None
    failures: Any = None
    failing: Sequence[float] = ()

    def name_phase(self) -> str:
        """The way in which it is filled, then the wait for its index."""
        return "index" if self.filled else self.way or "choose"

    def describe_place(self) -> str:
        if self.window is not None:
            return f"from record {(self.read or 0) + 1:,} on, {self.window:,} at a time"
        return super().describe_place()


# --- judging, sharing, switching, watching --------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class GateState(PieceState):
    """``memory``: what the collectors of evidence have found."""

    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Judged(StepOutput):
    """``gate`` is the report, with whose it is."""

    gate: dict[str, Any] | None = None

    @property
    def report(self) -> Mapping[str, Any] | None:
        return self.gate


@dataclass(frozen=True, kw_only=True)
class StageProgress(Progress):
    """``looks`` made, and wanted. ``route``: the version that was set, ``all`` whether every search
    process serves it. The others are as ``StageSeen`` has them."""

    looks: Sequence[int] = ()
    route: int | None = None
    all: bool | None = None
    traffic: Mapping[str, Any] | None = None
    judgment: Mapping[str, Any] | None = None
    course: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class StageState(StepState):
    """``windows``: green's seconds and searches at each look. ``course``: effects by metric at each
    look."""

    looks: int = 0
    windows: Sequence[Sequence[float]] = ()
    course: Sequence[Mapping[str, Any]] = ()
    progress: StageProgress | None = field(default=None, metadata={"of": StageProgress})


@dataclass(frozen=True, kw_only=True)
class StageSeen(StepOutput):
    """What a stage has shown: the share that was ``set`` and by whom ``confirmed``, figures of its
    ``traffic``, and the ``judgment`` of them."""

    set: float
    confirmed: str
    traffic: Mapping[str, Any]
    judgment: Mapping[str, Any]
    course: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class Switched(StepOutput):
    """``moved`` is false where the alias was on green already."""

    came_from: str | None = field(metadata={"key": "from"})
    moved: bool


@dataclass(frozen=True, kw_only=True)
class SoakState(StepState):
    """``judged``: seconds, searches and errors up to which the traffic was judged."""

    looks: int = 0
    errors: int = 0
    last_error: str = ""
    judged: Sequence[float] = (0.0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Soaked(StepOutput):
    looks: int
    errors: int
    last_error: str
    traffic: Mapping[str, Any]


# --- backups --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SnapshotState(PieceState):
    """``after`` and ``scanned``: how far the points were seen of which a ``sample`` is drawn. What
    was remembered of the content before the snapshot: ``at``, ``schema``, ``metadata``, ``count``,
    ``points`` with their digests. ``known``: snapshots that were there before; ``snapshots``: those
    that came, surely our ``own`` or not. ``looks`` in vain, and ``undo_looks``."""

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
    looks: int = 0
    undo_looks: int = 0

    def name_phase(self) -> str:
        return self.phase


@dataclass(frozen=True, kw_only=True)
class TakenSnapshot(StepOutput):
    """``low`` and ``high``: counts before and after. ``sample``: points that are the same in both,
    with digests."""

    snapshots: Sequence[str]
    own: bool
    at: str
    schema: Schema
    metadata: dict[str, Any]
    low: int
    high: int
    sample: list[list[Any]]


@dataclass(frozen=True, kw_only=True)
class FetchState(StepState):
    """``files`` that are whole, ``done`` bytes of the next one, and how many to write at once,
    ``chunk``."""

    files: Sequence[dict[str, Any]] = ()
    done: int = 0
    chunk: int | None = None


@dataclass(frozen=True, kw_only=True)
class FetchedFiles(StepOutput):
    """As the manifest has them."""

    files: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class SealedBackup(StepOutput):
    """Its summary alone."""


@dataclass(frozen=True, kw_only=True)
class PrunedBackups(StepOutput):
    removed: Sequence[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class RecoverState(StepState):
    """``patience``: looks until the collection must be there. ``uploads`` begun, shards ``sent``;
    whether it was ever seen, ``made``, with the count last ``found``; ``strict``: the strict mode
    that it came with."""

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
class ComparedBackup(StepOutput):
    count: int
    sampled: int
    queries: int
    faults: Sequence[str]
