"""Who is judged, and beside whom: a gate is opened anew in each turn from what is declared and what is stamped."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import select

from core.chunks import chunked
from core.errors import Refused
from core.evidence import judged
from core.evidence.context import GateContext, Judged, Live
from core.id_fields import identified
from core.index_file import DOCUMENTS, ChunkSpec, EmbeddingSpec, IndexSpec
from core.makers import Maker, open_makers
from core.models import Deployment, StepRow, Version
from core.plan import State
from core.ports import Schema, Source
from core.records import RecordRules
from core.recovered import backup_of
from core.schema import NewVectors, declared, meant_vector, same_vectors, vector_names
from core.services import Services
from core.stamps import Stamp, read_stamp
from core.text_search import TextSearch, declared_names, text_search
from core.vectors import VectorPlan

#: The steps that fill a collection.
_FILLS = ("populate", "recover")


def open_gate(
    services: Services,
    green: str,
    blue: str | None,
    spec: IndexSpec,
    *,
    source: Source | None,
    wanted: Schema | None,
    vector: str,
    plan: VectorPlan,
    filled: Mapping[str, Any],
    memory: State,
    restricted_later: bool = True,
) -> GateContext:
    """Raises Refused where a model, the source or the judged queries cannot be opened, and where the declared search
    names a vector that no text can ask."""
    makers, names = open_makers(services, plan), vector_names(services.store.schema(green))
    text_search(spec.search, tuple(makers), names, declared_names(spec))
    main = makers.get(vector)
    embedder = main.embedder if main else None
    return GateContext(
        store=services.store,
        green=green,
        spec=spec,
        live=_live(services, green, blue, spec, makers, vector) if blue else None,
        wanted=wanted,
        vector=vector,
        embedder=embedder,
        plan=plan,
        makers=makers,
        source=_records(services, green, spec, plan, source, makers),
        filled=filled,
        judged=judged_queries(services, spec),
        memory=memory,
        ready_look=services.times.ready_look,
        alone=blue in (None, green),
        restricted_later=restricted_later,
        coming=declared_names(spec),
    )


def open_existing(services: Services, green: str, blue: str | None, spec: IndexSpec, memory: State) -> GateContext:
    """The gate of a collection that no deployment is building: what it should be is blue's schema, and what it was
    filled from is what the deployment that made it wrote down, or what the index file says."""
    store = services.store
    stamp, schema = read_stamp(store, green), store.schema(green)
    vector = meant_vector(schema, stamp.vector if stamp else spec.embedding.vector if spec.embedding else "")
    model = store.schema(blue) if blue and blue != green else None
    plan = existing_plan(services, green, spec)
    sizes = {name: services.embedder(made).dimension for name, made in plan.made.items()}
    return open_gate(
        services,
        green,
        blue,
        spec,
        source=_source(services, _named(services, green) or spec.source, spec),
        wanted=declared(model, spec.collection, NewVectors(sizes)) if model or sizes else schema,
        vector=vector,
        plan=plan,
        filled=_filled(services, green),
        memory=memory,
        restricted_later=False,
    )


def existing_plan(services: Services, green: str, spec: IndexSpec) -> VectorPlan:
    """What the collection's own stamp says of its vectors; where it has none, what the index file declares."""
    stamp, schema = read_stamp(services.store, green), services.store.schema(green)
    declared_name = spec.embedding.vector if spec.embedding else ""
    vector = meant_vector(schema, stamp.vector if stamp else declared_name)
    names = set(vector_names(schema))
    if stamp is not None and stamp.made:
        made = {name: by.embedding for name, by in stamp.made.items() if by.embedding}
        server_made = {name: by.server for name, by in stamp.made.items() if by.server}
        rest = names - made.keys() - server_made.keys()
        return VectorPlan(made=made, server_made=server_made, optional=frozenset(rest))
    if spec.embedding is not None:
        return VectorPlan(made={vector: spec.embedding}, optional=frozenset(names - {vector}))
    return VectorPlan(optional=frozenset(names))


