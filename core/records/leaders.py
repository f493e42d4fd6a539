"""The collection that leads: what its records must bring, and how its vectors are made.

Rule: the collection itself says how its vectors are made. The index file may declare another model
already, which only the next version will have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from qdrant_rollouts.core.collections.makers import Maker, open_makers
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import Record
from qdrant_rollouts.core.collections.schema import vector_names
from qdrant_rollouts.core.collections.stamps import MadeBy, read_stamp
from qdrant_rollouts.core.collections.vectors import VectorPlan, WhenChanged
from qdrant_rollouts.core.config.index_file import CarriedSpec, IndexSpec, ServerVectorSpec
from qdrant_rollouts.core.deployments.commands.specs import join_names
from qdrant_rollouts.core.deployments.steps.record_vectors import (
    RecordVectors,
    VectorCounts,
    find_live_vectors,
)
from qdrant_rollouts.core.errors import Refused, Unknown
from qdrant_rollouts.core.ports import PointId, Schema
from qdrant_rollouts.core.ports.naming import check_found_name, shell_word
from qdrant_rollouts.core.sanitize.quoting import shorten_text
from qdrant_rollouts.core.services import Services


@dataclass(frozen=True, slots=True)
class Index:
    """``spec`` is None if the index file does not declare the index. ``shown`` is the collection
    that the alias shows."""

    alias: str
    spec: IndexSpec | None
    shown: str


@dataclass(frozen=True, slots=True)
class Leader:
    """``made`` says what makes each vector that is made from a text, by its name."""

    services: Services
    collection: str
    plan: VectorPlan
    rules: RecordRules
    made: Mapping[str, MadeBy]

    def make_vectors(
        self, records: Mapping[PointId, Record], *, whole: bool
    ) -> dict[PointId, dict[str, Any]]:
        """Returns the vectors of each record, by name: those that it brings, those that are made
        from its texts, and those that the index file carries over, if the records are ``whole``.
        Raises Refused if a model is not the one that made the collection, and for a vector that
        cannot be carried over."""
        plan = self.plan if whole else replace(self.plan, carried={})
        if not plan.carried and not any(record.texts for record in records.values()):
            return {id: dict(record.vectors) for id, record in records.items()}
        makers = open_makers(self.services, plan)
        for name, maker in makers.items():
            self._check_same_maker(name, maker)
        store = self.services.store
        there = None
        if plan.carried:
            there = find_live_vectors(store, self.collection, store.schema(self.collection))
        return RecordVectors(store, plan, makers, there, VectorCounts()).complete(records)

    def _check_same_maker(self, name: str, maker: Maker) -> None:
        """A name on the hub, a folder and a line of the index file can all change their meaning."""
        if maker.identity == self.made[name].identity:
            return
        raise Refused(
            f"{self.collection} was made with {self.made[name].identity}, and this process has "
            f"{maker.identity}: bring the model back that it was made with, or deploy again"
        )


def find_index(services: Services, alias: str) -> Index:
    """Raises Unknown for an alias that neither exists nor is declared, and Refused if nothing
    serves it yet."""
    check_found_name("alias", alias)
    declared = services.indexes()
    live = services.store.aliases()
    if alias in live:
        return Index(alias, declared.get(alias), live[alias])
    if alias in declared:
        raise Refused(
            f"nothing serves {alias} yet, so it takes no records: "
            f"`rollouts deploy {shell_word(alias)}` makes its first version"
        )
    known = join_names({*declared, *live})
    raise Unknown(
        f"alias {shorten_text(alias)} neither exists nor is declared in the index file; known: "
        f"{known}"
    )


def open_leader(services: Services, index: Index, collection: str) -> Leader:
    """Raises Unknown if the index is not managed, and Refused if nobody knows how its vectors are
    made, or if a record of it is several points."""
    stamp = read_stamp(services.store, collection)
    spec = index.spec or IndexSpec()
    name = shell_word(index.alias)
    if stamp is None and index.spec is None:
        raise Unknown(
            f"index {index.alias} is not managed: nobody declared it in the index file, and nobody "
            f"deployed it; declare it, or take it over with `rollouts adopt {name}`"
        )
    if stamp is None and _makes_vectors(spec):
        raise Refused(
            f"nobody wrote down which model made {collection}, so no vectors can be made for it: "
            f"`rollouts adopt {name}` finds out, or deploy the index"
        )
    made = stamp.made if stamp is not None else {}
    schema = services.store.schema(collection)
    plan = _plan_vectors(spec, schema, made)
    _check_unchunked(index.alias, plan)
    return Leader(services, collection, plan, RecordRules.of(plan, schema, spec.vector_field), made)


def _makes_vectors(spec: IndexSpec) -> bool:
    servers = [said for said in spec.vectors.values() if isinstance(said, ServerVectorSpec)]
    return bool(spec.models or servers)


def _plan_vectors(spec: IndexSpec, schema: Schema, made: Mapping[str, MadeBy]) -> VectorPlan:
    """The stamp says what is made. Of the other vectors the index file says which a record must
    bring, and which stay as they are; the only vector of a collection without a model must always
    be brought."""
    rest = set(vector_names(schema)) - made.keys()
    carried = {name: said for name in rest if (said := _when_changed(spec, name)) is not None}
    given = {name for name in rest if spec.vectors.get(name) == "given"}
    if not made and len(rest) == 1 and not rest & spec.vectors.keys():
        given = rest
    return VectorPlan(
        made={name: by.embedding for name, by in made.items() if by.embedding is not None},
        server_made={name: by.server for name, by in made.items() if by.server is not None},
        given=frozenset(given),
        optional=frozenset(rest - given - carried.keys()),
        carried=carried,
    )


def _when_changed(spec: IndexSpec, name: str) -> WhenChanged | None:
    """Returns what becomes of a carried vector whose record has changed; None if it is not
    carried."""
    said = spec.vectors.get(name)
    if isinstance(said, CarriedSpec):
        return said.carried.when_changed
    return "refuse" if said == "carried" else None


def _check_unchunked(alias: str, plan: VectorPlan) -> None:
    if any(embedding.chunk is not None for embedding in plan.made.values()):
        raise Refused(
            f"{alias} cuts its records into chunks (embedding.chunk), so a record is several "
            "points: write it to the source and deploy the index, or declare an index without "
            "chunk and send each chunk as a record"
        )
