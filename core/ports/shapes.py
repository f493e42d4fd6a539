"""Types that several ports share: points, hits, settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float32]
else:
    FloatArray = Any  # code that only names the type, as every port does, loads no numpy

PointId = int | str
#: A dense vector, or an object of named vectors as Qdrant's REST API spells them.
Vector = Sequence[float] | FloatArray | Mapping[str, Any]
#: A collection's settings as ``GET /collections/{c}`` returns them; see
#: ``core.collections.schema``.
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ServerText:
    """A text in a vector's place: the server makes the vector of it. ``model`` and ``options`` are
    the server's."""

    text: str
    model: str
    options: Mapping[str, Any]


#: How lists of results become one: by rank, or by scores brought to one scale. Qdrant's own names.
Fusion = Literal["rrf", "dbsf"]

#: One vector of any kind, as a search asks it: numbers, rows of numbers for a multivector, a sparse
#: vector's ``indices`` and ``values``, or a text that the server makes it of; see
#: ``core.config.vector_kinds``.
OneQuery = Sequence[float] | Sequence[Sequence[float]] | FloatArray | Mapping[str, Any] | ServerText


@dataclass(frozen=True, slots=True)
class Part:
    """One of the searches that are fused: the vector asked, by its name, and how many results it
    gives."""

    using: str
    vector: OneQuery
    limit: int


@dataclass(frozen=True, slots=True)
class Fused:
    """Several searches whose results become one list."""

    parts: tuple[Part, ...]
    fusion: Fusion


#: What a search can ask: one vector, or several whose results are fused.
QueryVector = OneQuery | Fused


@dataclass(frozen=True, slots=True)
class Point:
    id: PointId
    vector: Vector
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Hit:
    id: PointId
    score: float
    payload: dict[str, Any]
