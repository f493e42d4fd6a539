"""What a step is, what it can answer, and what it receives.

A step answers; it does not schedule. One call does a bounded piece of work (one batch, one look, at
most about 20 s) and must be safe to run twice: the process may die after any line, and then the
same call is made again with the state that was saved last.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy.orm import Session

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
from qdrant_rollouts.core.ports import Cursor, State, Turn
from qdrant_rollouts.core.services import Services

StateKind = TypeVar("StateKind", bound=StepState)
OutputKind = TypeVar("OutputKind", bound=StepOutput)


@dataclass(frozen=True, slots=True)
class Done:
    """The step is finished. ``output`` is stored with the deployment, and later steps can read
    it."""

    output: StepOutput = NO_OUTPUT


@dataclass(frozen=True, slots=True)
class Wait:
    """The step is not finished: call it again after ``seconds``.

    ``progress`` says whether this turn made progress. A wait without progress uses up the step's
    patience (``progress_deadline_seconds``). When no patience is left, the engine rejects.
    ``queue``: which workers take the next turns of the step, if others than until now.
    """

    seconds: float
    reason: str
    progress: bool = True
    queue: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """A person must decide (``promote`` or ``abort``). The deployment pauses with this reason."""

    reason: str
    output: StepOutput = NO_OUTPUT


@dataclass(frozen=True, slots=True)
class Reject:
    """The deployment must not continue. The undos run, unless the index is set to keep failed
    collections.

    ``output`` is the evidence; it is stored with the step.
    """

    reason: str
    output: StepOutput = NO_OUTPUT


Outcome = Done | Wait | Hold | Reject


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """What a step may know about its deployment. It does not change during the turn. ``plan``: the
    names of the steps."""

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
    """The output of one step of the plan, as its row has it. It is empty if the step has none."""

    kind: type[StepOutput]
    content: State
    attempt: int


class StepOutputs:
    """The outputs of a plan's steps. A step finds an output by its class, so no step needs the name
    of another."""

    def __init__(self, records: Sequence[StepRecord]) -> None:
        self._records = records

    def find(self, kind: type[OutputKind]) -> OutputKind | None:
        """Returns the latest output of this class, or None if no step has written one."""
        record = self._latest(kind)
        return read_data(record.kind, record.content) if record else None  # type: ignore[return-value]  # of that kind

    def get(self, kind: type[OutputKind]) -> OutputKind:
        found = self.find(kind)
        if found is None:
            raise Broken(f"no step of this plan has handed on {kind.__name__}")
        return found

    def attempt_of(self, kind: type[StepOutput]) -> int:
        """Returns which attempt of its step wrote the output; 0 if there is none."""
        record = self._latest(kind)
        return record.attempt if record else 0

    def has_step_for(self, kind: type[StepOutput]) -> bool:
        """Returns whether the plan has a step that writes such an output, finished or not."""
        return any(issubclass(record.kind, kind) for record in self._records)

    def _latest(self, kind: type[StepOutput]) -> StepRecord | None:
        fitting = [
            record for record in self._records if record.content and issubclass(record.kind, kind)
        ]
        return fitting[-1] if fitting else None


@dataclass(frozen=True, slots=True)
class StepContext:
    """One turn of one step: the deployment, what the step saved earlier, and the services that it
    may use.

    ``outputs`` has the outputs of earlier steps. ``attempt`` counts from 1 and grows each time an
    operator asks for a retry. ``arguments`` and ``position`` come from the plan, because a plan can
    have several steps with one name. ``waited``: seconds of patience that are used up. ``saved`` is
    the step's own state as its row has it; steps read it with ``load``.
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
        """Returns the state that the step has saved, or its initial state."""
        return read_data(kind, self.saved)

    def save(self, state: StepState, *, progress: bool = False) -> None:
        """Saves the step's state in the middle of a turn, if the turn still belongs to this worker;
        see ``Turn.save``."""
        self.turn.save(write_data(state), progress=progress)

    def save_within(self, session: Session, state: StepState) -> None:
        """The same in a transaction that also writes something else."""
        self.turn.save_within(session, write_data(state))

    @property
    def patience(self) -> str:
        """Describes for how long the step waits."""
        bound = self.deployment.spec.progress_deadline_seconds
        gone = f"{self.waited:.0f} s of them are gone"
        return f"waited for up to {bound:g} s without progress (progress_deadline_seconds), {gone}"


@dataclass(frozen=True, slots=True)
class Duration:
    """The least and the most seconds that a step takes from its beginning. ``source`` says what the
    estimate is based on."""

    low: float
    high: float
    source: str


StepFunction = Callable[[StepContext], Outcome]


@dataclass(frozen=True, slots=True)
class SliceWork:
    """What a turn of a slice does, and the class of what it saves. ``do`` receives the slice's
    number, and the cursors after which it begins and with which it ends."""

    do: Callable[[StepContext, int, Cursor | None, Cursor | None], Outcome]
    state: type[StepState]


@dataclass(frozen=True, slots=True)
class Step:
    """A row of a plan: the name that people see, what to do, how to undo it, and which workers do
    it.

    A ``long`` step has one act that may last for hours; it extends its turn while the act makes
    progress (``core.deployments.steps.long``). A ``soft`` step only watches, so a person may end it
    early. ``guard`` is what the step still checks while the deployment is paused in it; it returns
    ``Wait`` or ``Reject``. ``state`` is the class of what it saves, ``output`` the class of its
    output. ``arguments`` are written into the row, so two steps with one name can differ.
    ``lasts``: how long the step takes according to its settings and arguments. ``skipped`` says why
    this plan does not need the step; empty if it does. ``slices``: the part of the step's work that
    several workers can share. ``doing`` says for people what it does, with ``{green}``, ``{alias}``
    and ``{share}`` of the searches.
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
    skipped: str = ""
    slices: SliceWork | None = None
    doing: str = ""
    lasts: Callable[[IndexSpec, State], Duration | None] = lambda spec, arguments: None

    @property
    def traits(self) -> StepTraits:
        return traits_of(self.name)


Plan = tuple[Step, ...]


def why_model_may_be_unknown(names: Iterable[str]) -> str:
    """Returns why a plan with these steps may run although the live collection's model is unknown;
    returns nothing if it may not."""
    steps = tuple(names)
    if not has_step(steps, lambda step: step.moves_alias):
        return "searches stay on it, because this plan moves no alias"
    if has_step(steps, lambda step: step.shares_searches):
        return "searches by vector stay on it until the switch"
    return ""
