"""The declaration about filling a new collection."""

from typing import Annotated, Literal

from pydantic import Field

from qdrant_rollouts.core.config.index_file.values import Strict
from qdrant_rollouts.core.defaults import MOST_SLICES


class PopulateSpec(Strict):
    """By how many workers one index is filled at the same time; see
    ``core.deployments.steps.slicing``."""

    #: Into how many slices the source is cut; ``auto``: as many as there are children of workers
    #: for bulk work, times ``bulk_share``.
    parallel: Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_SLICES, strict=True)] = "auto"
    #: The share of these children that one index may use.
    bulk_share: Annotated[float, Field(gt=0, le=1, strict=True)] = 1.0
