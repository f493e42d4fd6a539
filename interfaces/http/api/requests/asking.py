"""Requests that ask two versions the same query, and that judge the answers."""

from typing import Annotated

from pydantic import Field, StringConstraints

from qdrant_rollouts.core.defaults import RESULTS
from qdrant_rollouts.core.operations.asking.bounds import (
    LONGEST_QUERY,
    LONGEST_REASON,
    MOST_ANSWERS,
    MOST_RELEVANT,
)
from qdrant_rollouts.core.ports.naming import LONGEST_NAME
from qdrant_rollouts.interfaces.http.api.endpoint import Body, Query
from qdrant_rollouts.interfaces.http.api.requests.fields import ReasonRequest

#: A query of a person, as it is asked and judged.
QueryText = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_QUERY)]
#: The name of a version; empty means the default.
VersionName = Annotated[str, StringConstraints(max_length=LONGEST_NAME)]
RecordId = int | Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Grade = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class AnswerComparisonQuery(Query):
    query: QueryText
    left: VersionName = Field(
        "",
        description="A version: its number, its collection or `live`. Without it, what serves.",
    )
    right: VersionName = Field(
        "",
        description="The other version. Without it, what a running deployment has built, else the "
        "version before the live one.",
    )
    limit: Annotated[int, Field(ge=1, le=MOST_ANSWERS)] = Field(
        RESULTS, description="How many answers of each."
    )


class JudgmentRequest(Body):
    query: QueryText
    relevant: (
        Annotated[list[RecordId], Field(min_length=1, max_length=MOST_RELEVANT)]
        | Annotated[dict[str, Grade], Field(min_length=1, max_length=MOST_RELEVANT)]
    ) = Field(description="As in the judged file: ids of records, or ids with grades from 0.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_REASON)] = Field(
        description="Why they are relevant; kept with the line and the events."
    )


class JudgmentRemovalRequest(ReasonRequest):
    query: QueryText
