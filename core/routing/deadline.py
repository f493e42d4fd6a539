"""How long a collection on trial may take: after the other one has answered, and instead of it."""

import threading
from collections import deque

import numpy as np

#: How many recent searches measure blue's speed, and after how many new ones it is computed again.
_KEPT_LATENCIES = 500
_RECOMPUTE_AFTER = 50
#: The minimum and maximum wait in seconds.
_LEAST_SECONDS = 0.05
_MOST_SECONDS = 4.0
#: Multiple of blue's p95 (experiments section 10.1).
_PATIENCE_FACTOR = 1.3
#: The same for a search that blue answers if the collection on trial does not, and its maximum:
#: blue itself is not waited for any longer.
_TRIAL_FACTOR = 1.5
_MOST_TRIAL_SECONDS = 10.0


class DeadlineEstimate:
    """Latencies of blue, in seconds, in this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._seen: deque[float] = deque(maxlen=_KEPT_LATENCIES)
        self._new = 0
        self._p95 = 0.0
        self.seconds = _MOST_SECONDS

    def add(self, seconds: float) -> None:
        with self._guard:
            self._seen.append(seconds)
            self._new += 1
            if self._new % _RECOMPUTE_AFTER == 0:
                self._p95 = float(np.quantile(self._seen, 0.95))
                self.seconds = min(max(_PATIENCE_FACTOR * self._p95, _LEAST_SECONDS), _MOST_SECONDS)

    def extend(self, seconds: float) -> float:
        """Returns for how long a collection on trial is asked: ``seconds``, or longer where blue is
        slow, because what is as fast as blue has not failed."""
        return min(max(seconds, _TRIAL_FACTOR * self._p95), _MOST_TRIAL_SECONDS)
