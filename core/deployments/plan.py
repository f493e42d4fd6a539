"""What a step is, what it may answer, and what it is given.

A step answers, it does not schedule. One call does a bounded piece of work (one batch, one look; at
most about 30 s) and must be safe to run twice: the process may die after any line, and the same
call is then made again with the state that was last saved.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.step_data import (
    NO_OUTPUT,
    StepOutput,
    StepState,
    read_data,
    write_data,
)
from qdrant_rollouts.core.database.step_traits import StepTraits, has_step, traits_of
from qdrant_rollouts.core.errors import Broken
from qdrant_rollouts.core.ports import State, Turn
from qdrant_rollouts.core.services import Services

StateKind = TypeVar("StateKind", bound=StepState)
OutputKind = TypeVar("OutputKind", bound=StepOutput)


@dataclass(frozen=True, slots=True)
class Done:
    """The step is finished; ``output`` is kept with the deployment and handed to later steps."""

    output: StepOutput = NO_OUTPUT


@dataclass(frozen=True, slots=True)
class Wait:
    """Not finished: call again after ``seconds``.

    ``progress`` says whether this turn moved anything. Waiting without progress uses up the step's
    patience (``progress_deadline_seconds``); when that is gone the engine rejects.
    """

    seconds: float
    reason: str
    progress: bool = True


@dataclass(frozen=True, slots=True)
class Hold:
    """A person must decide (``promote`` or ``abort``); the deployment pauses with this reason."""

    reason: str
    output: StepOutput = NO_OUTPUT


@dataclass(frozen=True, slots=True)
class Reject:
    """The deployment must not go on; the undos run, unless it was asked to keep a failed
    collection.

    ``output`` is the evidence, kept with the step.
    """

    reason: str
    output: StepOutput = NO_OUTPUT


Outcome = Done | Wait | Hold | Reject


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """What a step may know of its deployment; fixed while the turn runs. ``plan``: the names of its
    steps."""

    id: str
    alias: str
    plan: tuple[str, ...]
    blue: str | None
    green: str
    spec: IndexSpec
    source: str | None
    number: int


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What one step of the plan has handed on, in its row; empty where it has not."""

    kind: type[StepOutput]
    content: State
    attempt: int


class StepOutputs:
    """What the steps of a plan have handed on, found by what it is. So no step knows another by its
    name."""

    def __init__(self, records: Sequence[StepRecord]) -> None:
        self._records = records

    def find(self, kind: type[OutputKind]) -> OutputKind | None:
        """The latest of this kind; None where no step has handed any on."""
        record = self._latest(kind)
        return read_data(record.kind, record.content) if record else None  # type: ignore[return-value]  # of that kind

    def get(self, kind: type[OutputKind]) -> OutputKind:
        found = self.find(kind)
        if found is None:
            raise Broken(f"no step of this plan has handed on {kind.__name__}")
        return found

    def attempt_of(self, kind: type[StepOutput]) -> int:
        """Which attempt of its step that was; 0 for none."""
        record = self._latest(kind)
        return record.attempt if record else 0

    def has_step_for(self, kind: type[StepOutput]) -> bool:
        """Whether any step of the plan is to hand this on, done or not."""
        return any(issubclass(record.kind, kind) for record in self._records)

    def _latest(self, kind: type[StepOutput]) -> StepRecord | None:
        fitting = [
            record for record in self._records if record.content and issubclass(record.kind, kind)
        ]
        return fitting[-1] if fitting else None


@dataclass(frozen=True, slots=True)
class StepContext:
    """One turn of one step: the deployment, what the step saved before, and the doors to the
    outside.

    ``outputs`` has what earlier steps handed on. ``attempt`` is the step's own, from 1, one more
    whenever an operator has it run again. ``arguments`` and ``position`` are the plan's: a plan may
    have several steps of one name. ``waited``: seconds of its patience that are used up. ``saved``
    is the step's own memory as its row has it; steps read it by ``load``.
    """

    deployment: DeploymentView
    saved: State
    outputs: StepOutputs
    services: Services
    turn: Turn
    attempt: int = 1
    arguments: State = field(default_factory=dict)
    position: int = 0
    waited: float = 0.0

    def load(self, kind: type[StateKind]) -> StateKind:
        """What the step has saved, or what it begins with."""
        return read_data(kind, self.saved)

    def save(self, state: StepState, *, progress: bool = False) -> None:
        """Persists the step's memory in the middle of a turn, fenced by the turn; see
        ``Turn.save``."""
        self.turn.save(write_data(state), progress=progress)

    @property
    def patience(self) -> str:
        """Until when it is waited, in words."""
        bound = self.deployment.spec.progress_deadline_seconds
        gone = f"{self.waited:.0f} s of them are gone"
        return f"waited for up to {bound:g} s without progress (progress_deadline_seconds), {gone}"


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds from the beginning of a step, at least and at most; ``source`` says where that is
    known from."""

    low: float
    high: float
    source: str


StepFunction = Callable[[StepContext], Outcome]


@dataclass(frozen=True, slots=True)
class Step:
    """A row of a plan: the name people see, what to do, how to take it back, and which workers do
    it.

    A ``long`` step has an act that may last for hours, and prolongs its turn as that gets on
    (``core.deployments.steps.long``). A ``soft`` step only watches: a person may end it early.
    ``guard`` is what it still looks at while the deployment is paused in it; it answers ``Wait`` or
    ``Reject``. ``state`` is what it saves and ``output`` what it hands on. ``arguments`` are
    written into the row, so that two steps of one name can differ. ``lasts``: how long its settings
    and arguments say that it takes.
    """

    name: str
    do: StepFunction
    undo: StepFunction | None = None
    queue: str = "control"
    long: bool = False
    soft: bool = False
    guard: StepFunction | None = None
    state: type[StepState] = StepState
    output: type[StepOutput] = StepOutput
    arguments: State = field(default_factory=dict)
    lasts: Callable[[IndexSpec, State], Duration | None] = lambda spec, arguments: None

    @property
    def traits(self) -> StepTraits:
        return traits_of(self.name)


Plan = tuple[Step, ...]


def why_model_may_be_unknown(names: Iterable[str]) -> str:
    """Why it does no harm to a plan of these steps that nobody knows which model made the live
    collection; nothing where it does."""
    steps = tuple(names)
    if not has_step(steps, lambda step: step.moves_alias):
        return "searches stay on it, for this plan moves no alias"
    if has_step(steps, lambda step: step.shares_searches):
        return "searches by vector stay on it until the switch"
    return ""
