"""The live collection that a new one is judged beside, and which vectors mean the same in both."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from qdrant_rollouts.core.collections.makers import Maker
from qdrant_rollouts.core.collections.model_proof import find_unknown_vectors, measure_agreement
from qdrant_rollouts.core.collections.same_model import (
    VectorOrigin,
    declared_vectors,
    relate_origins,
    unknown_vectors,
)
from qdrant_rollouts.core.collections.schema import (
    are_same_vectors,
    meant_vector,
    vector_names,
)
from qdrant_rollouts.core.collections.stamps import Stamp, read_stamp
from qdrant_rollouts.core.collections.text_search import (
    TextSearch,
    build_text_search,
    declared_names,
)
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.index_file import ChunkSpec, EmbeddingSpec, IndexSpec
from qdrant_rollouts.core.errors import Limited, Refused
from qdrant_rollouts.core.gate.evidence.context import LiveCollection
from qdrant_rollouts.core.ports import Schema, State
from qdrant_rollouts.core.services import Services

#: By collection and vector, an ``Agreement`` as JSON.
Agreements = dict[str, dict[str, dict[str, Any]]]


def _text_settings(embedding: EmbeddingSpec | None) -> tuple[str, ChunkSpec | None] | None:
    """The settings that make the embedded texts."""
    if not embedding:
        return None
    return (embedding.text, embedding.chunk)


def open_live(
    services: Services,
    green: str,
    blue: str,
    spec: IndexSpec,
    makers: Mapping[str, Maker],
    vector: str,
    measured: Agreements,
    *,
    elsewhere: bool,
) -> LiveCollection | None:
    """Returns None if blue is gone or is green itself: then there is nothing to compare with."""
    store = services.store
    if blue == green or blue not in store.collections():
        return None
    stamp = read_stamp(store, blue)
    schema = store.schema(blue)
    ours = store.schema(green)
    names = vector_names(schema)
    wanted = stamp.vector if stamp else vector
    using = meant_vector(schema, wanted if stamp or vector in names else "")
    theirs = None
    if stamp and stamp.spec:
        theirs = services.embedder(stamp.spec)
    by_name = {
        name: relate_origins(
            _origin_of_green(
                services, green, name, makers.get(name), measured, elsewhere=elsewhere
            ),
            _origin_of_live(
                stamp, schema, blue, using if name == vector else name, makers.get(name), measured
            ),
            declared=name in declared_vectors(spec.models, ours),
        )
        for name in {vector, *names}
    }
    movable = {name for name in names if are_same_vectors(schema, ours, name)} - (
        {vector} if using != vector else set()
    )
    same = frozenset(name for name in movable if by_name[name] in ("same", "own"))
    main = makers.get(vector)
    told = stamp if using not in unknown_vectors(stamp, schema) else None
    proven = stamp is None and main is not None and _is_proven(measured, blue, vector)
    if proven:
        theirs = main.embedder if main else None
    live_makers = {n: makers[n] for n in makers if n in same}
    if stamp:
        live_makers = _live_makers(services, stamp, using)
    return LiveCollection(
        blue,
        using,
        theirs,
        same_model=vector in same,
        same_texts=told is None or _text_settings(told.spec) == _text_settings(spec.embedding),
        kinship=by_name[vector],
        known=told is not None or proven,
        same=same - {vector},
        makers=live_makers,
        search=_live_search(spec, live_makers, names),
    )


def _origin_of_live(
    stamp: Stamp | None,
    schema: Schema,
    blue: str,
    name: str,
    maker: Maker | None,
    measured: Agreements,
) -> VectorOrigin:
    """Reads the origin from the stamp; without one, from a sample that was embedded again."""
    if stamp is None and maker is not None and _is_proven(measured, blue, name):
        return VectorOrigin(known=True, identity=maker.identity)
    return VectorOrigin.of(stamp, schema, name)


def _live_makers(services: Services, stamp: Stamp, using: str) -> dict[str, Maker]:
    """Leaves out makers whose model does not answer: then live is not searched by their names."""
    found = {}
    for name, by in stamp.made.items():
        with suppress(Refused):
            embedder = None
            if by.embedding:
                embedder = services.embedder(by.embedding)
            found[using if name == stamp.vector else name] = Maker(by, embedder)
    return found


def _live_search(
    spec: IndexSpec, makers: Mapping[str, Maker], names: Sequence[str]
) -> TextSearch | None:
    """Returns None if a text searches nothing on live."""
    try:
        return build_text_search(spec.search, tuple(makers), names, declared_names(spec))
    except Refused:
        return None


def _origin_of_green(
    services: Services,
    green: str,
    vector: str,
    main: Maker | None,
    measured: Agreements,
    *,
    elsewhere: bool,
) -> VectorOrigin:
    """Returns what is known about green's vector: who made it here, its stamp, or a sample that was
    embedded again."""
    if (
        elsewhere
        and read_stamp(services.store, green) is None
        and not _is_proven(measured, green, vector)
    ):
        return VectorOrigin()
    return VectorOrigin(known=True, identity=main.identity if main else None)


def measure_models(
    services: Services, memory: State, plan: VectorPlan, collections: Sequence[str | None]
) -> Agreements:
    """Measures once per gate, by collection and vector, whether a sample of the texts gives the
    stored vectors when embedded again."""
    if "models" in memory:
        kept: Agreements = memory["models"]["found"]
        return kept
    there = services.store.collections() if plan.made else set()
    found: Agreements = {}
    try:
        for collection in collections:
            if collection is not None and collection in there:
                unknown = find_unknown_vectors(services.store, collection, plan.made)
                seen = {
                    name: measure_agreement(services, collection, name, spec)
                    for name, spec in unknown.items()
                }
                found[collection] = {
                    name: {**asdict(one), "proven": one.proven, "words": str(one)}
                    for name, one in seen.items()
                }
    except Limited:
        return {}
    memory["models"] = {"found": found, "complete": True}
    return found


def _is_proven(measured: Agreements, collection: str, vector: str) -> bool:
    return bool(measured.get(collection, {}).get(vector, {}).get("proven"))
