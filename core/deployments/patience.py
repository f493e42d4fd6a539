"""How often a piece of work is tried again, and for how long it may make no progress: the counters
that rows of steps and of slices have in common."""

import random
from typing import Final

from qdrant_rollouts.core.database.models import StepRow
from qdrant_rollouts.core.database.slice_rows import SliceRow
from qdrant_rollouts.core.services import Times

#: A retry waits at most this many times as long as the retry before: twice as long, multiplied by
#: 1.2 over 0.8 for the random spread.
RETRY_GROWTH = 3.0


#: The counters after progress.
PROGRESS: Final = {"tries": 0, "crashes": 0, "waited": 0.0}


def note_progress(row: StepRow | SliceRow) -> None:
    for name, value in PROGRESS.items():
        setattr(row, name, value)


def choose_delay(times: Times, row: StepRow | SliceRow) -> float:
    """Returns after how many seconds a service that did not answer is asked again."""
    delay: float = min(times.first_retry * 2 ** min(max(row.tries, 1) - 1, 16), times.longest_retry)
    return delay * random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries of many deployments, hides nothing
