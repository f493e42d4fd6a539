"""The declaration about filling a new collection."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from qdrant_rollouts.core.config.index_file.values import AtLeastOne, Strict
from qdrant_rollouts.core.defaults import MOST_SLICES


def _check_parallel(value: Any) -> Any:
    """Gives one message for both kinds of value; pydantic's union would name the kinds in the
    path."""
    if value == "auto" or (type(value) is int and 1 <= value <= MOST_SLICES):
        return value
    raise ValueError(f'expected a whole number from 1 to {MOST_SLICES}, or "auto"')


def _check_share(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1:
        return value
    raise ValueError("expected a number greater than 0 and at most 1")


class PopulateSpec(Strict):
    """By how many workers one index is filled at the same time, and when only what has changed is
    written into a clone of the live collection; see ``core.deployments.steps.slicing`` and
    ``delta``."""

    #: Into how many slices the source is cut; ``auto``: as many as there are children of workers
    #: for bulk work, times ``bulk_share``.
    parallel: Annotated[
        Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_SLICES, strict=True)],
        BeforeValidator(_check_parallel),
    ] = "auto"
    #: The share of these children that one index may use.
    bulk_share: Annotated[float, Field(gt=0, le=1, strict=True), BeforeValidator(_check_share)] = (
        1.0
    )
    #: The share of the live collection's points that may change or leave in the way of delta.
    delta_at_most: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.2
    #: After so many of them in a row everything is written and indexed again.
    full_every: AtLeastOne = 7
