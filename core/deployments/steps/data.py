"""What each step saves for its next turn, and its output for later steps.
``core.database.step_data`` defines how rows store them; ``backup_data`` has those of backups.

A state without a ``phase`` is at its beginning. A count of None was not counted: the row is older,
or this way of filling does not count it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.foreign import ForeignWrites, Sample
from qdrant_rollouts.core.database.step_data import (
    UNSET,
    Progress,
    StepData,
    StepOutput,
    StepState,
    Unset,
)
from qdrant_rollouts.core.ports import Cursor, PointId, Schema

#: Seconds that one piece of work takes (``core.deployments.steps.pieces``).
PIECE_SECONDS = 2.0
#: What the release before cannot read.
_LATER_FORM = 2
#: The ways in which green is a clone of its source, and of blue.
SNAPSHOT = "snapshot"
DELTA = "delta"
#: The phase after the clone is complete.
CLONED = "cloned"
#: The phase of a look that is over.
DECIDED = "decided"


@dataclass(frozen=True, kw_only=True)
class PieceState(StepState):
    """The state of a step that works in pieces. ``piece``: for how many seconds the next piece may
    work."""

    piece: float = PIECE_SECONDS

    def delayed(self, seconds: float) -> Self:
        """Returns the state after a rate limit has made it wait. Whoever measures how long the work
        takes counts that too."""
        return self


# --- making green, and filling it -----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MadeGreen(StepOutput):
    """Green exists. ``vector`` is the vector that searches use. ``schema`` has green's settings;
    its strict mode is switched on only before green serves. Rows of the first releases have no
    schema."""

    vector: str = ""
    schema: Schema | None = None


@dataclass(frozen=True, kw_only=True)
class CreatedGreen(MadeGreen):
    """``vectors`` says how each vector is made, as ``VectorPlan.as_state`` writes it. A release
    that knew only one vector did not write it. ``blue_sample``: some of blue's points before
    anything was built; None if nobody need know what is written to it."""

    vectors: Mapping[str, Any] | None = None
    blue_sample: Sample | None = field(default=None, metadata={"of": Sample})


@dataclass(frozen=True, kw_only=True)
class RoundState(StepData):
    """A comparison of both collections, or a pass over the source, as far as it is. ``position`` is
    where the comparison goes on, ``cursor`` where the source is read on, ``read`` how many of its
    records were read. ``phase``: what a pass does before and after it reads. ``since``: only what
    changed since then is read, if the source can tell; ``begun``: from when on the next pass
    reads. ``seconds`` it has worked. ``checked``, ``made`` and ``deleted`` count points. ``leader``
    has the digests of the leading collection (``core.collections.merging.BucketDigests``). By the
    journal: ``left`` says how many writes have not reached green, and ``last`` how many seconds the
    last round took. ``part``: which range of the ids that were ``met`` is next. ``slices``: into
    how many it was cut; then ``seconds`` are those of all of them."""

    phase: str = ""
    position: PointId | None = None
    cursor: Cursor | None = None
    fingerprint: str | None = None
    since: str | None = None
    begun: str | None = None
    read: int = 0
    seconds: float = 0.0
    checked: int = 0
    made: int = 0
    deleted: int = 0
    bad: int = 0
    leader: str = ""
    left: int | None = None
    last: float = 0.0
    part: int = 0
    met: int = 0
    slices: int | None = None

    def form(self) -> int:
        """A release that knows the first form alone merges no ids."""
        if self.phase in ("merging", "finding", "removing"):
            return _LATER_FORM
        return super().form()


@dataclass(frozen=True, kw_only=True)
class LookState(StepData):
    """The source, compared with blue before anything is done: ``cursor`` is the position after the
    ``read`` records. ``changed`` of them need a point that blue does not have, and ``there`` have
    some point in blue, which has so many ``points``. ``phase``: empty while it is read, then
    ``read`` while the ids that were met are merged, of which range ``part`` is next, then
    ``decided``."""

    phase: str = ""
    part: int = 0
    cursor: Cursor | None = None
    read: int = 0
    changed: int = 0
    there: int = 0
    points: int | None = None


@dataclass(frozen=True, kw_only=True)
class FillState(PieceState):
    """``way``: records, copy, snapshot or delta; None while it is not chosen. ``fingerprint``: the
    source's when it was chosen; ``begun``: from when on a later pass reads changes.

    By records: ``cursor`` is the position after the ``read`` records, and ``window`` is the size of
    the next window. ``slices``: into how many slices the source is cut; each has a state of its own
    (``core.deployments.steps.slicing``). ``refilled``: they have written green before. By copy:
    ``position``. By snapshot: ``phase``, the collection that is ``cloned``, the ``snapshot`` that
    the server has named and its ``checksum``, and how many it was asked for and did not name
    (``unnamed``); ``undo_looks``: how often an undo has looked for a recovery that may still come;
    ``low``, ``high`` and ``found``: between which counts the release before awaited the end of a
    recovery, and the last one. By delta: the ``look`` at what has changed, then as by snapshot, and
    then the ``round`` that brings green up to the source, with the points ``renewed`` and
    ``dropped``, and how many ``deltas`` in a row this is; ``window``: how many points are made at
    once. When ``filled``: how many looks found the index ``ready``, its ``work`` and ``failures``
    at the last look, and for how long it has been ``failing``.
    """

    way: str | None = None
    fingerprint: str | Unset | None = field(default=UNSET, metadata={"key": "print"})
    begun: str | None = None
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
    slices: int | None = None
    refilled: bool | None = None
    position: PointId | None = None
    phase: str = ""
    cloned: str = ""
    snapshot: str = field(default="", metadata={"key": "named"})
    checksum: str = ""
    unnamed: int = 0
    undo_looks: int = 0
    low: int = 0
    high: int = 0
    found: int | None = None
    look: LookState | None = field(default=None, metadata={"of": LookState})
    round: RoundState | None = field(default=None, metadata={"of": RoundState})
    renewed: int | None = None
    dropped: int | None = None
    deltas: int | None = None
    filled: bool | None = None
    ready: int | None = None
    work: Sequence[int | None] | None = None
    failures: Any = None
    failing: Sequence[float] = ()

    def form(self) -> int:
        """A release that knows the first form alone guesses from lists which snapshot is its own,
        and does not know how to go on with a clone. A release without slices would fill green a
        second time from the beginning, or take what slices have written for records that come
        twice."""
        if self.way in (SNAPSHOT, DELTA) or self.slices or self.refilled:
            return _LATER_FORM
        return super().form()

    def is_long(self) -> bool:
        """A clone is made by requests that the server answers when it is done."""
        if self.filled or self.phase == CLONED:
            return False
        decided = self.look is not None and self.look.phase == DECIDED
        return self.way == SNAPSHOT or (self.way == DELTA and decided)

    def name_phase(self) -> str:
        """Returns the way in which green is filled, and then the wait for its index."""
        if self.filled:
            return "index"
        return self.way or "choose"

    def describe_place(self) -> str:
        if self.round is not None:
            return f"from record {self.round.read + 1:,} on, compared with the clone"
        if self.cloned and self.phase and self.phase != CLONED:
            return f"while {self.cloned} was cloned"
        if self.look is not None and self.look.phase != DECIDED:
            return f"from record {self.look.read + 1:,} on, compared with the live collection"
        if self.window is not None:
            return f"from record {(self.read or 0) + 1:,} on, {self.window:,} at a time"
        return super().describe_place()


# --- writes that arrive meanwhile ----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CatchUpProgress(Progress):
    """``rounds`` that are over, and of the last one: how many points it made and deleted. ``lag``:
    how many points green lacked then; by the journal, how many writes it lacks now. ``fence``: for
    how many seconds writers would be refused now, if they are."""

    rounds: int = 0
    made: int = 0
    deleted: int = 0
    lag: int | None = None
    fence: float | None = None


@dataclass(frozen=True, kw_only=True)
class CatchUpState(PieceState):
    """``round`` is under way. ``rounds`` are over: only the last ones are kept, without their
    places, and only the very last has its ``leader``. ``number`` of them there were. ``ids`` are
    some of those that a rollback leaves behind, or that were written around the journal: ``look``
    is how far these were looked for, and how many were ``made``. ``slices``: into how many slices
    the round under way is cut; each has a state of its own
    (``core.deployments.steps.sliced_rounds``)."""

    number: int = 0
    round: RoundState | None = field(default=None, metadata={"of": RoundState})
    rounds: Sequence[RoundState] = field(default=(), metadata={"of": RoundState})
    made: int = 0
    deleted: int = 0
    ids: Sequence[PointId] = ()
    look: RoundState | None = field(default=None, metadata={"of": RoundState})
    slices: int | None = None
    progress: CatchUpProgress | None = field(default=None, metadata={"of": CatchUpProgress})

    def name_phase(self) -> str:
        return f"round {self.number + 1}"

    def delayed(self, seconds: float) -> Self:
        return replace(self, round=_delay_round(self.round, seconds))

    def form(self) -> int:
        """A release that cuts no rounds would compare everything beside the slices."""
        return _LATER_FORM if self.slices else super().form()


@dataclass(frozen=True, kw_only=True)
class ComparedSlice(PieceState):
    """One slice of a comparison, as far as it is."""

    round: RoundState | None = field(default=None, metadata={"of": RoundState})

    def delayed(self, seconds: float) -> Self:
        return replace(self, round=_delay_round(self.round, seconds))

    def form(self) -> int:
        """A release that cuts no rounds would take this for a slice of a source."""
        return _LATER_FORM

    def describe_place(self) -> str:
        if self.round is None or self.round.position is None:
            return super().describe_place()
        return f"from the point {self.round.position} on"


def _delay_round(current: RoundState | None, seconds: float) -> RoundState | None:
    if current is None:
        return None
    return replace(current, seconds=current.seconds + seconds)


@dataclass(frozen=True, kw_only=True)
class CaughtUp(Filling):
    """Green has what was written while it was built. The counts of the filling are those after it.
    ``rounds`` as in ``CatchUpState``; ``fence`` is for how many seconds the last comparison says
    that writes are refused, and ``leader`` the digests of blue at that time. ``gave_up``: nothing
    was compared, because the leading collection cannot be read."""

    rounds: Sequence[RoundState] = field(default=(), metadata={"of": RoundState})
    changed: int = 0
    removed: int = 0
    fence: float | None = None
    leader: str = ""
    gave_up: bool = False


@dataclass(frozen=True, kw_only=True)
class SwitchState(StepState):
    """``ahead``: the comparison right before writes are refused, and whether it is over (``near``).
    ``leader``: the digests of blue when its writes were refused. ``dropped``: how many times the
    last comparison took too long and writes were let in again. ``back``: the round that carries
    writes back to blue before a rollback. ``foreign``: what was written to blue and is not in
    green; ``approved_by`` has accepted that. ``look``: how far both were compared again, because
    somebody wrote around the journal. ``left``: what a move without a fence leaves behind, in
    words."""

    ahead: RoundState | None = field(default=None, metadata={"of": RoundState})
    near: bool = False
    leader: str = ""
    held: float = 0.0
    dropped: int = 0
    back: RoundState | None = field(default=None, metadata={"of": RoundState})
    foreign: ForeignWrites | None = field(default=None, metadata={"of": ForeignWrites})
    look: RoundState | None = field(default=None, metadata={"of": RoundState})
    left: str = ""
    approved_by: str | None = None
    approved_because: str | None = None


# --- judging, sharing, switching, watching --------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class GateState(PieceState):
    """``memory``: what the evidence collectors have found."""

    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Judged(StepOutput):
    """``gate`` is the report. It also names the deployment and the attempt that it belongs to."""

    gate: dict[str, Any] | None = None

    @property
    def report(self) -> Mapping[str, Any] | None:
        return self.gate


@dataclass(frozen=True, kw_only=True)
class StageProgress(Progress):
    """``looks``: how many were taken, and how many are wanted. ``route``: the version of the route
    that was set. ``all``: whether every search process serves it. The other fields are those of
    ``StageSeen``."""

    looks: Sequence[int] = ()
    route: int | None = None
    all: bool | None = None
    traffic: Mapping[str, Any] | None = None
    judgment: Mapping[str, Any] | None = None
    course: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class StageState(StepState):
    """``windows``: green's seconds and searches, and blue's, up to each look. ``course``: the
    effects by metric at each look. ``follows``: the next turn brings writes to green, and takes no
    look; ``round`` is how far that is, and ``followed`` the fingerprint of the source when it was
    last brought."""

    looks: int = 0
    windows: Sequence[Sequence[float]] = ()
    course: Sequence[Mapping[str, Any]] = ()
    follows: bool = False
    round: RoundState | None = field(default=None, metadata={"of": RoundState})
    followed: str | None = None
    progress: StageProgress | None = field(default=None, metadata={"of": StageProgress})


@dataclass(frozen=True, kw_only=True)
class StageSeen(StepOutput):
    """What a stage has shown: the share that was ``set``, which processes have ``confirmed`` it,
    the figures of its ``traffic``, and their ``judgment``. ``missing``: what its time has not
    shown, in words."""

    set: float
    confirmed: str
    traffic: Mapping[str, Any]
    judgment: Mapping[str, Any]
    course: Sequence[Mapping[str, Any]] | None = None
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class Switched(StepOutput):
    """``moved`` is false if the alias was on green already. ``held``: for how many seconds blue
    refused writes; ``leader``: its digests at that time. ``foreign``: what was written to blue and
    is not in green; ``blue_sample``: some of blue's points right before the switch."""

    came_from: str | None = field(metadata={"key": "from"})
    moved: bool
    held: float | None = None
    leader: str = ""
    foreign: ForeignWrites | None = field(default=None, metadata={"of": ForeignWrites})
    blue_sample: Sample | None = field(default=None, metadata={"of": Sample})


