"""A collection's settings, in the form of ``GET /collections/{c}``: read, compared and changed.
Nothing is sent here.

Rule: the server chooses every section or setting that a wanted schema does not name. ``_CLOSED``
sections are compared both ways, because there an additional setting changes what a search finds or
what a client may do.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qdrant_rollouts.core.config.vector_kinds import Kind, kind_of
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Health, Schema

if TYPE_CHECKING:
    from qdrant_rollouts.core.config.index_file import CollectionSpec

_CLOSED = ("vectors", "sparse_vectors", "quantization_config", "strict_mode_config", "shard_keys")
_NOTHING: tuple[object, ...] = (None, {}, [])
#: Fields of ``CollectionSpec`` that have the same name in ``params``.
_PARAMS = ("shard_number", "replication_factor", "on_disk_payload")
_VECTOR = ("distance", "datatype", "on_disk")
#: Bytes per stored number. An unknown datatype counts as the smallest, so the bound is never too
#: narrow.
_BYTES = {"float32": 4, "float16": 2, "uint8": 1}
#: kB; the largest default of any server version (20,000 until 1.15, 10,000 on 1.16.3).
_INDEXING_THRESHOLD = 20_000


def dense_names(schema: Schema) -> list[str]:
    """Returns the names of the dense vectors, multivectors included, sorted; ``""`` is the unnamed
    one."""
    return sorted(_dense_params(schema))


def vector_names(schema: Schema) -> list[str]:
    """Returns the names of all vectors, dense and sparse, sorted."""
    return sorted({**_dense_params(schema), **_sparse_params(schema)})


def vector_params(schema: Schema, name: str) -> dict[str, Any]:
    """Returns the settings of one vector. Raises Refused, naming the existing ones, if there is
    none of this name."""
    every = {**_dense_params(schema), **_sparse_params(schema)}
    if name not in every:
        raise Refused(
            f"there is no vector {_label_vector(name)}; the collection has {_join_names(every)}"
        )
    return dict(every[name])


def vector_kind(schema: Schema, name: str) -> Kind:
    """Raises Refused, naming the existing ones, if there is no vector of this name."""
    return kind_of(vector_params(schema, name))


def made_names(schema: Schema) -> list[str]:
    """Returns the names of the vectors that a text model can make, sorted."""
    return [name for name in vector_names(schema) if vector_kind(schema, name).made]


def embedded_vector(schema: Schema, named: str, of: str) -> str:
    """Returns the vector that a text model makes in collection ``of``: ``named``, or the only
    possible one. Raises Refused if no model can make it, or if several are possible and none is
    named."""
    names = made_names(schema)
    if len(names) > 1 and not named:
        raise Refused(f"{of} has vectors {', '.join(names)}; say which in embedding.vector")
    if named in vector_names(schema) and named not in names:
        takes = vector_kind(schema, named).describe(vector_params(schema, named))
        may_be = f"embedding.vector may be {_join_names(names)}"
        raise Refused(
            f"{of}: vector {_label_vector(named)} takes {takes}, and a model makes numbers: "
            f"{may_be}"
        )
    if not named and not names:
        found = _join_names(vector_names(schema))
        raise Refused(
            f"{of} has no vector of numbers, as a model makes, but {found}: declare no embedding"
        )
    return named or names[0]


def main_vector(schema: Schema) -> str:
    """Returns the vector that is searched by default: the first dense one, else the first of all;
    ``""`` if there is none."""
    return next(iter([*dense_names(schema), *vector_names(schema)]), "")


def meant_vector(schema: Schema, named: str) -> str:
    """Returns ``named``, or the main vector if no name was given and the collection has no unnamed
    vector."""
    if named or "" in vector_names(schema):
        return named
    return main_vector(schema)


def are_same_vectors(one: Schema, other: Schema, name: str) -> bool:
    """Can stored vectors of this name be moved from one collection to the other unchanged?"""
    if name in _sparse_params(one) or name in _sparse_params(other):
        return name in _sparse_params(one) and name in _sparse_params(other)
    return (
        name in _dense_params(one)
        and name in _dense_params(other)
        and _storage_settings(one, name) == _storage_settings(other, name)
    )


def are_asked_alike(one: Schema, other: Schema, name: str) -> bool:
    """Can both collections be searched by this vector, and do the scores mean the same?"""
    if name in _sparse_params(one) or name in _sparse_params(other):
        return name in _sparse_params(one) and name in _sparse_params(other)
    return (
        name in _dense_params(one)
        and name in _dense_params(other)
        and _search_settings(one, name) == _search_settings(other, name)
    )


def _search_settings(schema: Schema, name: str) -> tuple[Any, ...]:
    params = _dense_params(schema)[name]
    return params["size"], params["distance"], bool(params.get("multivector_config"))


def _storage_settings(schema: Schema, name: str) -> tuple[Any, ...]:
    params = _dense_params(schema)[name]
    datatype = params.get("datatype") or "float32"
    return params["size"], params["distance"], datatype, bool(params.get("multivector_config"))


def _dense_params(schema: Schema) -> dict[str, dict[str, Any]]:
    vectors = schema["params"].get("vectors") or {}
    if isinstance(vectors.get("size"), int):
        return {"": vectors}
    return vectors


def _sparse_params(schema: Schema) -> dict[str, dict[str, Any]]:
    return {
        name: params or {}
        for name, params in (schema["params"].get("sparse_vectors") or {}).items()
    }


def list_differences(wanted: Schema, found: Schema, *, waiting: bool = False) -> list[str]:
    """Returns each setting of ``wanted`` that differs in ``found``: ``hnsw_config.m: wanted 16,
    found 32``. With ``waiting`` the wanted strict mode is still to be set, and only differences
    count that this cannot remove."""
    if waiting and not is_strict_mode_off(wanted) and is_strict_mode_off(found):
        strict = {**(found.get("strict_mode_config") or {}), **wanted["strict_mode_config"]}
        found = {**found, "strict_mode_config": strict}
    return [
        f"{path}: wanted {_format_setting(one)}, found {_format_setting(other)}"
        for path, one, other in _walk_differences(
            "", _as_comparable(wanted), _as_comparable(found), closed=False
        )
    ]


def list_changes(before: Schema, now: Schema) -> list[str]:
    """Returns each setting that ``now`` names and that differs in ``before``: ``hnsw_config.m 16 ->
    32``."""
    found = _walk_differences("", _as_comparable(now), _as_comparable(before), closed=False)
    return [f"{path} {_format_setting(old)} -> {_format_setting(new)}" for path, new, old in found]


def list_changes_of_both(one: Schema, other: Schema) -> list[str]:
    """Returns each setting of either that differs or is missing in the other: ``hnsw_config.m 16 ->
    32``."""
    found = _walk_differences("", _as_comparable(one), _as_comparable(other), closed=True)
    return [f"{path} {_format_setting(old)} -> {_format_setting(new)}" for path, old, new in found]


def is_strict_mode_off(schema: Schema) -> bool:
    return not (schema.get("strict_mode_config") or {}).get("enabled")


def without_strict_mode(schema: Schema) -> Schema:
    """Returns the schema without a strict mode. Rate limits count even if strict mode is off, until
    it is changed and after each restart (measured on 1.16.3), so none may be left in it."""
    if is_strict_mode_off(schema):
        return schema
    return {**schema, "strict_mode_config": {"enabled": False}}


def vector_bytes(schema: Schema, points: int) -> int:
    """Returns the minimum size of the dense vectors of this many points."""
    each = (
        int(params["size"]) * _BYTES.get(params.get("datatype") or "float32", 1)
        for params in _dense_params(schema).values()
    )
    return points * sum(each)


def _as_comparable(schema: Schema) -> Schema:
    """Limits of a strict mode that is off bind nobody, and a sparse vector without settings is
    still a sparse vector."""
    sparse = {name: {"index": None, **params} for name, params in _sparse_params(schema).items()}
    comparable = {**schema, "params": {**schema["params"], "sparse_vectors": sparse}}
    if "strict_mode_config" in schema and is_strict_mode_off(schema):
        comparable["strict_mode_config"] = None
    return comparable


def _walk_differences(
    path: str, wanted: Any, found: Any, *, closed: bool
) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key in sorted({*wanted, *(found if closed else ())}):
            inner = f"{path}.{key}" if path else str(key)
            yield from _walk_differences(
                inner, wanted.get(key), found.get(key), closed=closed or key in _CLOSED
            )
    elif wanted != found and not (wanted in _NOTHING and found in _NOTHING):
        yield path, wanted, found


def _format_setting(value: Any) -> str:
    if value is None:
        return "nothing"
    return str(value)


@dataclass(frozen=True, slots=True)
class NewVectors:
    """The vectors that a collection should have, by name; ``""`` is the unnamed one.

    ``sizes``: numbers of each vector that a model makes. ``server_made``: sparse vectors that the
    server makes. ``shapes``: the settings, in Qdrant's spelling, of further vectors that the live
    collection lacks. ``dropped``: names that are removed.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    server_made: frozenset[str] = frozenset()
    shapes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()


