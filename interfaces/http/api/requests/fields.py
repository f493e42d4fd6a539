"""Types of fields that requests of several kinds have, and the request that has only a reason."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from qdrant_rollouts.core.defaults import MOST, ROWS
from qdrant_rollouts.core.ports.naming import LONGEST_NAME
from qdrant_rollouts.core.times import convert_to_utc
from qdrant_rollouts.interfaces.http.api.endpoint import Body, Query

Text = Annotated[str, StringConstraints(max_length=2000)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]
#: Of an alias or a collection, which others may have named.
Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Metrics = Annotated[list[Word | dict[str, Any]], Field(max_length=50)] | None

Limit = Annotated[int, Field(ge=1, le=MOST, description="How many.")]
Alias = Annotated[Name | None, Field(description="Only those of this index.")]
#: Of lists whose places are ids that grow.
Before = Annotated[
    Annotated[int, Field(ge=1, le=2**62)] | None,
    Field(description="The `next` of the page before."),
]
#: Without a zone it is UTC.
Time = Annotated[datetime, AfterValidator(convert_to_utc)] | None


class ReasonRequest(Body):
    reason: Text = Field("", description="Why; kept with the audit events.")


class IndexFilterQuery(Query):
    alias: Alias = None


class ListQuery(IndexFilterQuery):
    limit: Limit = ROWS


class PageQuery(ListQuery):
    after: Word | None = Field(None, description="The `next` of the page before.")
