"""The warning for a person who is about to abort: what the abort does to the applications that
search."""

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.step_traits import traits_of
from qdrant_rollouts.core.lifecycle import FINAL, Event, StepStatus, is_allowed


def has_switched(row: Deployment) -> bool:
    """Returns whether the alias has moved to the new collection and has not moved back."""
    return any(
        traits_of(step.name).moves_alias and step.status == StepStatus.DONE for step in row.steps
    )


def warn_of_abort(row: Deployment) -> str:
    """Returns no warning if another collection will answer the searches."""
    if row.blue is not None or row.status in FINAL or not has_switched(row):
        return ""
    said = f"searches of {row.alias} will fail: nothing served it before"
    if not is_allowed(row.status, Event.ABORT_KEEP):
        return said
    return f"{said}; to end the watch and leave {row.green} serving: rollouts abort {row.id} --keep"