def build_schema(blue: Schema | None, spec: "CollectionSpec", new: NewVectors) -> Schema:
    """Returns blue's schema with the index file's settings and the vectors of ``new``; without
    blue, only those.

    The vector settings of the index file apply to the vectors that a model makes. Raises Refused if
    a name is sparse on one side and dense on the other.
    """
    schema = deepcopy(blue) if blue else {"params": {}}
    dense = {name: one for name, one in _dense_params(schema).items() if name not in new.dropped}
    sparse = {name: one for name, one in _sparse_params(schema).items() if name not in new.dropped}
    _check_kinds(new, dense, sparse)
    for name, size in new.sizes.items():
        dense.setdefault(name, {"distance": "Cosine"})
        dense[name] |= {"size": size, **_given_settings(spec, _VECTOR)}
    for name in new.server_made:
        sparse[name] = {**sparse.get(name, {}), "modifier": "idf"}
    for name, shape in new.shapes.items():
        (dense if "size" in shape else sparse).setdefault(name, dict(shape))
    _set_vectors(schema["params"], dense, sparse)
    schema["params"] |= _given_settings(spec, _PARAMS)
    made = [dense[name] for name in new.sizes]
    _lay_over(schema, made, "hnsw_config", spec.hnsw)
    _lay_over(schema, made, "quantization_config", spec.quantization)
    kept = {**(schema.get("payload_schema") or {}), **_build_indexes(spec)}
    schema["payload_schema"] = {
        field: index for field, index in kept.items() if field not in spec.dropped_indexes
    }
    return schema


