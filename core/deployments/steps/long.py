"""What cannot be cut into turns, and gets on piece by piece: an upload is one request, a checksum
one sum."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.database.step_data import Progress, StepState
from qdrant_rollouts.core.deployments.plan import StepContext

#: Seconds between two notes of how far it is.
_PROGRESS_SECONDS = 1.0


def stream_with_progress(
    context: StepContext, state: StepState, size: int, pieces: Iterable[bytes]
) -> Iterator[bytes]:
    """``pieces``, ``size`` bytes together. Before each, and at the end, it is asked whether the
    turn is still ours, and the turn is prolonged; how far it is, is saved beside ``state``."""
    done = 0
    started = time.monotonic()
    told = time.monotonic()
    for piece in pieces:
        context.turn.check(ACT_SECONDS)
        context.turn.prolong()
        yield piece
        done += len(piece)
        if time.monotonic() - told >= _PROGRESS_SECONDS:
            told = time.monotonic()
            progress = Progress(
                done=done, size=size, unit="bytes", rate=round(done / (told - started), 1)
            )
            context.save(replace(state, progress=progress))
    context.turn.check(ACT_SECONDS)