def _records(
    services: Services,
    green: str,
    spec: IndexSpec,
    plan: VectorPlan,
    source: Source | None,
    makers: Mapping[str, Maker],
) -> Source | None:
    if source is None:
        return None
    rules = RecordRules.of(plan, services.store.schema(green), spec.vector_field)
    return chunked(source, makers, rules)


def _texts(embedding: EmbeddingSpec | None) -> tuple[str, ChunkSpec | None] | None:
    """What makes the texts that are embedded."""
    return (embedding.text, embedding.chunk) if embedding else None


def _filled(services: Services, collection: str) -> State:
    """What the deployment that made the collection wrote down of it; nothing for somebody else's."""
    with services.sessions() as session:
        query = select(StepRow.output).join(Version, Version.deployment_id == StepRow.deployment_id)
        found = session.scalars(query.where(Version.collection == collection, StepRow.name.in_(_FILLS))).first()
    found = (found or {}).get("filled", found or {})
    return {name: value for name, value in found.items() if name != "looks"}


def _source(services: Services, named: str | None, spec: IndexSpec) -> Source | None:
    """None for a backup too: reading it takes a server, a collection and hours, which is for a deployment to do."""
    if not named or backup_of(named) is not None:
        return None
    source = services.source(named)
    return identified(source, spec) if named.startswith(DOCUMENTS) else source


def _named(services: Services, collection: str) -> str | None:
    with services.sessions() as session:
        query = select(Deployment.source).join(Version, Version.deployment_id == Deployment.id)
        return session.scalars(query.where(Version.collection == collection)).first()


def judged_queries(services: Services, spec: IndexSpec) -> tuple[Judged, ...]:
    path = spec.validation.judged
    return judged.read(services.source(judged.source_text(path))) if path else ()


def _live(
    services: Services, green: str, blue: str, spec: IndexSpec, makers: Mapping[str, Maker], vector: str
) -> Live | None:
    """None when blue is gone or is green itself: then there is nothing to compare with."""
    store = services.store
    if blue == green or blue not in store.collections():
        return None
    stamp, schema, ours = read_stamp(store, blue), store.schema(blue), store.schema(green)
    names = vector_names(schema)
    using = meant_vector(schema, stamp.vector if stamp else vector if vector in names else "")
    theirs = services.embedder(stamp.spec) if stamp and stamp.spec else None
    main = makers.get(vector)
    alike = using == vector and vector in names and same_vectors(schema, ours, vector)
    known = stamp is None or stamp.identity == (main.embedder.identity if main and main.embedder else None)
    texts = stamp is None or _texts(stamp.spec) == _texts(spec.embedding)
    movable = {name for name in names if name != vector and same_vectors(schema, ours, name)}
    same = frozenset(name for name in movable if _same_maker(stamp, makers, name))
    main_too = same | ({vector} if alike and known else set())
    live_makers = _live_makers(services, stamp, using) if stamp else {n: makers[n] for n in makers if n in main_too}
    return Live(
        blue,
        using,
        theirs,
        same_model=alike and known,
        same_texts=texts,
        same=same,
        makers=live_makers,
        search=_live_search(spec, live_makers, names),
    )


def _same_maker(stamp: Stamp | None, makers: Mapping[str, Maker], name: str) -> bool:
    """Vectors that nobody made of a text are their owner's business, and names, sizes and distances say enough."""
    made, ours = stamp.made.get(name) if stamp else None, makers.get(name)
    if stamp is None:
        return True
    return (made.identity if made else None) == (ours.identity if ours else None)


def _live_makers(services: Services, stamp: Stamp, using: str) -> dict[str, Maker]:
    """Without those whose model is away: then live is not asked by their names."""
    found = {}
    for name, by in stamp.made.items():
        with suppress(Refused):
            embedder = services.embedder(by.embedding) if by.embedding else None
            found[using if name == stamp.vector else name] = Maker(by, embedder)
    return found


def _live_search(spec: IndexSpec, makers: Mapping[str, Maker], names: Sequence[str]) -> TextSearch | None:
    """None where a text asks live nothing."""
    try:
        return text_search(spec.search, tuple(makers), names, declared_names(spec))
    except Refused:
        return None
