"""The kinds of vectors a collection can have, and everything in which they differ. ``KINDS`` has
one of each.

Rule: code that handles a vector asks its kind. No other code counts the dimensions of an array or
tests whether a vector is a mapping. A vector is what a point has under one name: float32[size],
float32[rows, size] for a multivector, or a sparse vector's ``indices`` and ``values``. ``params``
are its settings in the collection's schema.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qdrant_rollouts.core.late import Library
from qdrant_rollouts.core.ports import FloatArray, OneQuery

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    _Numbers = npt.NDArray[np.float64]
else:
    np = Library("numpy")

#: Two vectors of one text agree at least this well, in whatever batch they were made and as
#: whatever float they were stored.
_SAME_COSINE = 0.999
_SAME_LENGTH = 5e-3
#: Two vectors that one model makes of one text agree at least this well if one was stored with 4
#: bits per number. With 8 bits, float16 or bfloat16, or a model that runs in bfloat16, it is
#: 0.9999. Of 1,200 texts, 1 in 25 has a neighbour this near; the vector of the adjacent text came
#: no nearer than 0.974 (all-MiniLM-L6-v2).
_RESEMBLING_COSINE = 0.98
_RESEMBLING_LENGTH = 0.05
#: Values of a sparse vector are stored unchanged, as float32.
_SAME_VALUE = 1e-6
#: A shorter vector has no direction (validation-gate, section 3).
_NO_LENGTH = 1e-6
#: Scores of one pair differ by up to this share between requests; with float16 by more.
_TIE = 1e-6
_TIE_FLOAT16 = 1e-3

Params = Mapping[str, Any]


class Kind(ABC):
    """``made``: a text model makes it. ``lazily``: the server indexes it only once there are many;
    otherwise at once. ``without``: checks that are not planned by default, because they say nothing
    about such vectors."""

    name: str
    made = False
    lazily = True
    without: frozenset[str] = frozenset({"score_floor"})

    @abstractmethod
    def rows(self, vector: Any) -> FloatArray:
        """Returns all its numbers, float32[rows, numbers]; one row unless it is a multivector."""

    @abstractmethod
    def describe(self, params: Params) -> str:
        """Describes in words what the vector must be."""

    @abstractmethod
    def fits(self, params: Params, vector: Any) -> bool:
        """Is the vector of this kind and size?"""

    def answers(self, params: Params, query: Any) -> bool:
        """Can it be searched with this query vector?"""
        return self.fits(params, query)

    @abstractmethod
    def same(self, params: Params, wanted: Any, stored: Any) -> bool:
        """Are both the vector of one text, as far as the collection's settings preserve it?"""

    def resembles(self, params: Params, made: Any, stored: Any) -> bool:
        """Could a model have made the stored vector, at whatever precision it was stored?"""
        return self.same(params, made, stored)

    @abstractmethod
    def own_score(self, params: Params, vector: Any) -> float | None:
        """Returns the vector's score against itself; None if only the server knows it."""

    def count(self, vector: Any) -> int:
        return len(self.rows(vector))

    def digest(self, vector: Any) -> str:
        """Returns a digest that is equal for vectors with equal numbers."""
        return _digest_arrays(self.rows(vector))

    def finite(self, vector: Any) -> bool:
        return bool(np.isfinite(self.rows(vector)).all())

    def zero(self, params: Params, vector: Any) -> bool:
        """Does it lack a direction although the distance needs one? Where smaller scores are
        better, the origin is a normal point."""
        return self.rising(params) and not self._find_long_rows(vector).all()

    def empty(self, vector: Any) -> bool:
        """Is there nothing to search with, as in the sparse vector of a text without a known
        word?"""
        return False

    def askable(self, vector: Any) -> bool:
        return self.finite(vector) and not self.empty(vector)

    def rising(self, params: Params) -> bool:
        """Is a higher score better?"""
        return params.get("distance") in {"Cosine", "Dot"}

    def beatable(self, params: Params) -> bool:
        """May another vector rightly score better than the vector itself?"""
        return params.get("distance") == "Dot"

    def sure(self, params: Params) -> bool:
        """Does a good index find nearly every point by its own vector? Not if others may score
        better, nor with maximum similarity: those are not distances, which the links of a graph
        rely on."""
        return not self.beatable(params)

    def tie(self, params: Params) -> float:
        """Scores that differ by at most this share are equal."""
        if params.get("datatype") == "float16":
            return _TIE_FLOAT16
        return _TIE

    def _find_long_rows(self, vector: Any) -> npt.NDArray[np.bool_]:
        """Returns for each row whether it is long enough to have a direction."""
        found: npt.NDArray[np.bool_] = np.linalg.norm(self.rows(vector), axis=1) >= _NO_LENGTH
        return found


