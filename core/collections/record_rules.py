"""What the records of an index must bring, and the error that says which field is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qdrant_rollouts.core.collections.schema import dense_names, vector_names, vector_params
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.vector_kinds import kind_of
from qdrant_rollouts.core.ports import Schema

#: The field in which a record brings its vector, unless the index file names another.
VECTOR_FIELD = "vector"


@dataclass(frozen=True, slots=True)
class VectorRule:
    #: None: any size is taken, because the model that says it is not loaded.
    size: int | None
    cosine: bool = False
    #: For a multivector: rows of ``size`` numbers each.
    rows: bool = False


@dataclass(frozen=True, slots=True)
class RecordRules:
    """What one collection requires of its records, by vector name; the unnamed vector is ``""``.

    ``templates`` are the texts of made vectors, ``required`` the names that every record brings.
    """

    dense: Mapping[str, VectorRule]
    sparse: frozenset[str] = frozenset()
    templates: Mapping[str, str] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    #: None: no field is read as a vector.
    vector_field: str | None = VECTOR_FIELD

    @classmethod
    def of(
        cls, plan: VectorPlan, schema: Schema, vector_field: str | None = VECTOR_FIELD
    ) -> "RecordRules":
        dense = dense_names(schema)
        return cls(
            dense={name: _build_vector_rule(vector_params(schema, name)) for name in dense},
            sparse=frozenset(vector_names(schema)) - frozenset(dense),
            templates=plan.templates,
            required=plan.given,
            vector_field=vector_field,
        )

    @property
    def names(self) -> frozenset[str]:
        return self.sparse | self.dense.keys()


def _build_vector_rule(params: Mapping[str, Any]) -> VectorRule:
    return VectorRule(
        params["size"], params["distance"] == "Cosine", kind_of(params).name == "multi"
    )


class BadField(Exception):
    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field
        self.why = why
