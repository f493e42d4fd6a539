"""The declaration about filling a new collection."""

from typing import Annotated

from pydantic import Field

from qdrant_rollouts.core.config.index_file.values import AtLeastOne, Strict


class PopulateSpec(Strict):
    """When only what has changed is written into a clone of the live collection; see
    ``core.deployments.steps.delta``."""

    #: The share of the live collection's points that may change or leave in this way.
    delta_at_most: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.2
    #: After so many of them in a row everything is written and indexed again.
    full_every: AtLeastOne = 7