class Dense(Kind):
    """A list of numbers."""

    name = "dense"
    made = True
    without = frozenset()

    def rows(self, vector: Any) -> FloatArray:
        return np.atleast_2d(np.asarray(vector, dtype=np.float32))

    def describe(self, params: Params) -> str:
        return f"{params['size']} numbers"

    def fits(self, params: Params, vector: Any) -> bool:
        return _array_shape(vector) == (params["size"],)

    def answers(self, params: Params, query: Any) -> bool:
        """Does not convert a list to an array: every user's search passes here, and the server
        checks the numbers."""
        return (
            not isinstance(query, Mapping)
            and len(query) == params["size"]
            and not hasattr(query[0], "__len__")
        )

    def same(self, params: Params, wanted: Any, stored: Any) -> bool:
        return _array_shape(wanted) == _array_shape(stored) and _are_alike(
            params, self.rows(wanted), self.rows(stored)
        )

    def resembles(self, params: Params, made: Any, stored: Any) -> bool:
        """For whole numbers from 0 to 255 nobody knows which numbers of the model they stand
        for."""
        if params.get("datatype") == "uint8":
            return True
        if _array_shape(made) != _array_shape(stored):
            return False
        rows = zip(
            self.rows(made).astype(np.float64), self.rows(stored).astype(np.float64), strict=True
        )
        return all(
            _is_same_row(params, one, other, _RESEMBLING_COSINE, _RESEMBLING_LENGTH)
            for one, other in rows
        )

    def own_score(self, params: Params, vector: Any) -> float | None:
        """Uses maximum similarity, as searches of multivectors do: each row counts with its nearest
        row."""
        if params.get("distance") != "Dot":
            return None
        rows = self.rows(vector)
        return float((rows @ rows.T).max(axis=1).sum())


class Multi(Dense):
    """A list of rows, such as one for each word of a text; points may have different numbers of
    rows."""

    name = "multi"
    made = False
    without = Kind.without

    def describe(self, params: Params) -> str:
        return f"rows of {params['size']} numbers each"

    def fits(self, params: Params, vector: Any) -> bool:
        shape = _array_shape(vector)
        return len(shape) == 2 and shape[0] > 0 and shape[1] == params["size"]

    def answers(self, params: Params, query: Any) -> bool:
        """A single row is accepted too."""
        return self.fits(params, query) or KINDS["dense"].fits(params, query)

    def sure(self, params: Params) -> bool:
        return False

    def zero(self, params: Params, vector: Any) -> bool:
        """With dot product a row of zeros adds nothing, and models pad with such rows. Cosine has
        no score for one."""
        long = self._find_long_rows(vector)
        needed = long.any() if params.get("distance") == "Dot" else long.all()
        return self.rising(params) and not needed


class Sparse(Kind):
    """A few of very many numbers, each with its index. The score is the dot product, weighted by
    the server's ``idf`` if set. The order of the indices and values of zero have no meaning."""

    name = "sparse"
    lazily = False

    def rows(self, vector: Any) -> FloatArray:
        return np.asarray(vector["values"], dtype=np.float32).reshape(1, -1)

    def describe(self, params: Params) -> str:
        return "a sparse vector, indices and values"

    def count(self, vector: Any) -> int:
        """Returns the number of non-zero values."""
        return int(np.count_nonzero(self.rows(vector)))

    def digest(self, vector: Any) -> str:
        return _digest_arrays(*_sort_pairs(vector))

    def fits(self, params: Params, vector: Any) -> bool:
        return isinstance(vector, Mapping) and vector.keys() == {"indices", "values"}

    def same(self, params: Params, wanted: Any, stored: Any) -> bool:
        (places, one), (others, other) = _sort_pairs(wanted), _sort_pairs(stored)
        return np.array_equal(places, others) and bool(
            np.allclose(one, other, rtol=_SAME_VALUE, atol=0)
        )

    def own_score(self, params: Params, vector: Any) -> float | None:
        if params.get("modifier") not in {None, "none"}:
            return None
        return float((self.rows(vector) ** 2).sum())

    def zero(self, params: Params, vector: Any) -> bool:
        """A text without a known word has no values; that counts as ``empty`` and is not a
        fault."""
        return False

    def empty(self, vector: Any) -> bool:
        return self.count(vector) == 0

    def rising(self, params: Params) -> bool:
        return True

    def beatable(self, params: Params) -> bool:
        return True

    def sure(self, params: Params) -> bool:
        """Its index is exact."""
        return True


