"""Requests about audit events and alerts: what happened, and what people were told."""

from pydantic import Field

from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.interfaces.http.api.endpoint import Query
from qdrant_rollouts.interfaces.http.api.requests.fields import (
    Before,
    ListQuery,
    ReasonRequest,
    Time,
    Word,
)


class EventsQuery(ListQuery):
    deployment: Word | None = Field(None, description="Only those of this deployment.")
    event: Word | None = Field(
        None, description="A kind such as `deployment.live`, or its first part: `deployment`."
    )
    actor: Word | None = Field(None, description="Part of the actor's name.")
    text: Word | None = Field(None, description="Part of what happened, or of the reason.")
    since: Time = Field(None, description="Only those from then on.")
    until: Time = Field(None, description="Only those up to then.")
    before: Before = None


class StreamQuery(Query):
    alias: Word | None = None
    deployment: Word | None = None


class AlertsQuery(ListQuery):
    severity: Severity | None = None
    alert: Word | None = Field(
        None, description="A name such as `deployment.failed`, or its first part: `deployment`."
    )
    since: Time = Field(None, description="Only those that were sent from then on.")
    before: Before = None


class AlertTestRequest(ReasonRequest):
    channel: Word | None = Field(
        None, description="One channel of the index file, else all of them."
    )
