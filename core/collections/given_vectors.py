"""Checks the vectors that a record brings."""

import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from qdrant_rollouts.core.collections.record_rules import BadField, RecordRules, VectorRule
from qdrant_rollouts.core.ports import FloatArray
from qdrant_rollouts.core.sanitize.quoting import quote_value, shorten_text


def check_given_vectors(path: str, given: Any, rules: RecordRules, *, bare: bool) -> dict[str, Any]:
    """Returns the vectors by name; empty if the record brings none. ``bare``: the record comes from
    a collection, where a point may have no vector at all."""
    if isinstance(given, Mapping):
        if not given and not bare:
            raise BadField(path, f"is empty; expected some of {name_vectors(rules)}")
        return {
            name: _check_vector(f"{path}.{name}", name, value, rules)
            for name, value in given.items()
        }
    if len(rules.dense) != 1:
        raise BadField(
            path, f"names no vector; expected an object with some of {name_vectors(rules)}"
        )
    (name, rule), *_ = rules.dense.items()
    return {name: _check_dense(path, given, rule)}


def _check_vector(path: str, name: str, value: Any, rules: RecordRules) -> Any:
    if name in rules.dense:
        return _check_dense(path, value, rules.dense[name])
    if name in rules.sparse:
        return _check_sparse(path, value)
    raise BadField(
        path, f"is not a vector of the collection; expected some of {name_vectors(rules)}"
    )


def name_vectors(rules: RecordRules) -> str:
    return ", ".join(repr(name) for name in (*rules.dense, *sorted(rules.sparse)))


def _check_dense(path: str, value: Any, rule: VectorRule) -> FloatArray:
    if not rule.rows:
        return _check_numbers(path, value, rule)
    if not isinstance(value, list | np.ndarray) or len(value) == 0:
        each = f" of {rule.size} numbers each" if rule.size is not None else ""
        raise BadField(path, f"expected a list of vectors{each}")
    return np.stack([_check_numbers(f"{path}[{at}]", row, rule) for at, row in enumerate(value)])


def _check_numbers(path: str, value: Any, rule: VectorRule) -> FloatArray:
    array = _check_finite(path, value)
    if rule.size is not None and len(array) != rule.size:
        raise BadField(path, f"has {len(array)} numbers; the collection's vectors have {rule.size}")
    if rule.cosine and not array.any():
        raise BadField(path, "is all zeros: without a direction there is no cosine")
    return array


def _check_finite(path: str, value: Any) -> FloatArray:
    if not isinstance(value, list) and not (isinstance(value, np.ndarray) and value.ndim == 1):
        raise BadField(path, f"is a {type(value).__name__}; expected a list of numbers")
    if isinstance(value, list) and not {float, int}.issuperset(map(type, value)):
        at = next(at for at, number in enumerate(value) if type(number) not in {float, int})
        raise BadField(
            f"{path}[{at}]", f"is {shorten_text(reprlib.repr(value[at]))}; expected a number"
        )
    try:
        # a number that is too large becomes infinite, which is refused below
        with np.errstate(over="ignore"):
            array = np.asarray(value, dtype=np.float32)
    except OverflowError:
        raise BadField(path, "holds an integer beyond float32") from None
    if not np.isfinite(array).all():
        at = int(np.isfinite(array).argmin())
        raise BadField(f"{path}[{at}]", f"is {quote_value(value[at])}; expected a finite float32")
    return array


def _check_sparse(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or value.keys() != {"indices", "values"}:
        raise BadField(path, 'expected a sparse vector: {"indices": [...], "values": [...]}')
    indices = value["indices"]
    values = _check_finite(f"{path}.values", value["values"])
    if isinstance(indices, np.ndarray):
        indices = indices.tolist()
    if not isinstance(indices, list) or not all(
        type(index) is int and 0 <= index < 2**32 for index in indices
    ):
        raise BadField(f"{path}.indices", "expected a list of integers from 0 to 4294967295")
    if len(set(indices)) != len(indices) or len(indices) != len(values):
        raise BadField(
            path,
            f"expected as many values as different indices, found {len(values)} and "
            f"{len(set(indices))}",
        )
    return {"indices": indices, "values": values}
