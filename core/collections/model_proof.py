"""Finds out which model made vectors of which no stamp says it: embeds a sample of the stored texts
with the declared model and compares the results with the stored vectors.

A proven model is written into the collection's stamp. If there was none, the new one has no number
and no deployment, because the collection was not taken over. It only says which model embeds the
searches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qdrant_rollouts.core.collections.same_model import unknown_vectors
from qdrant_rollouts.core.collections.schema import meant_vector, vector_params
from qdrant_rollouts.core.collections.stamps import MadeBy, Stamp, read_stamp
from qdrant_rollouts.core.config.index_file import EmbeddingSpec, render_text
from qdrant_rollouts.core.config.vector_kinds import kind_of, vectors_by_name
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.late import Library
from qdrant_rollouts.core.ports import Embedder, FloatArray, Point, Schema, VectorStore
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services

if TYPE_CHECKING:
    import numpy as np
else:
    np = Library("numpy")

#: Records that are embedded again, and the share that must agree: a few may have a new text and an
#: old vector.
_SAMPLE = 32
PROVEN = 0.9
#: Vectors of one model differ by less, in whatever batch and as whatever float; vectors of two
#: models differ far more.
_ALIKE = 0.99
_LENGTH = 0.05


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of ``of`` stored texts, ``alike`` give the stored vector when embedded again; ``why`` says
    why none could be."""

    of: int = 0
    alike: int = 0
    why: str = ""

    @property
    def proven(self) -> bool:
        return self.of > 0 and self.alike >= PROVEN * self.of

    def __str__(self) -> str:
        return self.why or f"of {self.of} stored texts that were embedded again {self.alike} agree"


def measure_agreement(
    services: Services, collection: str, vector: str, embedding: EmbeddingSpec
) -> Agreement:
    """A model that cannot be used proves nothing. Raises Limited if the collection's rate allows no
    reads now, and Busy as the store does."""
    params = vector_params(services.store.schema(collection), vector)
    if not kind_of(params).made:
        return Agreement(
            why=f"vector {vector or 'unnamed'} takes {kind_of(params).describe(params)}"
        )
    points = draw_points(services.store, collection, vector)
    try:
        embedder = services.embedder(embedding)
        size = embedder.dimension
        if params["size"] != size:
            return Agreement(
                why=f"its vectors have {params['size']} numbers, and {embedding.model} makes {size}"
            )
        return compare_embeddings(embedder, embedding, vector, params, points)
    except (Refused, Unavailable) as error:
        return Agreement(why=f"{embedding.model} could not be asked: {error}")


def draw_points(store: VectorStore, collection: str, vector: str) -> list[Point]:
    """Returns random points; the first ones if the server or its strict mode does not allow random
    points."""
    store.pace(collection)
    try:
        ids = [point.id for point in store.sample(collection, vector, _SAMPLE)]
    except Refused:
        return store.scroll(collection, None, _SAMPLE)[0]
    return store.fetch(collection, ids, vectors=True)


def compare_embeddings(
    embedder: Embedder,
    embedding: EmbeddingSpec,
    vector: str,
    params: Mapping[str, Any],
    points: Sequence[Point],
) -> Agreement:
    """Embeds again the texts of those points that have a text and a vector. Raises the errors of
    the model's endpoint."""
    stored = [
        (render_text(embedding.text, point.payload), vectors_by_name(point.vector).get(vector))
        for point in points
    ]
    known = [
        (text, np.asarray(one, dtype=np.float32))
        for text, one in stored
        if text and one is not None
    ]
    if not known:
        return Agreement(
            why=f"no point has the texts of the template {quote_value(embedding.text)} stored"
        )
    made = embedder.documents([text for text, _ in known])
    alike = sum(
        _are_alike(one, other, params["distance"])
        for one, (_, other) in zip(made, known, strict=True)
    )
    return Agreement(len(known), alike)


