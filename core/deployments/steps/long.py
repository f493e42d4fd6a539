"""Streams work that cannot be divided into turns, such as an upload in one request or a
checksum."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.database.step_data import Progress, StepState
from qdrant_rollouts.core.deployments.plan import StepContext

#: Seconds between two progress updates.
_PROGRESS_SECONDS = 1.0


def stream_with_progress(
    context: StepContext, state: StepState, size: int, pieces: Iterable[bytes]
) -> Iterator[bytes]:
    """Yields ``pieces``, which have ``size`` bytes together. Before each piece, and at the end, it
    checks that the turn is still ours and extends it. It saves the progress together with
    ``state``."""
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
