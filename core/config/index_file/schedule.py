"""The declarations about times at which an action runs automatically."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from qdrant_rollouts.core.config import cron
from qdrant_rollouts.core.config.index_file.values import Positive, Seconds, Strict


def _check_cron_line(line: str) -> str:
    cron.parse_cron(line)
    return line


def _check_zone(name: str) -> str:
    cron.parse_zone(name)
    return name


#: Times that passed while nothing ran: one run makes up for all of them, or they are left out once
#: they are too late.
Misfire = Literal["once", "skip"]
#: What happens if something else is running on the index: the time is left out, or its run begins
#: afterwards.
Overlap = Literal["skip", "wait"]
#: What happens if the run before has built a collection and its gate cannot tell: this run takes
#: its place, or the time is left out. A run that a person has touched is left alone.
IfPaused = Literal["replace", "skip"]
Jitter = Annotated[float, Field(ge=0, le=1440, allow_inf_nan=False, strict=True)]


class ScheduleSpec(Strict):
    """When an action runs: at the times that the cron line names in ``zone``."""

    cron: Annotated[str, AfterValidator(_check_cron_line)]
    zone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    misfire: Misfire = "once"
    late_after_minutes: Seconds = 60
    #: The start is delayed by up to this many minutes, differently for each index and time, so that
    #: not all begin at once.
    jitter_minutes: Jitter = 0
    overlap: Overlap = "skip"
    #: An alert is sent when no run has succeeded for this long.
    success_within_hours: Positive | None = None


class RebuildSpec(ScheduleSpec):
    """When an index is rebuilt."""

    if_paused: IfPaused = "replace"


def _expand_cron_line(value: Any) -> Any:
    """A plain cron line is a schedule with defaults for everything else."""
    if isinstance(value, str):
        return {"cron": _check_cron_line(value)}
    return value


Scheduled = Annotated[ScheduleSpec | None, BeforeValidator(_expand_cron_line)]
ScheduledRebuild = Annotated[RebuildSpec | None, BeforeValidator(_expand_cron_line)]