def find_unknown_vectors(
    store: VectorStore, collection: str, made: Mapping[str, EmbeddingSpec]
) -> dict[str, EmbeddingSpec]:
    """Returns those of ``made`` that some point of the collection has and whose model is
    unknown."""
    stamp = read_stamp(store, collection)
    if stamp is not None and not stamp.unknown:
        return {}
    schema = store.schema(collection)
    unknown = unknown_vectors(stamp, schema)
    named = {meant_vector(schema, name): embedding for name, embedding in made.items()}
    return {
        name: embedding
        for name, embedding in named.items()
        if name in unknown and store.count(collection, having=name)
    }


def settle_models(
    services: Services,
    alias: str,
    collection: str,
    made: Mapping[str, EmbeddingSpec],
    *,
    writes: bool = True,
) -> dict[str, Agreement]:
    """Returns the measured agreement of each vector with an unknown model. If all are proven, and
    it ``writes``, the stamp is written. Safe to run twice."""
    unknown = find_unknown_vectors(services.store, collection, made)
    found = {
        name: measure_agreement(services, collection, name, embedding)
        for name, embedding in unknown.items()
    }
    if writes and found and all(one.proven for one in found.values()):
        proven = _build_stamp(services, alias, unknown)
        stamp = read_stamp(services.store, collection)
        if stamp is not None:
            proven = _add_proven(stamp, proven, services.store.schema(collection))
        services.store.set_metadata(collection, proven.as_metadata())
    return found


def _add_proven(stamp: Stamp, proven: Stamp, schema: Schema) -> Stamp:
    """Returns the collection's own stamp with what was proven."""
    rest = sorted(unknown_vectors(stamp, schema) - proven.vectors.keys())
    added = replace(stamp, vectors={**stamp.vectors, **proven.vectors}, unknown=rest)
    if stamp.embedding is not None or meant_vector(schema, stamp.vector) != proven.vector:
        return added
    return replace(added, embedding=proven.embedding, identity=proven.identity)


def _build_stamp(services: Services, alias: str, proven: Mapping[str, EmbeddingSpec]) -> Stamp:
    """Documents that another program stored were not cut by this one."""
    specs = {
        name: spec.model_copy(update={"chunk": None, "vector": name})
        for name, spec in proven.items()
    }
    made = {
        name: MadeBy(services.embedder(spec).identity, embedding=spec)
        for name, spec in specs.items()
    }
    main, by = next(iter(made.items()))
    return Stamp(
        deployment="",
        alias=alias,
        number=0,
        vector=main,
        embedding=specs[main].model_dump(mode="json"),
        identity=by.identity,
        vectors={name: one.as_metadata() for name, one in made.items()},
    )


def describe_refusal(
    alias: str, collection: str, made: Mapping[str, EmbeddingSpec], found: Mapping[str, Agreement]
) -> str:
    """Returns why a deployment does not continue by itself, with the measurement and the lines to
    write; empty if it does."""
    doubtful = {name: one for name, one in found.items() if not one.proven}
    if not doubtful:
        return ""
    models = " and ".join(dict.fromkeys(one.model for one in made.values()))
    told = "; ".join(
        f"vector {name}: {one}" if name else str(one) for name, one in doubtful.items()
    )
    return (
        f"{collection}, which {alias} leads to, does not say which model made it, and {models}, "
        "which is declared, is "
        f"not known to be that one: {told}. Applications that embed for themselves would search "
        "the new collection by "
        f"vectors of another model. If they change at the switch, or there are none, write\n"
        f"  {alias}:\n    accept_new_model: true\n"
        "in the index file, or deploy with --accept-new-model. If the declared model did make it, "
        "declare the text "
        f"template it was made with (embedding.text), or say so with `rollouts adopt {alias} "
        "--trust`"
    )


def _are_alike(one: FloatArray, other: FloatArray, distance: str) -> bool:
    """With cosine the length of a vector does not matter; with any other distance it does."""
    lengths = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    if not all(lengths):
        return False
    if float(one @ other) / (lengths[0] * lengths[1]) < _ALIKE:
        return False
    return distance == "Cosine" or abs(lengths[0] - lengths[1]) <= _LENGTH * max(lengths)
