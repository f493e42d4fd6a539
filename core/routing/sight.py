"""What a search process knows of an alias: its route, and of each collection behind it the model to ask with."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qdrant_rollouts.core.collections.same_model import (
    VectorOrigin,
    can_share_vectors,
    declared_vectors,
    relate_origins,
)
from qdrant_rollouts.core.collections.schema import meant_vector, vector_kind, vector_names, vector_params
from qdrant_rollouts.core.collections.stamps import MadeBy, Stamp, read_stamp
from qdrant_rollouts.core.collections.text_search import declared_names
from qdrant_rollouts.core.config.index_file import EmbeddingSpec, IndexSpec, SearchSpec, ServerVectorSpec
from qdrant_rollouts.core.errors import AppError, Misconfigured, Refused, Unavailable
from qdrant_rollouts.core.ports import Embedder, Limits, OneQuery, Schema, ServerText
from qdrant_rollouts.core.routing.route import CANARY, LIVE, Route
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

#: Vector names of which a sight keeps what it found.
_KEPT_NAMES = 64


@dataclass(frozen=True, slots=True)
class Target:
    """A collection to ask. ``embedding`` is None where nobody knows its model: then it takes
    vectors only. ``identity`` is the stamped one, ``size`` how many numbers its vectors have, None
    where that is no single number; ``params`` the settings of the vector ``using``, None where they
    could not be looked up. ``stamp`` and ``schema`` are the collection's, None where it has none or
    is gone; ``declared`` are the vectors that a model makes by the index file, ``made`` says by name
    what makes each vector of a text. ``search`` is the declared search, ``coming`` the names the
    index file declares."""

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
        """All vectors it has."""
        return tuple(vector_names(self.schema)) if self.schema else ()

    @property
    def limits(self) -> Limits:
        return Limits.of(self.schema.get("strict_mode_config")) if self.schema else Limits()

    def takes_one_vector(self, other: "Target", using: str | None) -> bool:
        """Does a vector mean the same to both? A collection that is gone is told apart by searching it."""
        if self.schema is None or other.schema is None:
            return True
        name = using or self.using
        if not using and other.using != name:
            return False
        made = [
            VectorOrigin.of(one.stamp, schema, name) for one, schema in ((self, self.schema), (other, other.schema))
        ]
        found = relate_origins(*made, declared=name in self.declared | other.declared)
        return can_share_vectors(found, self.schema, other.schema, name)


@dataclass(frozen=True, slots=True)
class RouteView:
    """``live`` is what the alias stands for, or blue while the route leads elsewhere too; None if it could not be
    looked up. ``tried``: the collections compared with it, by variant."""

    route: Route
    live: Target | None = None
    tried: Mapping[str, Target] = field(default_factory=dict)
    #: Why the route may be older than the database's, or nothing.
    stale: str = ""
    #: Was the route ever read?
    routed: bool = True
    #: The aliases there are, where this one was looked for and is none of them.
    others: tuple[str, ...] = ()
    #: What kind of error ``stale`` tells of.
    fault: type[AppError] = Unavailable
    _taken: dict[str | None, bool] = field(init=False, repr=False, compare=False, default_factory=dict)

    @property
    def green(self) -> Target | None:
        return self.tried.get(CANARY)

    @property
    def targets(self) -> tuple[Target, ...]:
        return (*((self.live,) if self.live else ()), *self.tried.values())

    def takes_one_vector(self, using: str | None) -> bool:
        """Does a vector, of the name ``using`` or of each collection's own, mean the same to all of them? Every search
        by vector asks, so the answer is kept."""
        if using not in self._taken:
            if len(self._taken) >= _KEPT_NAMES:
                self._taken.clear()  # callers may name anything
            first, *others = self.targets or (None,)
            self._taken[using] = first is None or all(first.takes_one_vector(other, using) for other in others)
        return self._taken[using]


def read_route_view(
    services: Services, alias: str, last: RouteView | None, route: Route | None, stale: str
) -> RouteView:
    """The newest that can be known. What does not answer leaves the last known in place: searches go on by it.
    ``route``: as the database has it now; None where it could not be read, and ``stale`` says why."""
    routed = route is not None or (last is not None and last.routed)
    if route is None or (last is not None and last.routed and last.route.version > route.version):
        route = last.route if last else Route(alias)
    known = _known_targets(last, route)
    try:
        live, others = _find_live(services, route)
        return RouteView(
            route,
            _read_target(services, alias, live, known) if live else None,
            {arm.variant: _read_target(services, alias, arm.collection, known) for arm in route.tried},
            stale,
            routed,
            others,
        )
    except AppError as error:
        return replace(last or RouteView(route), stale=str(error), routed=routed, fault=_kind_of_error(error))


def _kind_of_error(error: AppError) -> type[AppError]:
    """What waiting does not mend stays a refusal, or a setting to be corrected."""
    return next((kind for kind in (Misconfigured, Refused) if isinstance(error, kind)), Unavailable)


def load_model(services: Services, target: Target) -> Embedder | None:
    """The model a collection is asked with, loaded; None where it takes vectors only. Raises Refused if it is another
    than the collection was made with, or makes vectors of another size: a name on the hub, a folder and a line of the
    index file can all come to mean something else."""
    if target.embedding is None:
        return None
    found = services.embedder(target.embedding)
    name = target.embedding.model
    if target.identity is not None and found.identity != target.identity:
        raise Refused(
            f"{target.collection} was made with {target.identity}, and {name} is {found.identity} here: deploy again, "
            "or bring the model back that it was made with"
        )
    if target.size is not None and found.dimension != target.size:
        raise Refused(
            f"{target.collection} has vectors of {target.size} numbers, and {name}, declared in the index file, makes "
            f"{found.dimension}: declare the model it was made with"
        )
    assert found.dimension
    return found


def load_text_models(services: Services, target: Target) -> None:
    """All that searches by text will need. Raises Refused as ``load_model`` does."""
    load_model(services, target)
    for by in target.made.values():
        if by.embedding is not None:
            assert services.embedder(by.embedding).dimension


def embed_text(services: Services, target: Target, name: str, text: str) -> OneQuery:
    """What a text asks of one vector. Raises Refused where nothing makes that vector of a text, or where its
    model is another now."""
    if name == target.using and target.embedding is not None:
        embedder = load_model(services, target)
        assert embedder is not None
        return embedder.query(text)
    by = target.made.get(name)
    if by is None:
        known = ", ".join(one or '""' for one in target.made) or "none"
        raise Refused(
            f"vector {name or 'without a name'} of {target.collection} is made of no text: give a vector, or ask one "
            f"that is made of texts: {known}"
        )
    if by.server is not None:
        return ServerText(text, by.server.server, by.server.options)
    assert by.embedding is not None
    found = services.embedder(by.embedding)
    if by.identity and found.identity != by.identity:
        raise Refused(
            f"vector {name} of {target.collection} was made with {by.identity}, and {by.embedding.model} is "
            f"{found.identity} here: deploy again, or bring the model back that it was made with"
        )
    return found.query(text)


def _known_targets(last: RouteView | None, route: Route) -> dict[str, Target]:
    """A stamp does not change once it is there. A collection without one may have got it since, which matters when it
    is compared with another: so it is looked at again when the route changes."""
    if last is None:
        return {}
    same = last.route.version == route.version
    return {target.collection: target for target in last.targets if same or target.stamp is not None}


def _find_live(services: Services, route: Route) -> tuple[str | None, tuple[str, ...]]:
    if not route.at_rest:
        return route.collection(LIVE), ()
    aliases = services.store.aliases()
    return aliases.get(route.alias), () if route.alias in aliases else tuple(sorted(aliases))


def _read_declaration(services: Services, alias: str) -> IndexSpec | None:
    """What the index file says of it. One that cannot be read says nothing: collections tell by their stamps what made
    them, and searches go on."""
    try:
        return services.indexes().get(alias)
    except Refused as error:
        log.warning("the index file is left out of searches of %s: %s", alias, error)
        return None


def _read_target(services: Services, alias: str, collection: str, known: Mapping[str, Target]) -> Target:
    """One that is gone is told apart by searching it."""
    declared = _read_declaration(services, alias)
    search, coming = (declared.search, declared_names(declared)) if declared else (None, frozenset())
    if collection in known:
        return replace(known[collection], search=search, coming=coming)
    try:
        stamp = read_stamp(services.store, collection)
    except Refused:
        stamp = None
    models = declared.models if declared else ()
    embedding = stamp.spec if stamp else next(iter(models), None)
    named = embedding.vector if embedding else ""
    if stamp:
        named = stamp.vector
    identity = stamp.identity if stamp else None
    try:
        schema = services.store.schema(collection)
    except Refused:
        return Target(collection, embedding, identity, named, stamp=stamp, search=search, coming=coming)
    using = meant_vector(schema, named)
    names = tuple(vector_names(schema))
    params = vector_params(schema, using) if using in names else None
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
    """By the stamp; a collection that has none is taken to be made as the index file says."""
    if stamp is not None:
        found = stamp.made
    elif spec is not None:
        found = {model.vector: MadeBy("", embedding=model) for model in spec.models}
        servers = {name: said for name, said in spec.vectors.items() if isinstance(said, ServerVectorSpec)}
        found |= {name: MadeBy("", server=said) for name, said in servers.items()}
    else:
        found = {}
    return {(using if name == named else name): by for name, by in found.items() if (name in names or name == named)}
