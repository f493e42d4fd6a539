"""How a new collection is filled: what the choice depends on, and what it comes to."""

from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_rollouts.core.collections.stamps import MadeBy
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.ports import Schema


@dataclass(frozen=True, slots=True)
class NewCollection:
    """A collection that is to be filled. It may exist already. ``made`` says what makes each
    vector."""

    vectors: VectorPlan
    schema: Schema
    made: Mapping[str, MadeBy]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to fill it, and ``why`` it is this one, for people. If it does not ``embed``, all
    points are taken as they are. ``clones``: it takes room for a clone. ``note``: why it is not one
    that costs less, if there is such a way."""

    name: str
    why: str
    embeds: bool = True
    clones: bool = False
    note: str = ""
