"""The actions of schedules. An action is one function that takes up a run, and one line in
``ACTIONS``.

Rule: an action may be called for a run any number of times, by several processes at once, and may
die after any line.
"""

from collections.abc import Callable

from qdrant_rollouts.core.operations.schedules import backups, rebuilds, verifications
from qdrant_rollouts.core.operations.schedules.runs import Run
from qdrant_rollouts.core.services import Services

#: Takes the run up, or a piece further; returns a line for the log. The key is also the index
#: file's key for the cron line.
ACTIONS: dict[str, Callable[[Services, Run], str]] = {
    "rebuild": rebuilds.begin_scheduled_rebuild,
    "verify": verifications.verify_for_turn,
    "backup": backups.begin_scheduled_backup,
}
