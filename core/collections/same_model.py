"""Did the same model make two collections? This module decides it for the gate, and for searches by
vector in canaries, shadow stages and experiments.

Rule: a model that nobody recorded is unknown, and unknown is never the same. Only if neither side
has a model is the application responsible for the vectors; then collections that accept the same
vectors get the same searches.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

from qdrant_rollouts.core.collections.schema import are_asked_alike, meant_vector, vector_names
from qdrant_rollouts.core.collections.stamps import Stamp
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.ports import Schema

#: ``own``: the application is responsible. ``unknown``: a model made one side, and the other side's
#: model is not known.
Relation = Literal["same", "other", "unknown", "own"]


@dataclass(frozen=True, slots=True)
class VectorOrigin:
    """What is known about the origin of one vector of a collection. ``known``: the collection's
    stamp, or a sample that was embedded again, tells the origin; without an ``identity`` the vector
    came with the records."""

    known: bool = False
    identity: str | None = None

    @classmethod
    def of(cls, stamp: Stamp | None, schema: Schema, vector: str) -> Self:
        if stamp is None or vector in unknown_vectors(stamp, schema):
            return cls()
        made = {meant_vector(schema, name): by.identity for name, by in stamp.made.items()}
        return cls(known=True, identity=made.get(vector))


def unknown_vectors(stamp: Stamp | None, schema: Schema) -> frozenset[str]:
    """Returns the vectors of a collection of which nobody knows what made them."""
    if stamp is None:
        return frozenset(vector_names(schema))
    return frozenset(meant_vector(schema, name) for name in stamp.unknown)


def relate_origins(one: VectorOrigin, other: VectorOrigin, *, declared: bool) -> Relation:
    """``declared``: the index file says that a model makes this vector."""
    if one.identity is None and other.identity is None:
        if declared and not (one.known or other.known):
            return "unknown"
        return "own"
    if one.identity == other.identity:
        return "same"
    if all(made.known for made in (one, other)):
        return "other"
    return "unknown"


def can_share_vectors(found: Relation, one: Schema, other: Schema, vector: str) -> bool:
    """Does a vector mean the same to both, so that a search by it may go to either?"""
    return found == "same" or (found == "own" and are_asked_alike(one, other, vector))


def declared_vectors(models: Iterable[EmbeddingSpec], schema: Schema) -> frozenset[str]:
    """Returns the vectors of a collection that a model makes according to the index file."""
    return frozenset(meant_vector(schema, model.vector) for model in models)
