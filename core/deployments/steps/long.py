"""What cannot be cut into turns, and gets on piece by piece: an upload is one request, a checksum one sum."""

import time
from collections.abc import Iterable, Iterator

from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.ports import State

#: Seconds between two notes of how far it is.
_PROGRESS_SECONDS = 1.0


def stream_with_progress(context: StepContext, state: State, size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """``pieces``, ``size`` bytes together. Before each, and at the end, it is asked whether the turn is still ours, and
    the turn is prolonged; how far it is, is saved beside ``state``."""
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
            progress = {"done": done, "size": size, "unit": "bytes", "rate": round(done / (told - started), 1)}
            context.turn.save({**state, "progress": progress})
    context.turn.check(ACT_SECONDS)
