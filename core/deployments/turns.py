"""What a deployment's next turn would be, from its rows alone. No step is loaded for this, so
reading stays fast."""

from collections.abc import Sequence

from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.database.step_traits import traits_of
from qdrant_rollouts.core.lifecycle import FINAL, MOVING, Place, Status, StepStatus

_OVER = frozenset({StepStatus.DONE, StepStatus.SKIPPED})


def moves(row: Deployment) -> bool:
    """Returns whether there is a turn to take. A deployment that waits for a place takes a turn
    only for a request."""
    if row.requested:
        return row.status not in FINAL
    return row.place != Place.WAITING and (row.status in MOVING or is_guarded(row))


def is_guarded(row: Deployment) -> bool:
    """Returns whether the deployment is paused in a step that has begun and that is guarded while
    it is paused."""
    step = None
    if row.status == Status.PAUSED:
        step = current_step(row)
    return step is not None and step.started_at is not None and traits_of(step.name).guarded


def current_step(row: Deployment) -> StepRow | None:
    """Returns the step of the next turn: the first unfinished one, or during a rollback the last
    one begun."""
    return find_current_step(row.status, row.steps)


def name_place(row: Deployment) -> str:
    """Returns a word for where the deployment is, which differs once it has moved on or waits for
    something else. It is for comparing only."""
    step = current_step(row)
    at = "end" if step is None else f"{step.position}.{step.attempt}"
    return f"{row.status}-{at}-{row.paused_for or 'nobody'}"


def find_current_step(status: Status, steps: Sequence[StepRow]) -> StepRow | None:
    """Returns the same for steps that were loaded without their deployment. If an undo gave up,
    this is the step of that undo."""
    if status == Status.ROLLING_BACK or any(step.undone_at for step in steps):
        begun = [step for step in steps if step.started_at and not step.undone_at]
        return begun[-1] if begun else None
    return next((step for step in steps if step.status not in _OVER), None)
