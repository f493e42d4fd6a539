"""The declaration of the search that a text becomes."""

from typing import Literal

from pydantic import field_validator

from qdrant_rollouts.core.config.index_file.values import AtLeastOne, Strict
from qdrant_rollouts.core.sanitize.quoting import quote_value


class PrefetchSpec(Strict):
    """One vector to search; ``limit`` is how many of its results are fused, None for as many as
    needed."""

    vector: str
    limit: AtLeastOne | None = None


class SearchSpec(Strict):
    """Without ``prefetch``: every vector that is made from text."""

    prefetch: tuple[PrefetchSpec, ...] = ()
    fusion: Literal["rrf", "dbsf"] = "rrf"

    @field_validator("prefetch")
    @classmethod
    def _check_each_once(cls, prefetch: tuple[PrefetchSpec, ...]) -> tuple[PrefetchSpec, ...]:
        names = [one.vector for one in prefetch]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(
                f"vector {quote_value(twice)} appears twice; expected each vector once"
            )
        return prefetch