KINDS: dict[str, Kind] = {kind.name: kind for kind in (Dense(), Multi(), Sparse())}


def kind_of(params: Params) -> Kind:
    """Returns the kind of vector that has these settings; a sparse one may have no settings at
    all."""
    if not isinstance(params.get("size"), int):
        return KINDS["sparse"]
    return KINDS["multi" if params.get("multivector_config") else "dense"]


def vectors_by_name(vector: Any) -> dict[str, Any]:
    """Returns a point's vectors by name, ``""`` for the unnamed one; empty for None."""
    if vector is None:
        return {}
    if isinstance(vector, Mapping):
        return dict(vector)
    return {"": vector}


def is_row(vector: OneQuery) -> bool:
    """Is it a single list of numbers?"""
    return len(_array_shape(vector)) == 1


def describe_vector(vector: OneQuery) -> str:
    """Describes in words what was given."""
    if isinstance(vector, Mapping):
        if vector.keys() == {"indices", "values"}:
            return "a sparse vector"
        return f"keys {sorted(vector)}"
    shape = _array_shape(vector)
    if len(shape) == 2:
        return f"{shape[0]} rows of {shape[1]} numbers"
    if len(shape) != 1:
        return "no list of numbers"
    return f"{shape[0]} numbers"


def _array_shape(vector: Any) -> tuple[int, ...]:
    """Returns an empty shape for a value that is not an array."""
    if isinstance(vector, Mapping):
        return ()
    try:
        return np.shape(vector)
    except ValueError:  # rows of different lengths
        return ()


def _digest_arrays(*arrays: npt.NDArray[Any]) -> str:
    """Zero has two signs but is one number. Among ten million vectors, two different ones share a
    digest in 1 of 20,000 collections."""
    made = hashlib.blake2b(digest_size=8)
    for array in arrays:
        made.update((array + array.dtype.type(0)).tobytes())
    return made.hexdigest()


def _sort_pairs(vector: Mapping[str, Any]) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Returns indices and values in the order of the indices, without zeros."""
    places = np.asarray(vector["indices"], dtype=np.int64)
    values = np.asarray(vector["values"], dtype=np.float32)
    places = places[values != 0]
    values = values[values != 0]
    order = np.argsort(places)
    return places[order], values[order]


def _are_alike(params: Params, wanted: FloatArray, stored: FloatArray) -> bool:
    """Compares row by row: Cosine keeps only directions; with every other distance the length
    counts too."""
    found = stored.astype(np.float64)
    return any(
        all(_is_same_row(params, one, other) for one, other in zip(kept, found, strict=True))
        for kept in _storable_forms(params, wanted.astype(np.float64))
    )


def _storable_forms(params: Params, numbers: _Numbers) -> tuple[_Numbers, ...]:
    """Returns the values that may be stored for these. A server stores whole numbers of uint8; the
    embedded store keeps the fractions."""
    if params.get("datatype") != "uint8":
        return (numbers,)
    return np.clip(np.trunc(numbers), 0, 255), numbers


def _is_same_row(
    params: Params,
    one: _Numbers,
    other: _Numbers,
    cosine: float = _SAME_COSINE,
    length: float = _SAME_LENGTH,
) -> bool:
    lengths = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    if not all(lengths) or not np.isfinite(lengths).all():
        return bool(np.array_equal(one, other))
    close = float(one @ other) >= cosine * lengths[0] * lengths[1]
    return close and (
        params.get("distance") == "Cosine" or abs(lengths[1] / lengths[0] - 1) <= length
    )
