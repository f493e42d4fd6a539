"""What a collection's strict mode allows: limits that somebody else has set, and that our own work
keeps to.

Rule: the fields have the names of Qdrant's settings, so that people can look them up. Only this
module decides what is sent to a collection, and how much of it at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

#: The part of a collection's rate that our own work takes. The rest is for applications.
SHARE = 0.5
#: The part of a minute's requests that one piece of work may take at once.
_AT_ONCE = 0.25
#: ``hnsw_ef`` of the search that replaces an exact one where exact searches are forbidden.
_WIDE = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """A field is None if there is no limit. Rates are requests a minute; a search counts as one, as
    does a page of any size.
    """

    max_query_limit: int | None = None
    search_allow_exact: bool | None = None
    search_max_hnsw_ef: int | None = None
    search_max_batchsize: int | None = None
    upsert_max_batchsize: int | None = None
    read_rate_limit: int | None = None
    write_rate_limit: int | None = None
    filter_max_conditions: int | None = None
    condition_max_size: int | None = None
    max_payload_index_count: int | None = None
    max_points_count: int | None = None
    max_collection_vector_size_bytes: int | None = None

    @classmethod
    def of(cls, strict: Mapping[str, Any] | None) -> Self:
        """The limits of a ``strict_mode_config``. A strict mode that is off sets no limits."""
        if not strict or not strict.get("enabled"):
            return cls()
        return cls(**{field.name: strict.get(field.name) for field in fields(cls)})

    @property
    def exact(self) -> bool:
        """Are exact searches and exact counts allowed?"""
        return self.search_allow_exact is not False

    @property
    def filters(self) -> bool:
        """May a request have a filter of one condition?"""
        return self.filter_max_conditions != 0

    @property
    def reads_per_second(self) -> float | None:
        """Our share of the rate."""
        if self.read_rate_limit is None:
            return None
        return SHARE * self.read_rate_limit / 60

    def page(self, most: int) -> int:
        """Points of one answer. If nothing may be read, 1 is returned and the server refuses the
        read.
        """
        return _smallest_limit(most, self.max_query_limit)

    def points_of_write(self, most: int) -> int:
        """Points of one write."""
        return _smallest_limit(most, self.upsert_max_batchsize)

    def ids(self, most: int) -> int:
        """Ids of one filter whose points are answered at once."""
        return _smallest_limit(most, self.max_query_limit, self.condition_max_size)

    def fetched_ids(self, most: int) -> int:
        """Ids that we may fetch at once: no more than our share of a minute's reads allows. A page
        with a filter counts as two reads; without filters each id counts as one."""
        reads = self.reads(60)
        if reads is None:
            return most
        if not self.filters:
            return min(most, reads)
        return min(most, max(1, reads // 2) * self.ids(most))

    def slices(self, depth: int) -> list[tuple[int, int]]:
        """A search for ``depth`` points as searches that are allowed: where each begins, and how
        many it answers.
        """
        most = self.page(depth)
        return [(start, min(most, depth - start)) for start in range(0, depth, most)]

    def searches(self, most: int, depth: int) -> int:
        """Searches of ``depth`` points that one piece of work may make at once."""
        if self.read_rate_limit is None:
            return most
        return _smallest_limit(
            most, int(_AT_ONCE * self.read_rate_limit) // len(self.slices(depth))
        )

    def reads(self, seconds: float) -> int | None:
        """How many requests we may make in that time; None for any number."""
        rate = self.reads_per_second
        if rate is None:
            return None
        return max(1, int(rate * seconds))

    @property
    def wide(self) -> dict[str, int]:
        """Parameters of the search that comes nearest to an exact one."""
        return {"hnsw_ef": _smallest_limit(_WIDE, self.search_max_hnsw_ef)}

    @property
    def reading(self) -> str:
        """The limits that decide how fast the collection can be read, for people."""
        named = ("max_query_limit", "read_rate_limit", "search_allow_exact")
        return ", ".join(
            f"{name} {_format_limit(getattr(self, name))}"
            for name in named
            if getattr(self, name) is not None
        )


def _smallest_limit(*limits: int | None) -> int:
    return max(1, min(limit for limit in limits if limit is not None))


def _format_limit(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
