"""Cron lines and the times that they name, in any time zone.

Rule: cronsim reads the fields, as Debian's cron does. If both day of month and day of week are
restricted, a day that matches either counts. This module handles changes of the clocks. A line that
names every hour follows the hours as they pass: the missing hour has no run and the doubled hour
has two. Any other line names times of the wall clock, each once a day: a missing time is read with
the offset before the gap, and of a time that comes twice the first counts (RFC 5545, 3.3.5).
"""

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from qdrant_rollouts.core.sanitize.quoting import quote_value

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
#: The fields of a cron line, and the allowed values of each.
_FIELDS = {
    "minute": "numbers from 0 to 59",
    "hour": "numbers from 0 to 23",
    "day of month": "numbers from 1 to 31, L for the last",
    "month": "numbers from 1 to 12, names such as JAN",
    "day of week": "numbers from 0 to 7 (0 and 7 are Sunday), names such as MON",
}
#: ``42-42/5`` means 42, but cronsim reads it as ``42/5``.
_ALONE = re.compile(r"(?<![^,\s])(\w+)-\1/[1-9]\d*(?![^,\s])")
_EXPECTED = 'expected five cron fields, minute first, such as "0 2 * * *"'
_NAMES = ", ".join(_NAMED)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
#: No time zone is further ahead of UTC.
_AHEAD = timedelta(hours=16)


@dataclass(frozen=True, slots=True)
class Cron:
    """``line`` has five fields. ``hourly``: it names every hour."""

    line: str
    hourly: bool


def parse_cron(line: str) -> Cron:
    """Raises ValueError, saying what was expected, also for a line that names no time at all."""
    written = _ALONE.sub(r"\1", _NAMED.get(line.strip().lower(), line))
    fields = written.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(_describe_wrong_count(fields))
    for at, name in enumerate(_FIELDS):
        _check_field(name, fields[at], ["*"] * at + [fields[at]] + ["*"] * (len(_FIELDS) - 1 - at))
    try:
        read = CronSim(written, datetime(2026, 1, 1))  # noqa: DTZ001 - of any zone
        next(read)
    except (CronSimError, StopIteration):
        raise ValueError("expected a day that exists; no month it names has such a day") from None
    return Cron(written, hourly=len(read.hours) == 24)


def _describe_wrong_count(fields: list[str]) -> str:
    if any("=" in field for field in fields):
        return f"{_EXPECTED}; a time zone is written under `zone`"
    if len(fields) == 6:
        return f"{_EXPECTED}; there is no field for seconds or years"
    return f"{_EXPECTED}, or one of {_NAMES}"


def _check_field(name: str, text: str, alone: list[str]) -> None:
    """``alone`` is a line in which only this field is restricted."""
    try:
        CronSim(" ".join(alone), datetime(2026, 1, 1))  # noqa: DTZ001 - of any zone
    except (CronSimError, ValueError):  # int() raises ValueError for thousands of digits
        expected = f"expected *, {_FIELDS[name]}, ranges that go upwards, or steps"
        raise ValueError(f"{name} is {quote_value(text)}; {expected}") from None


def parse_zone(name: str) -> ZoneInfo:
    """Raises ValueError for a name that is not in the time zone database."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected UTC or a time zone such as Europe/Berlin") from None


def nominal_times(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yields the times after ``after`` that ``cron`` names in ``zone``: UTC, in order, each once.

    They end if the line names no time for fifty years. A time that is missing on the wall clock
    comes up to a day later than its neighbours, so a time is held back until no earlier one can
    come.
    """
    begin = datetime.combine(after.astimezone(zone).date() - _DAY, time()) - _SECOND
    waiting: list[datetime] = []
    last = after
    for wall in CronSim(cron.line, begin):
        while waiting and waiting[0] < (wall - _AHEAD).replace(tzinfo=UTC):
            moment = heapq.heappop(waiting)
            if moment > last:
                last = moment
                yield moment
        for moment in _list_moments(cron, zone, wall):
            heapq.heappush(waiting, moment)
    yield from sorted({moment for moment in waiting if moment > last})


def _list_moments(cron: Cron, zone: ZoneInfo, wall: datetime) -> Iterator[datetime]:
    if cron.hourly:
        return _list_passing_moments(wall, zone)
    return iter((wall.replace(tzinfo=zone).astimezone(UTC),))


def _list_passing_moments(wall: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Returns every moment at which a clock in ``zone`` shows ``wall``: none, one or two."""
    for fold in (0, 1):
        moment = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
            yield moment


def next_time(line: str, where: str, after: datetime) -> datetime | None:
    """Returns None if the line names no time in fifty years."""
    return next(nominal_times(parse_cron(line), parse_zone(where), after), None)
