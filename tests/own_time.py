"""The time that a process had, of the time that has passed.

On a busy machine a process waits for its turn, and while it waits it does nothing: it neither
searches nor reads a route. A thread that only ticks sees how long that was, so a bound in seconds
can be a bound in the process's own seconds. On an idle machine both are the same.
"""

import json
import os
import threading
import time
from bisect import bisect
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Self

#: Seconds between two ticks, and until the next one is late. Before that, nothing is subtracted.
_TICK = 0.05
_LATE = 0.1


class Ticking(threading.Thread):
    """Passes on from when to when this process did not have its turn, by the wall clock."""

    def __init__(self, note: Callable[[float, float], object]) -> None:
        super().__init__(name="ticking", daemon=True)
        self._note = note
        self._over = threading.Event()

    def run(self) -> None:
        before = time.time()
        while not self._over.wait(_TICK):
            now = time.time()
            if now > before + _LATE:
                self._note(before + _LATE, now)
            before = now

    def end(self) -> None:
        self._over.set()
        self.join()


class Stopwatch:
    """Counts the seconds that this process has had since the block began."""

    def __enter__(self) -> Self:
        self._stalls: list[float] = []
        self._ticking = Ticking(lambda start, end: self._stalls.append(end - start))
        self._began = time.time()
        self._ticking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ticking.end()

    def read(self) -> float:
        passed = time.time() - self._began
        time.sleep(2 * _TICK)  # until a stall that has just ended is counted
        return passed - sum(self._stalls)


def record_stalls(folder: Path) -> None:
    """Records in ``folder``, from now on, when this process did not have its turn."""
    journal = (folder / f"{os.getpid()}.stalls").open("a", buffering=1)
    Ticking(lambda start, end: journal.write(json.dumps([start, end]) + "\n")).start()


class OwnTimes:
    """What the processes of ``folder`` have recorded so far."""

    def __init__(self, folder: Path) -> None:
        self._stalls = {int(file.stem): _Stalls(file) for file in folder.glob("*.stalls")}

    def measure(self, process: int, began: float, ended: float) -> float:
        """Returns how many seconds the process had between two times of the wall clock."""
        stalls = self._stalls[process]
        return ended - began - (stalls.sum_until(ended) - stalls.sum_until(began))


class _Stalls:
    def __init__(self, file: Path) -> None:
        found = [json.loads(line) for line in file.read_text().split("\n")[:-1]]
        self._starts = [start for start, _ in found]
        self._ends = [end for _, end in found]
        self._sums = [0.0, *accumulate(end - start for start, end in found)]

    def sum_until(self, at: float) -> float:
        """Returns the seconds that the process did not have until then."""
        number = bisect(self._starts, at)
        if number and self._ends[number - 1] > at:
            return self._sums[number - 1] + at - self._starts[number - 1]
        return self._sums[number]
