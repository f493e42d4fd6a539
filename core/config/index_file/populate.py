"""The declaration about filling a new collection."""

from typing import Annotated, Literal

from pydantic import Field

from qdrant_rollouts.core.config.index_file.values import AtLeastOne, Strict
from qdrant_rollouts.core.defaults import MOST_SLICES


class PopulateSpec(Strict):
    """By how many workers one index is filled at the same time, and when only what has changed is
    written into a clone of the live collection; see ``core.deployments.steps.slicing`` and
    ``delta``."""

    #: Into how many slices the source is cut; ``auto``: as many as there are children of workers
    #: for bulk work, times ``bulk_share``.
    parallel: Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_SLICES, strict=True)] = "auto"
    #: The share of these children that one index may use.
    bulk_share: Annotated[float, Field(gt=0, le=1, strict=True)] = 1.0
    #: The share of the live collection's points that may change or leave in the way of delta.
    delta_at_most: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.2
    #: After so many of them in a row everything is written and indexed again.
    full_every: AtLeastOne = 7
