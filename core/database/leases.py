"""When a lease is free again, on a clock that may be set back.

Rule: each time is compared with what is possible. A lease that ends later than any lease can last
was written before the clock was set back, and is over. Its holder is stopped by its own fence.
"""

import os
import socket
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_

#: A transaction may last this long between reading the clock and its end, so a time this far ahead
#: is not a jump.
SLACK = timedelta(seconds=5)


def name_owner() -> str:
    """Returns the owner of a lease: this process, on this machine."""
    return f"{socket.gethostname()}:{os.getpid()}"


def free(column: Any, now: datetime, longest: timedelta) -> ColumnElement[bool]:
    """For a query: nobody holds the lease, or it is over. ``longest`` is the longest time that a
    lease lasts."""
    return or_(column.is_(None), column < now, column > now + longest + SLACK)


def lasts(until: datetime | None, now: datetime, longest: timedelta) -> bool:
    """For a single time: whether it must still be waited for."""
    return until is not None and now <= until <= now + longest + SLACK
