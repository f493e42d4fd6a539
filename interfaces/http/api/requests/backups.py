"""Requests for backups."""

from typing import Annotated

from pydantic import Field

from qdrant_rollouts.interfaces.http.api.requests.fields import Name, ReasonRequest


class BackupRequest(ReasonRequest):
    alias: Name
    keep: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None,
        description="Of this alias so many are left; the oldest are removed when this one is made.",
    )
