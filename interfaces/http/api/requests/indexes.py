"""Requests about an index, its versions and its charts."""

from typing import Annotated

from pydantic import Field, StringConstraints

from qdrant_rollouts.core.defaults import COMPARED, INDEXES
from qdrant_rollouts.core.operations.views.charts.axis import DEFAULT_PERIOD, PeriodName
from qdrant_rollouts.core.ports.naming import LONGEST_NAME
from qdrant_rollouts.interfaces.http.api.endpoint import Query
from qdrant_rollouts.interfaces.http.api.requests.fields import Limit, Name, ReasonRequest


class IndexesQuery(Query):
    limit: Limit = INDEXES
    after: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME + 2)] | None = (
        Field(None, description="The `next` of the page before: a rank, a colon and a name.")
    )


class DiffQuery(Query):
    one: Name = Field(description="A version: its number, its collection or `live`.")
    other: Name = Field(description="The version it is compared with.")
    sample: Annotated[int, Field(ge=1, le=10_000)] = Field(
        COMPARED, description="Records to compare."
    )


class ChartsQuery(Query):
    period: PeriodName = Field(
        DEFAULT_PERIOD,
        description="How long until now: up to a day by minutes, after that by hours.",
    )


class MarkRequest(ReasonRequest):
    version: Name = Field(description="Its number, its collection or `live`.")
    bad: bool = Field(True, description="False takes the mark back. A bad one needs a reason.")


class AdoptionRequest(ReasonRequest):
    collection: Name | None = Field(None, description="Another than the one the alias points to.")
    trust: bool = Field(
        False, description="Take the declared model though it makes other vectors than are stored."
    )
