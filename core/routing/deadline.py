"""How long a collection on trial may take after the other one has answered."""

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


class DeadlineEstimate:
    """Latencies of blue, in seconds, in this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._seen: deque[float] = deque(maxlen=_KEPT_LATENCIES)
        self._new = 0
        self.seconds = _MOST_SECONDS

    def add(self, seconds: float) -> None:
        with self._guard:
            self._seen.append(seconds)
            self._new += 1
            if self._new % _RECOMPUTE_AFTER == 0:
                p95 = float(np.quantile(self._seen, 0.95))
                self.seconds = min(max(_PATIENCE_FACTOR * p95, _LEAST_SECONDS), _MOST_SECONDS)
