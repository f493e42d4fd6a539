"""Requests about experiments, and what users did."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from qdrant_rollouts.core.defaults import SPLIT
from qdrant_rollouts.interfaces.http.api.endpoint import Body
from qdrant_rollouts.interfaces.http.api.requests.fields import (
    Metrics,
    Name,
    Number,
    ReasonRequest,
    Share,
    Word,
)


class ExperimentPlanRequest(Body):
    rate: Number | None = Field(
        None, description="The primary metric now, as a share of users or with `deviation`."
    )
    deviation: Number | None = Field(
        None, description="How far users differ in it: one standard deviation."
    )
    users_per_day: Number | None = Field(None, description="New users a day.")
    split: Share = Field(SPLIT, description="The treatment's share.")
    metrics: Metrics = None
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further settings of the experiment."
    )


class ExperimentRequest(ReasonRequest):
    name: Word
    control: Name
    treatments: Annotated[list[Name], Field(min_length=1, max_length=10)]
    alias: Name | None = None
    split: Share = Field(SPLIT, description="The share of the treatments together.")
    metrics: Metrics = None
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further settings of the experiment."
    )
    start: bool = True


class CoverageRequest(ReasonRequest):
    coverage: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="Basis points of the users."
    )


class FeedbackRequest(Body):
    metric: Word
    value: Number
    variant: Annotated[str, StringConstraints(max_length=200)] = ""
    user_id: Word | None = None
    key: Word | None = Field(
        None, description="Names this piece of feedback: given twice, it is counted once."
    )
    query_id: Annotated[str, StringConstraints(max_length=200)] = ""
    document: Annotated[str, StringConstraints(max_length=2000)] | int = ""
