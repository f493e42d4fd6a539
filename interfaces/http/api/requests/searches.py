"""Searches through a route: of an index, or of an experiment."""

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from qdrant_rollouts.core.defaults import RESULTS
from qdrant_rollouts.core.ports.naming import LONGEST_NAME
from qdrant_rollouts.interfaces.http.api.endpoint import Body
from qdrant_rollouts.interfaces.http.api.requests.fields import Limit, Number, Word
from qdrant_rollouts.interfaces.http.api.requests.vectors import AnyVector


class SearchRequest(Body):
    query: Annotated[str, StringConstraints(min_length=1, max_length=20_000)] | None = Field(
        None, description="A text, embedded with the model of whatever collection answers."
    )
    vector: AnyVector = Field(
        None,
        description="Instead of `query`: of the kind that is searched, dense, a multivector or "
        "sparse.",
    )
    user_id: Word | None = Field(
        None, description="Whose search it is: one user is answered by the same collection."
    )
    limit: Limit = RESULTS

    @property
    def asked(self) -> Any:
        """Returns the text or the vector; exactly one of them is set."""
        asked = self.vector if self.query is None else self.query
        assert asked is not None
        return asked

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.query is None) == (self.vector is None):
            raise ValueError("expected either query or vector")
        return self


class IndexSearchRequest(SearchRequest):
    query_id: Annotated[str, StringConstraints(max_length=200)] = Field(
        "",
        description="The name of a search on two lists that were drafted into one; clicks are "
        "reported with it.",
    )
    filter: dict[str, Any] | None = Field(None, description="As Qdrant's REST API spells it.")
    using: Annotated[str, StringConstraints(max_length=LONGEST_NAME)] | None = Field(
        None, description="Another vector's name."
    )
    score_threshold: Number | None = None
    offset: Annotated[int, Field(ge=0, le=10_000)] = 0
