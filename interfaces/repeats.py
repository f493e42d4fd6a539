"""Logs in which a repeated error has one line a second.

Rule: a record repeats another if it comes from the same line of code, with the same error from the
same place; without an error, if its text is the same. HTTP clients can influence the text, so there
only the line of code decides. The next record that is written says how many were left out.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

#: Seconds with one record of a kind, and how many kinds are remembered.
WINDOW_SECONDS = 1.0
_MOST_REMEMBERED = 1000
#: Loggers whose texts may quote a client.
_FOREIGN_LOGGERS = ("uvicorn", "asyncio", "mcp", "sse_starlette", "qdrant_rollouts.interfaces.http")


@dataclass(slots=True)
class _Repeat:
    written: float
    left_out: int = 0


class OncePerSecond(logging.Filter):
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: OrderedDict[object, _Repeat] = OrderedDict()
        self._guard = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        left_out = self._count_left_out(_record_kind(record))
        if left_out:
            said = record.getMessage().rstrip()
            record.msg = f"{said} ({left_out} more like it were left out)"
            record.args = ()
        return left_out is not None

    def _count_left_out(self, kind: object) -> int | None:
        """Returns None for a record that is not written; else how many before it were not."""
        now = self._clock()
        with self._guard:
            seen = self._seen.get(kind)
            if seen is not None and now - seen.written < WINDOW_SECONDS:
                seen.left_out += 1
                return None
            self._seen[kind] = _Repeat(now)
            self._seen.move_to_end(kind)
            while len(self._seen) > _MOST_REMEMBERED:
                self._seen.popitem(last=False)
            if seen is None:
                return 0
            return seen.left_out


def _record_kind(record: logging.LogRecord) -> object:
    line = record.pathname, record.lineno
    error = None
    if record.exc_info:
        error = record.exc_info[1]
    if error is not None:
        return line, type(error), getattr(error, "errno", None), _raise_place(error.__traceback__)
    if record.name.startswith(_FOREIGN_LOGGERS):
        return line
    return (line, record.getMessage())


def _raise_place(trace: TracebackType | None) -> tuple[str, int] | None:
    """Where the error was raised."""
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno
