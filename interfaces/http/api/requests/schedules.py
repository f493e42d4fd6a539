"""Requests that change schedules."""

from typing import Annotated

from pydantic import Field

from qdrant_rollouts.core.config.index_file.schedule import IfPaused, Misfire, Overlap
from qdrant_rollouts.interfaces.http.api.requests.fields import Number, ReasonRequest, Word


class ScheduleChangeRequest(ReasonRequest):
    """Keys that are not sent keep their values."""

    cron: Word | None = None
    zone: Word | None = None
    misfire: Misfire | None = None
    late_after_minutes: Annotated[Number, Field(ge=0)] | None = None
    jitter_minutes: Annotated[Number, Field(ge=0, le=1440)] | None = None
    overlap: Overlap | None = None
    if_paused: IfPaused | None = Field(None, description="Of a rebuild only.")
    success_within_hours: Annotated[Number, Field(gt=0)] | None = None
