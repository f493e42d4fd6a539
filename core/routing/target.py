"""A collection to search, and what embeds searches of it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from qdrant_rollouts.core.collections.same_model import (
    VectorOrigin,
    can_share_vectors,
    declared_vectors,
    relate_origins,
)
from qdrant_rollouts.core.collections.schema import (
    meant_vector,
    vector_kind,
    vector_names,
    vector_params,
)
from qdrant_rollouts.core.collections.stamps import MadeBy, Stamp, read_stamp
from qdrant_rollouts.core.collections.text_search import declared_names
from qdrant_rollouts.core.config.index_file import (
    EmbeddingSpec,
    IndexSpec,
    SearchSpec,
    ServerVectorSpec,
)
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Embedder, Limits, OneQuery, Schema, ServerText
from qdrant_rollouts.core.routing.control_plane import RouterServices

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """A collection to search. ``embedding`` is None if its model is not known: then it takes only
    vectors. ``identity`` is the stamped one; ``size`` is the size of its vectors, None if that is
    not a single number. ``params`` are the settings of the vector ``using``, None if they could not
    be read. ``stamp`` and ``schema`` are None if the collection has none or is gone. ``declared``
    are the vectors that a model makes according to the index file; ``made`` says by name what makes
    each vector from text. ``search`` is the declared search, ``coming`` the names that the index
    file declares."""

    collection: str
    embedding: EmbeddingSpec | None = None
    identity: str | None = None
    using: str = ""
    size: int | None = None
    params: Mapping[str, Any] | None = field(default=None, hash=False)
    made: Mapping[str, MadeBy] = field(default_factory=dict, hash=False)
    search: SearchSpec | None = None
    coming: frozenset[str] = frozenset()
    stamp: Stamp | None = field(default=None, hash=False)
    schema: Schema | None = field(default=None, hash=False)
    declared: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """All of its vectors."""
        if not self.schema:
            return ()
        return tuple(vector_names(self.schema))

    @property
    def limits(self) -> Limits:
        if self.schema:
            return Limits.of(self.schema.get("strict_mode_config"))
        return Limits()

    def takes_one_vector(self, other: "Target", using: str | None) -> bool:
        """Does a vector mean the same to both? A collection that is gone is noticed when it is
        searched."""
        if self.schema is None or other.schema is None:
            return True
        name = using or self.using
        if not using and other.using != name:
            return False
        made = [
            VectorOrigin.of(one.stamp, schema, name)
            for one, schema in ((self, self.schema), (other, other.schema))
        ]
        found = relate_origins(*made, declared=name in self.declared | other.declared)
        return can_share_vectors(found, self.schema, other.schema, name)


def load_model(services: RouterServices, target: Target) -> Embedder | None:
    """Returns the loaded model of a collection; None if it takes only vectors. Raises Refused if
    the model is not the one that made the collection, or makes vectors of another size: a name on
    the hub, a folder and a line of the index file can all change their meaning."""
    if target.embedding is None:
        return None
    found = services.embedder(target.embedding)
    name = target.embedding.model
    if target.identity is not None and found.identity != target.identity:
        raise Refused(
            f"{target.collection} was made with {target.identity}, and {name} is {found.identity} "
            "here: deploy again, "
            "or bring the model back that it was made with"
        )
    if target.size is not None and found.dimension != target.size:
        raise Refused(
            f"{target.collection} has vectors of {target.size} numbers, and {name}, declared in "
            "the index file, makes "
            f"{found.dimension}: declare the model it was made with"
        )
    assert found.dimension
    return found


def load_text_models(services: RouterServices, target: Target) -> None:
    """Loads all models that searches by text will need. Raises Refused as ``load_model`` does."""
    load_model(services, target)
    for by in target.made.values():
        if by.embedding is not None:
            assert services.embedder(by.embedding).dimension


def embed_text(services: RouterServices, target: Target, name: str, text: str) -> OneQuery:
    """Returns what a text searches in one vector. Raises Refused if nothing makes that vector from
    text, or if its model has changed."""
    if name == target.using and target.embedding is not None:
        embedder = load_model(services, target)
        assert embedder is not None
        return embedder.query(text)
    by = target.made.get(name)
    if by is None:
        known = ", ".join(one or '""' for one in target.made) or "none"
        raise Refused(
            f"vector {name or 'without a name'} of {target.collection} is made of no text: give a "
            "vector, or ask one "
            f"that is made of texts: {known}"
        )
    if by.server is not None:
        return ServerText(text, by.server.server, by.server.options)
    assert by.embedding is not None
    found = services.embedder(by.embedding)
    if by.identity and found.identity != by.identity:
        raise Refused(
            f"vector {name} of {target.collection} was made with {by.identity}, and "
            f"{by.embedding.model} is "
            f"{found.identity} here: deploy again, or bring the model back that it was made with"
        )
    return found.query(text)


def _read_declaration(services: RouterServices, alias: str) -> IndexSpec | None:
    """Returns what the index file says about it. If the file cannot be read, the stamps of
    collections say what made them, and searches continue."""
    try:
        return services.indexes().get(alias)
    except Refused as error:
        log.warning("the index file is left out of searches of %s: %s", alias, error)
        return None


def read_target(
    services: RouterServices, alias: str, collection: str, known: Mapping[str, Target]
) -> Target:
    """A collection that is gone is noticed when it is searched."""
    declared = _read_declaration(services, alias)
    search: SearchSpec | None = None
    coming: frozenset[str] = frozenset()
    models: Sequence[EmbeddingSpec] = ()
    if declared is not None:
        search = declared.search
        coming = declared_names(declared)
        models = declared.models
    if collection in known:
        return replace(known[collection], search=search, coming=coming)
    try:
        stamp = read_stamp(services.store, collection)
    except Refused:
        stamp = None
    if stamp is not None:
        embedding = stamp.spec
        named = stamp.vector
        identity = stamp.identity
    else:
        embedding = next(iter(models), None)
        named = embedding.vector if embedding is not None else ""
        identity = None
    try:
        schema = services.store.schema(collection)
    except Refused:
        return Target(
            collection, embedding, identity, named, stamp=stamp, search=search, coming=coming
        )
    using = meant_vector(schema, named)
    names = tuple(vector_names(schema))
    params = None
    if using in names:
        params = vector_params(schema, using)
    return Target(
        collection,
        embedding,
        identity,
        using,
        size=params.get("size") if params and vector_kind(schema, using).made else None,
        params=params,
        made=_makers_by_name(declared, stamp, named, using, names),
        search=search,
        coming=coming,
        stamp=stamp,
        schema=schema,
        declared=declared_vectors(models, schema),
    )


def _makers_by_name(
    spec: IndexSpec | None, stamp: Stamp | None, named: str, using: str, names: tuple[str, ...]
) -> dict[str, MadeBy]:
    """Reads the makers from the stamp; without a stamp, from the index file."""
    if stamp is not None:
        found = stamp.made
    elif spec is not None:
        found = {model.vector: MadeBy("", embedding=model) for model in spec.models}
        servers = {
            name: said for name, said in spec.vectors.items() if isinstance(said, ServerVectorSpec)
        }
        found |= {name: MadeBy("", server=said) for name, said in servers.items()}
    else:
        found = {}
    return {
        (using if name == named else name): by
        for name, by in found.items()
        if (name in names or name == named)
    }
