"""Checks what the live collection makes impossible, by its strict mode or its metadata, before
anything is created."""

from math import ceil

from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.stamps import foreign_metadata
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.errors import Busy, Refused
from qdrant_rollouts.core.ports import Source
from qdrant_rollouts.core.services import Services

#: Points of a page, and seconds that reading a source may take.
_PAGE = 256
_LONGEST_SECONDS = 86_400


def check_limits(services: Services, spec: IndexSpec, blue: str | None, source: Source) -> None:
    """Raises Refused, naming the setting, for a deployment that the limits make impossible. The
    other limits are checked when green is created (``core.deployments.steps.limiting``)."""
    try:
        _check_metadata(services, blue or source.collection)
        if blue is not None:
            _check_indexes(services, spec, blue)
        if source.collection is not None:
            _check_reading(services, source.collection)
            if blue is not None:
                _check_points(services, blue, source.collection)
    except Busy:
        return


def _check_metadata(services: Services, model: str | None) -> None:
    if model is not None:
        foreign_metadata(services.store.metadata(model), model)


def _check_indexes(services: Services, spec: IndexSpec, blue: str) -> None:
    most = services.store.limits(blue).max_payload_index_count
    there = services.store.schema(blue).get("payload_schema") or {}
    wanted = {*there, *spec.collection.kept_indexes} - spec.collection.dropped_indexes
    if most is not None and len(wanted) > most >= len(there):
        raise Refused(
            f"strict mode of {blue} allows {most} payload indexes (max_payload_index_count), "
            f"{len(wanted)} are wanted "
            "with collection.payload_indexes: declare fewer, or raise max_payload_index_count of "
            f"{blue}"
        )


def _check_points(services: Services, blue: str, source: str) -> None:
    most = services.store.limits(blue).max_points_count
    points = estimate_points(services.store, source)
    if most is not None and points > most >= estimate_points(services.store, blue):
        raise Refused(
            f"strict mode of {blue} allows {most:,} points (max_points_count), {source} has "
            f"{points:,}: raise "
            f"max_points_count of {blue}"
        )


def _check_reading(services: Services, source: str) -> None:
    limits = services.store.limits(source)
    if limits.reads_per_second is None:
        return
    points = estimate_points(services.store, source)
    seconds = ceil(points / limits.page(_PAGE)) / limits.reads_per_second
    if seconds > _LONGEST_SECONDS:
        raise Refused(
            f"strict mode of {source} ({limits.reading}), with half of its rate left to "
            "applications, "
            f"makes reading its {points:,} points take {seconds / 3600:,.0f} hours: "
            f"raise read_rate_limit or max_query_limit of {source}"
        )
