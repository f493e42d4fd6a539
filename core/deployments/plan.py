"""What a step is, what it may answer, and what it is given.

A step answers, it does not schedule. One call does a bounded piece of work (one batch, one look; at most about 30 s)
and must be safe to run twice: the process may die after any line, and the same call is then made again with the state
that was last saved.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.step_traits import StepTraits, has_step, traits_of
from qdrant_rollouts.core.ports import State, Turn
from qdrant_rollouts.core.services import Services


@dataclass(frozen=True, slots=True)
class Done:
    """The step is finished; ``output`` is kept with the deployment and handed to later steps."""

    output: State = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    """Not finished: call again after ``seconds``.

    ``progress`` says whether this turn moved anything. Waiting without progress uses up the step's patience
    (``progress_deadline_seconds``); when that is gone the engine rejects.
    """

    seconds: float
    reason: str
    progress: bool = True


@dataclass(frozen=True, slots=True)
class Hold:
    """A person must decide (``promote`` or ``abort``); the deployment pauses with this reason."""

    reason: str
    output: State = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reject:
    """The deployment must not go on; the undos run, unless it was asked to keep a failed collection.

    ``output`` is the evidence, kept with the step.
    """

    reason: str
    output: State = field(default_factory=dict)


Outcome = Done | Wait | Hold | Reject


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """What a step may know of its deployment; fixed while the turn runs. ``plan``: the names of its steps."""

    id: str
    alias: str
    plan: tuple[str, ...]
    blue: str | None
    green: str
    spec: IndexSpec
    source: str | None
    number: int


@dataclass(frozen=True, slots=True)
class StepContext:
    """One turn of one step: the deployment, what the step saved before, and the doors to the outside.

    ``state`` is the step's own memory; ``turn.save(state)`` persists it in the middle of a turn, fenced by the turn.
    ``outputs`` holds what earlier steps returned and ``attempts`` which attempt that was, by step name; ``attempt`` is
    the step's own, from 1, one more whenever an operator has it run again. ``arguments`` and ``position`` are the
    plan's: a plan may have several steps of one name. ``waited``: seconds of its patience that are used up.
    """

    deployment: DeploymentView
    state: State
    outputs: Mapping[str, State]
    services: Services
    turn: Turn
    attempt: int = 1
    attempts: Mapping[str, int] = field(default_factory=dict)
    arguments: State = field(default_factory=dict)
    position: int = 0
    waited: float = 0.0

    @property
    def patience(self) -> str:
        """Until when it is waited, in words."""
        bound = self.deployment.spec.progress_deadline_seconds
        gone = f"{self.waited:.0f} s of them are gone"
        return f"waited for up to {bound:g} s without progress (progress_deadline_seconds), {gone}"


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds from the beginning of a step, at least and at most; ``source`` says where that is known from."""

    low: float
    high: float
    source: str


StepFunction = Callable[[StepContext], Outcome]


@dataclass(frozen=True, slots=True)
class Step:
    """A row of a plan: the name people see, what to do, how to take it back, and which workers do it.

    A ``long`` step has an act that may last for hours, and prolongs its turn as that gets on
    (``core.deployments.steps.long``). A ``soft`` step only watches: a person may end it early. ``guard`` is what it
    still looks at while the deployment is paused in it; it answers ``Wait`` or ``Reject``. ``phase`` names what a turn
    with this state will be about, for people; empty where a step has no phases. ``arguments`` are written into the row,
    so that two steps of one name can differ. ``lasts``: how long its settings and arguments say that it takes.
    """

    name: str
    do: StepFunction
    undo: StepFunction | None = None
    queue: str = "control"
    long: bool = False
    soft: bool = False
    guard: StepFunction | None = None
    phase: Callable[[State], str] = lambda state: str(state.get("phase", ""))
    arguments: State = field(default_factory=dict)
    lasts: Callable[[IndexSpec, State], Duration | None] = lambda spec, arguments: None

    @property
    def traits(self) -> StepTraits:
        return traits_of(self.name)


Plan = tuple[Step, ...]


def why_model_may_be_unknown(names: Iterable[str]) -> str:
    """Why it does no harm to a plan of these steps that nobody knows which model made the live collection; nothing
    where it does."""
    steps = tuple(names)
    if not has_step(steps, lambda step: step.moves_alias):
        return "searches stay on it, for this plan moves no alias"
    if has_step(steps, lambda step: step.shares_searches):
        return "searches by vector stay on it until the switch"
    return ""
