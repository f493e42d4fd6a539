"""The situation of a run in sentences: what happens now, since when, until when, and what a person
must do.

Rule: every status of every kind of run has all four. What is not known is said to be unknown.
"""

from collections.abc import Callable, Mapping

from qdrant_rollouts.core.answers.deployments import Deployment
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.operations.views.overview.situation import ended, held, moving
from qdrant_rollouts.core.operations.views.overview.situation.parts import (
    Run,
    Situation,
    Surroundings,
)

_SITUATIONS: Mapping[str, Callable[[Run], Situation]] = {
    Status.PENDING: moving.describe_pending,
    Status.RUNNING: moving.describe_running,
    Status.PAUSED: held.describe_paused,
    Status.ROLLING_BACK: moving.describe_rolling_back,
    Status.NEEDS_OPERATOR: held.describe_stuck,
    Status.LIVE: ended.describe_live,
    Status.COMPLETED: ended.describe_completed,
    Status.ROLLED_BACK: ended.describe_rolled_back,
}


def describe_situation(told: Deployment, around: Surroundings) -> Situation:
    """Returns the situation of the run that ``queries.get_deployment`` tells of."""
    describe = _SITUATIONS.get(told["status"], moving.describe_unknown)
    return describe(Run(told, around))
