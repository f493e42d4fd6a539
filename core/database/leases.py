"""When what somebody holds for a while is free again, on a clock that may be set back.

Rule: a time is measured against what it can be. A lease that ends later than any lease lasts was written by a clock
that has been set back since, and is over: whoever holds it has a fence of his own.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_

#: A transaction may last so long between its look at the clock and its end; so far ahead is no jump.
SLACK = timedelta(seconds=5)


def free(column: Any, now: datetime, longest: timedelta) -> ColumnElement[bool]:
    """Of rows: nobody holds it, or no longer. ``longest`` is what a lease lasts at most."""
    return or_(column.is_(None), column < now, column > now + longest + SLACK)


def lasts(until: datetime | None, now: datetime, longest: timedelta) -> bool:
    """Of one time: whether it is still waited for."""
    return until is not None and now <= until <= now + longest + SLACK
