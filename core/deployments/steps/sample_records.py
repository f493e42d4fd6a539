"""The records of a sample, and what is wrong with its other rows."""

from collections.abc import Sequence

from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import (
    BadRecord,
    Record,
    duplicate_id_fault,
    parse_row,
)
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.deployments.steps.loading import drop_remade_vectors
from qdrant_rollouts.core.deployments.steps.source_sample import Sample, Stretch
from qdrant_rollouts.core.ports import PointId
from qdrant_rollouts.core.statistics import extrapolation
from qdrant_rollouts.core.statistics.extrapolation import Place
from qdrant_rollouts.core.statistics.intervals import Interval


def parse_sample(
    sample: Sample, plan: VectorPlan, rules: RecordRules
) -> list[list[Record | BadRecord]]:
    """Returns the records of each part of the sample, or what is wrong with them."""
    return [_parse_part(part, plan, rules) for part in sample.parts]


def list_bad_records(parts: Sequence[Sequence[Record | BadRecord]]) -> list[BadRecord]:
    return [one for part in parts for one in part if isinstance(one, BadRecord)]


def _parse_part(part: Stretch, plan: VectorPlan, rules: RecordRules) -> list[Record | BadRecord]:
    """A later record with the same id is a bad one. Places may overlap, so two of them may have the
    same record."""
    found: list[Record | BadRecord] = []
    known: dict[PointId, str] = {}
    for row in part.rows:
        one = parse_row(drop_remade_vectors(plan, row), rules)
        if isinstance(one, Record) and one.point_id in known:
            one = duplicate_id_fault(one, known[one.point_id])
        elif isinstance(one, Record):
            known[one.point_id] = one.where
        found.append(one)
    return found


def estimate_bad_records(
    sample: Sample, parts: Sequence[Sequence[Record | BadRecord]]
) -> Interval | None:
    number = sample.records
    if number is None or not parts:
        return None
    bad = [Place(len(part), sum(isinstance(one, BadRecord) for one in part)) for part in parts]
    return extrapolation.estimate_share(number, bad)
