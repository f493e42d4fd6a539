"""Requests that move aliases by hand, and that delete collections."""

from typing import Annotated

from pydantic import Field

from qdrant_rollouts.core.defaults import GRACE_MINUTES, LONGEST_GRACE_MINUTES, ORPHANS_MINUTES
from qdrant_rollouts.interfaces.http.api.requests.fields import Name, Number, ReasonRequest


class AliasCreationRequest(ReasonRequest):
    alias: Name
    collection: Name
    force: bool = Field(False, description="Repoint an alias that points elsewhere.")


class AliasSwitchRequest(ReasonRequest):
    collection: Name
    delete_old: bool = Field(
        False, description="Delete the old collection by the index's own rule."
    )


class CollectionDeletionRequest(ReasonRequest):
    grace_period_minutes: Annotated[Number, Field(ge=0, le=LONGEST_GRACE_MINUTES)] | None = Field(
        None,
        description=f"If not told, what its index says, and {GRACE_MINUTES:g} where it is of none.",
    )


class GarbageCollectionRequest(ReasonRequest):
    orphans: bool = Field(
        False,
        description=f"Delete orphans too, {ORPHANS_MINUTES:g} minutes from now; look at them "
        "first.",
    )
