"""What is declared of the times at which something is done by itself."""

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


Jitter = Annotated[float, Field(ge=0, le=1440, allow_inf_nan=False, strict=True)]


class ScheduleSpec(Strict):
    """When something is done by itself: at the times that the cron line names in ``zone``."""

    cron: Annotated[str, AfterValidator(_check_cron_line)]
    zone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    #: Times that passed while nothing ran: made up for, all of them by one run, or left out once they are that late.
    misfire: Literal["once", "skip"] = "once"
    late_after_minutes: Seconds = 60
    #: The start is moved by up to so many minutes, for each index and time by others, so that not all begin at once.
    jitter_minutes: Jitter = 0
    #: What a time does that finds something under way on the index: left out, or its run begins after it.
    overlap: Literal["skip", "wait"] = "skip"
    #: Somebody is told when no run has succeeded for so long.
    success_within_hours: Positive | None = None


def _expand_cron_line(value: Any) -> Any:
    """A cron line by itself is a schedule with all else by default."""
    return {"cron": _check_cron_line(value)} if isinstance(value, str) else value


Scheduled = Annotated[ScheduleSpec | None, BeforeValidator(_expand_cron_line)]