@dataclass(frozen=True, kw_only=True)
class LateState(StepData):
    """The search for writes that went to blue around the switch. ``leader``: blue's digests now, as
    far as ``position``; ``buckets``: those that changed. ``healed`` points were brought to green;
    ``both`` were written on both sides and stay as they are on green. ``ids`` are some of each. For
    a source, ``round`` is the pass over it. ``fault`` says why the search was given up."""

    phase: str = ""
    position: PointId | None = None
    leader: str = ""
    buckets: Sequence[int] = ()
    healed: int = 0
    both: int = 0
    ids: Sequence[PointId] = ()
    fault: str = ""
    round: RoundState | None = field(default=None, metadata={"of": RoundState})


@dataclass(frozen=True, kw_only=True)
class SoakState(StepState):
    """``judged``: the seconds, searches and errors up to which the traffic was judged. ``blue``:
    its mean latency before the switch, in seconds, and ``blue_errors`` the share of its searches
    that failed, if they are known. ``late``: what became of late
    writes; ``searches``: the next turn looks for them, and not at green."""

    looks: int = 0
    errors: int = 0
    last_error: str = ""
    judged: Sequence[float] = (0.0, 0, 0)
    blue: float | None = None
    blue_errors: float | None = None
    late: LateState | None = field(default=None, metadata={"of": LateState})
    searches: bool = False


@dataclass(frozen=True, kw_only=True)
class Soaked(StepOutput):
    """``late`` says what became of writes around the switch."""

    looks: int
    errors: int
    last_error: str
    traffic: Mapping[str, Any]
    late: dict[str, Any] | None = None
