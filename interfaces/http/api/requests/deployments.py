"""Requests that plan, start and steer deployments, and that ask about them."""

from typing import Annotated, Any

from pydantic import Field

from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.operations.views.log_lines import Level
from qdrant_rollouts.interfaces.http.api.endpoint import Body, Query
from qdrant_rollouts.interfaces.http.api.requests.fields import (
    Name,
    PageQuery,
    ReasonRequest,
    Text,
    Word,
)


class DeploymentsQuery(PageQuery):
    status: Status | None = None


class LogQuery(Query):
    level: Level = Field("info", description="The least serious lines that are wanted.")


class DeploymentPlanRequest(Body):
    source: Text | None = Field(
        None,
        description="As in the index file, `python:` and `sql:` excepted; else the index file's.",
    )
    collection: Name | None = Field(
        None, description="Take this collection instead of building one."
    )
    strategy: Word | None = None
    validation_queries: Annotated[list[Text], Field(max_length=1000)] | None = None
    rollback_on_failure: bool | None = None
    options: dict[str, Any] = Field(
        default_factory=dict,
        description='Settings as in the index file, laid over it: `{"soak": {"seconds": 60}}`.',
    )

    @property
    def asked(self) -> dict[str, Any]:
        """Returns the arguments of the core's functions that start and plan a deployment."""
        return {
            "source": self.source,
            "strategy": self.strategy,
            "queries": self.validation_queries,
            "rollback_on_failure": self.rollback_on_failure,
            "collection": self.collection,
            "options": self.options,
        }


class DeploymentRequest(ReasonRequest, DeploymentPlanRequest):
    alias: Name


class RollbackRequest(ReasonRequest):
    to: Name | None = Field(
        None,
        description="A version: its number or collection. Without it, the last one that served and "
        "that no rollback has left and nobody has marked bad.",
    )
    force: bool = Field(False, description="Go to the version `to` although it is marked bad.")
    now: bool = Field(
        False,
        description="Move the alias first. What was written to the live collection since stays "
        "there and is listed.",
    )


class AbortRequest(ReasonRequest):
    keep: bool = Field(False, description="Ends the watch and leaves the new collection serving.")


class PromotionRequest(ReasonRequest):
    full: bool = Field(
        False, description="Past every stage and watch that is left; needs a reason, skips no gate."
    )
