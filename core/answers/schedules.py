"""Schedules and their runs."""

from typing import (
    Any,
    NotRequired,  # pydantic needs typing_extensions before Python 3.12
)

from typing_extensions import TypedDict

from qdrant_rollouts.core.answers.words import Moment


class Run(TypedDict):
    """``nominal_at`` is the time that the cron line names."""

    id: int
    nominal_at: Moment
    status: str
    message: str
    actor: str
    deployment_id: str | None
    created_at: Moment
    finished_at: Moment | None
    result: dict[str, Any]


class Schedule(TypedDict):
    """Has no times if ``status`` is off. ``next_at`` is when the next run begins.
    ``next_nominal_at`` is the time that the cron line names, which is earlier if there is a jitter.
    """

    alias: str
    action: str
    status: str
    cron: NotRequired[str]
    zone: NotRequired[str]
    misfire: NotRequired[str]
    late_after_minutes: NotRequired[float]
    jitter_minutes: NotRequired[float]
    overlap: NotRequired[str]
    if_paused: NotRequired[str]
    success_within_hours: NotRequired[float | None]
    changed: bool
    paused_by: str | None
    reason: str
    next_at: Moment | None
    next_nominal_at: Moment | None
    last_success_at: Moment | None
    overdue_since: Moment | None
    runs: list[Run]


class Schedules(TypedDict):
    schedules: list[Schedule]
