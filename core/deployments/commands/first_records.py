"""Says before a deployment what it would find wrong with the first records of its source.

Rule: the records are read and judged by the code that plans a deployment, and no model is loaded.
So what only a model says is not checked: the pieces of a document, and the size of the vectors that
records bring in its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.recovered import backup_of
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.index_file import EmbeddingSpec, IndexSpec
from qdrant_rollouts.core.deployments.commands.deployments import Prepared
from qdrant_rollouts.core.deployments.commands.planning import (
    are_left_out,
    describe_bad_records,
    name_faults,
    open_context,
)
from qdrant_rollouts.core.deployments.commands.specs import inherit_model
from qdrant_rollouts.core.deployments.steps import (
    collections,
    reading,
    sample_records,
    source_sample,
)
from qdrant_rollouts.core.deployments.steps.source_sample import Bounds
from qdrant_rollouts.core.ports import Source
from qdrant_rollouts.core.services import Services

#: How much of a source is read.
FIRST = Bounds(100, 5.0)


@dataclass(frozen=True, slots=True)
class FirstRecords:
    """``read``: how many rows were read. ``all_read``: there are no others. ``bad``: what is wrong,
    and what a deployment would do about it; empty if nothing is. ``acceptable``: it goes on without
    the bad ones."""

    read: int
    all_read: bool
    bad: str
    acceptable: bool


@dataclass(frozen=True, slots=True)
class _UnloadedModel:
    """Stands in for a model. Its dimension is nobody's, and no rule uses it."""

    identity: str = ""
    dimension: int = 1


def has_records_to_check(source: Source) -> bool:
    """Returns whether each record must be valid, and can be read now. A backup is read after it was
    restored. Points of a collection may be taken as they are, which only the plan of a deployment
    can say."""
    return source.collection is None and backup_of(source.address) is None


def check_first_records(
    services: Services, alias: str, spec: IndexSpec, live: Mapping[str, str], source: Source
) -> FirstRecords:
    """Reads the first records of ``source``. Raises what a source raises, and Refused if no
    collection can be made for them."""
    blue = live.get(alias)
    settled = inherit_model(services, spec, blue)
    prepared = Prepared(settled, (), blue, source, None, ())
    context = open_context(replace(services, embedder=_stand_in), alias, prepared)
    opened = reading.open_deployment_source(context)
    with name_faults(source):
        design = collections.design_green(context)
        sample = source_sample.read_first(opened, FIRST)
    rules = RecordRules.of(design.vectors, design.schema, settled.vector_field)
    rules = _allow_sizes(rules, design.vectors)
    parts = sample_records.parse_sample(sample, design.vectors, rules)
    bad = sample_records.list_bad_records(parts)
    estimated = sample_records.estimate_bad_records(sample, parts)
    return FirstRecords(
        read=len(sample.rows),
        all_read=sample.complete,
        bad=describe_bad_records(settled, bad, estimated),
        acceptable=not bad or are_left_out(settled, estimated),
    )


def _stand_in(spec: EmbeddingSpec) -> Any:
    return _UnloadedModel()


def _allow_sizes(rules: RecordRules, plan: VectorPlan) -> RecordRules:
    """Returns the rules without the sizes that only models know."""
    dense = {
        name: replace(rule, size=None) if name in plan.made else rule
        for name, rule in rules.dense.items()
    }
    return replace(rules, dense=dense)