def _check_kinds(new: NewVectors, dense: Mapping[str, Any], sparse: Mapping[str, Any]) -> None:
    for name in new.sizes:
        if name in sparse:
            raise Refused(
                f"vector {_label_vector(name)} is sparse in the live collection, and a model makes "
                "a dense one"
            )
    for name in new.server_made:
        if name in dense or not name:
            raise Refused(
                f"vector {_label_vector(name)} is dense, and the server makes a sparse one; give "
                "it another name"
            )


def _set_vectors(params: dict[str, Any], dense: dict[str, Any], sparse: dict[str, Any]) -> None:
    """A single unnamed vector is written without a name, as servers of every version accept it."""
    params["vectors"] = dense[""] if dense.keys() == {""} else dense
    if sparse or params.get("sparse_vectors"):
        params["sparse_vectors"] = sparse


def _given_settings(spec: "CollectionSpec", names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in names if getattr(spec, name) is not None}


def _lay_over(
    schema: Schema, made: Sequence[dict[str, Any]], section: str, given: dict[str, Any] | None
) -> None:
    """A vector's own section has priority over the collection's, so that one is changed. Empty
    quantization means none."""
    if given is None:
        return
    own = [params for params in made if params.get(section)]
    for holder in own or [schema]:
        merged = given
        if section == "hnsw_config":
            merged = {**(holder.get(section) or {}), **given}
        holder[section] = merged or None


def _build_indexes(spec: "CollectionSpec") -> dict[str, dict[str, Any]]:
    return {field: _build_index(field, spec.payload_indexes[field]) for field in spec.kept_indexes}


def _build_index(field: str, given: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(given, str):
        return {"data_type": given}
    if not isinstance(given.get("type"), str):
        raise Refused(
            f"collection.payload_indexes.{field}: found {given}; expected a type, such as keyword"
        )
    return {"data_type": given["type"], "params": given}


def _label_vector(name: str) -> str:
    return name or "without a name"


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(sorted(name or "the unnamed one" for name in names)) or "none"


def unindexed_bound(schema: Schema, health: Health) -> int:
    """Returns how many vectors may permanently stay without an index; ``sys.maxsize`` if no index
    is wanted.

    A segment is indexed once the vectors of one name take more than ``indexing_threshold`` kB of
    1,024 bytes in it, in their own datatype (measured on 1.16.3). Sparse vectors are indexed at
    once. So less than that amount of each name may stay without an index in each segment.
    """
    optimizers = schema.get("optimizer_config") or {}
    threshold = optimizers.get("indexing_threshold")
    if threshold == 0 or optimizers.get("max_optimization_threads") == 0:
        return sys.maxsize
    room = 1024 * (_INDEXING_THRESHOLD if threshold is None else int(threshold))
    return sum(
        _unindexed_share(schema, params, health, room) for params in _dense_params(schema).values()
    )


def _unindexed_share(schema: Schema, params: Mapping[str, Any], health: Health, room: int) -> int:
    own = params.get("hnsw_config") or {}
    links = own.get("m", (schema.get("hnsw_config") or {}).get("m"))
    if links == 0:
        return health.points
    return health.segments * (
        room // (int(params["size"]) * _BYTES.get(params.get("datatype") or "float32", 1))
    )
