"""Cron lines and the moments they name, in any time zone.

Rule: fields are read as POSIX ``crontab`` reads them; where day of month and day of week are both restricted, a day
that fits either is meant. What a change of the clocks does is cron(8)'s rule: a line with ``*`` for the hour follows
the hours as they pass, so the missing one has no run and the doubled one has two; any other line names times of the
wall clock, each once a day. Such a time that is missing is read with the offset before the gap, one that comes twice
means the first (RFC 5545, 3.3.5).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.quoting import quoted

#: The fields of a cron line and their bounds; Sunday is 0.
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 6))
_PART = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(0*[1-9]\d*))?")
_DAY = timedelta(days=1)
#: 29 February may be eight years off (1896 to 1904, 2096 to 2104).
_HORIZON = 366 * 8 + 2
#: No zone is further from UTC: what a later local day names is not before this hour, UTC, of the day before.
_SETTLED = time(8, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cron:
    """``hourly``: the hour is ``*``. ``either``: both kinds of day are restricted."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    hourly: bool
    either: bool

    def on(self, day: date) -> bool:
        by_date, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (by_date or by_week if self.either else by_date and by_week)


def parse(line: str) -> Cron:
    """Raises ValueError, saying what was expected, also for a line that names no moment at all."""
    fields = line.split()
    if len(fields) != len(_FIELDS):
        raise ValueError('expected five cron fields, minute first, such as "0 2 * * *"')
    minutes, hours, days, months, weekdays = (
        _numbers(text, *field) for text, field in zip(fields, _FIELDS, strict=True)
    )
    either = fields[2][0] != "*" and fields[4][0] != "*"
    made = Cron(minutes, hours, days, months, weekdays, hourly=fields[1] == "*", either=either)
    if next(nominal_times(made, ZoneInfo("UTC"), datetime(2026, 1, 1, tzinfo=UTC)), None) is None:
        raise ValueError("expected a day that exists; no month it names has such a day")
    return made


def zone(name: str) -> ZoneInfo:
    """Raises ValueError for a name that is in no time zone database."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected UTC or a time zone such as Europe/Berlin") from None


def nominal_times(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The moments after ``after`` that ``cron`` names in ``zone``: UTC, in order, each once, for eight years."""
    first = after.astimezone(zone).date() - _DAY
    pending: set[datetime] = set()
    for number in range(_HORIZON):
        day = first + number * _DAY
        pending.update(moment for moment in _of_day(cron, zone, day) if moment > after)
        settled = sorted(moment for moment in pending if moment < datetime.combine(day, _SETTLED))
        pending.difference_update(settled)
        yield from settled


def _of_day(cron: Cron, zone: ZoneInfo, day: date) -> Iterable[datetime]:
    if not cron.on(day):
        return
    for hour, minute in product(cron.hours, cron.minutes):
        wall = datetime.combine(day, time(hour, minute))
        yield from _passing(wall, zone) if cron.hourly else (wall.replace(tzinfo=zone).astimezone(UTC),)


def _passing(wall: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Every moment at which a clock in ``zone`` shows ``wall``: none, one or two."""
    for fold in (0, 1):
        moment = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
            yield moment


def _numbers(text: str, name: str, low: int, high: int) -> frozenset[int]:
    """What one field names: ``*``, numbers, ranges and steps, separated by commas; ``5/15`` is ``5-59/15``."""
    ranges = [_range(part, low, high) for part in map(_PART.fullmatch, text.split(","))]
    if not all(part and low <= part[0] <= part[-1] <= high for part in ranges):
        raise ValueError(f"{name} is {quoted(text)}; expected *, numbers from {low} to {high}, ranges or steps")
    return frozenset(number for part in ranges for number in part)


def _range(part: re.Match[str] | None, low: int, high: int) -> range:
    if part is None:
        return range(0)
    start, end, step = part.groups()
    first = int(start) if start else low
    last = int(end) if end else (high if step or not start else first)
    return range(first, last + 1, int(step or 1))
