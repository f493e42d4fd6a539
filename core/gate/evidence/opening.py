"""Opens a gate: which collection is judged, and beside which one. Each turn opens it again from
declarations and stamps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import select

from qdrant_rollouts.core.collections.chunks import chunk_source
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.live_source import LIVE
from qdrant_rollouts.core.collections.makers import Maker, open_makers
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.recovered import backup_of
from qdrant_rollouts.core.collections.schema import (
    NewVectors,
    build_schema,
    meant_vector,
    vector_names,
)
from qdrant_rollouts.core.collections.stamps import FACTS_KEY, Stamp, read_stamp
from qdrant_rollouts.core.collections.text_search import (
    build_text_search,
    declared_names,
)
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.id_fields import with_declared_ids
from qdrant_rollouts.core.config.index_file import DOCUMENTS, IndexSpec
from qdrant_rollouts.core.database.models import Deployment, StepRow, Version
from qdrant_rollouts.core.database.step_data import read_data
from qdrant_rollouts.core.database.step_traits import StepTraits, has_trait
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate.evidence import judged
from qdrant_rollouts.core.gate.evidence.context import GateContext, JudgedQuery
from qdrant_rollouts.core.gate.evidence.live_side import measure_models, open_live
from qdrant_rollouts.core.ports import PointId, Schema, Source, State
from qdrant_rollouts.core.ports.naming import point_id
from qdrant_rollouts.core.services import Services

#: How many records of a source are looked for in a collection that may come from it.
_FIRST = 16


@dataclass(frozen=True, slots=True)
class Followed:
    """The collection that green was brought up to, what is known of green since, and what brings
    single points over."""

    leader: str
    filled: Filling
    bring_over: Callable[[Sequence[PointId]], None]


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
    filled: Filling,
    memory: State,
    restricted_later: bool = True,
    elsewhere: bool = False,
    unknown_is_fine: str = "",
    bring_over: Callable[[Sequence[PointId]], None] | None = None,
) -> GateContext:
    """Raises Refused if a model, the source or the judged queries cannot be opened, and if the
    declared search names a vector that no text can search."""
    makers = open_makers(services, plan)
    names = vector_names(services.store.schema(green))
    build_text_search(spec.search, tuple(makers), names, declared_names(spec))
    main = makers.get(vector)
    measured = measure_models(
        services, memory, plan, [green if elsewhere else None, blue if blue != green else None]
    )
    records = _open_records(services, green, spec, plan, source, makers)
    return GateContext(
        store=services.store,
        green=green,
        spec=spec,
        live=open_live(services, green, blue, spec, makers, vector, measured, elsewhere=elsewhere)
        if blue
        else None,
        wanted=wanted,
        vector=vector,
        embedder=main.embedder if main else None,
        plan=plan,
        makers=makers,
        source=records
        if not elsewhere or _is_filled_from(services, green, records, memory)
        else None,
        filled=filled,
        judged=read_judged_queries(services, spec),
        memory=memory,
        ready_look=services.times.ready_look,
        alone=blue in (None, green),
        restricted_later=restricted_later,
        coming=declared_names(spec),
        elsewhere=elsewhere,
        unknown_is_fine=unknown_is_fine,
        bring_over=bring_over,
        stamped=read_stamp(services.store, green) is not None,
    )


def open_existing(
    services: Services,
    green: str,
    blue: str | None,
    spec: IndexSpec,
    memory: State,
    *,
    unknown_is_fine: str = "",
    followed: Followed | None = None,
) -> GateContext:
    """Opens the gate of a collection that no deployment is building: its schema should be blue's,
    and its source is what its deployment recorded, or what the index file says. If it has
    ``followed`` a collection since, it is held against that one."""
    store = services.store
    stamp = read_stamp(store, green)
    schema = store.schema(green)
    declared_name = next((model.vector for model in spec.models), "")
    vector = meant_vector(schema, stamp.vector if stamp else declared_name)
    model = None
    if blue and blue != green:
        model = store.schema(blue)
    plan = existing_plan(services, green, spec)
    sizes = {name: services.embedder(made).dimension for name, made in plan.made.items()}
    source = _find_source_name(services, green) or spec.source
    if followed is not None:
        source = f"collection:{followed.leader}"
    return open_gate(
        services,
        green,
        blue,
        spec,
        source=_open_source(services, source, spec),
        wanted=build_schema(model, spec.collection, NewVectors(sizes))
        if model or sizes
        else schema,
        vector=vector,
        plan=plan,
        filled=_read_filled(services, green) if followed is None else followed.filled,
        memory=memory,
        restricted_later=False,
        elsewhere=is_made_elsewhere(services, green),
        unknown_is_fine=unknown_is_fine,
        bring_over=followed.bring_over if followed is not None else None,
    )


def existing_plan(services: Services, green: str, spec: IndexSpec) -> VectorPlan:
    """Returns what the collection's own stamp says about its vectors; without a stamp, what the
    index file declares."""
    stamp = read_stamp(services.store, green)
    schema = services.store.schema(green)
    names = set(vector_names(schema))
    if stamp is not None and stamp.made:
        made = {name: by.embedding for name, by in stamp.made.items() if by.embedding}
        server_made = {name: by.server for name, by in stamp.made.items() if by.server}
        rest = names - made.keys() - server_made.keys()
        return VectorPlan(made=made, server_made=server_made, optional=frozenset(rest))
    made = {meant_vector(schema, model.vector): model for model in spec.models}
    return VectorPlan(made=made, optional=frozenset(names - made.keys()))


def is_made_elsewhere(services: Services, collection: str) -> bool:
    """Did another program fill it? If a deployment of ours did, a step or a fact says so, even if
    the stamp is gone."""
    with services.sessions() as session:
        row = session.get(Version, collection)
        mine = None
        if row is not None:
            mine = row.deployment_id
        steps = select(StepRow.name).where(StepRow.deployment_id == mine, has_trait(_fills))
        if row is not None and ("way" in row.facts or session.scalars(steps).first() is not None):
            return False
    metadata = services.store.metadata(collection)
    stamp = Stamp.of(metadata)
    return not (stamp is not None and stamp.deployment) and "way" not in (
        metadata.get(FACTS_KEY) or {}
    )


def _fills(step: StepTraits) -> bool:
    return step.fills_green


def _open_records(
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
    return chunk_source(source, makers, rules)


def _read_filled(services: Services, collection: str) -> Filling:
    """Returns what the collection's deployment recorded; empty for a collection of another
    program."""
    with services.sessions() as session:
        query = select(StepRow.output).join(Version, Version.deployment_id == StepRow.deployment_id)
        filling = query.where(Version.collection == collection, has_trait(_fills))
        outputs = session.scalars(filling.order_by(StepRow.position.desc())).all()
    latest: State = next(filter(None, outputs), {})
    # A step that makes and fills green in one has it within what it hands on.
    return read_data(Filling, latest.get("filled", latest)).without_looks()


def _open_source(services: Services, named: str | None, spec: IndexSpec) -> Source | None:
    """Returns None for a backup too: reading it takes a server, a collection and hours, which only
    a deployment does. ``live`` is None as well: what was live then is not known any more."""
    if not named or named.strip() == LIVE or backup_of(named) is not None:
        return None
    source = services.source(named)
    if named.startswith(DOCUMENTS):
        return with_declared_ids(source, spec)
    return source


def _find_source_name(services: Services, collection: str) -> str | None:
    with services.sessions() as session:
        query = select(Deployment.source).join(Version, Version.deployment_id == Deployment.id)
        return session.scalars(query.where(Version.collection == collection)).first()


def read_judged_queries(services: Services, spec: IndexSpec) -> tuple[JudgedQuery, ...]:
    path = spec.validation.judged
    if not path:
        return ()
    return judged.read_judged(services.source(judged.source_text(path)))


def _is_filled_from(services: Services, green: str, source: Source | None, memory: State) -> bool:
    """Was a collection that another program made filled from this source? If it lacks half of the
    first records, the source says nothing about it."""
    kept = memory.get("filled_from")
    if source is None:
        return False
    if kept is None:
        ids = _first_ids(services, source)
        there = services.store.fetch(green, ids, vectors=False) if ids else []
        kept = memory["filled_from"] = {"source": 2 * len(there) >= len(ids) > 0, "complete": True}
    return bool(kept["source"])


def _first_ids(services: Services, source: Source) -> list[PointId]:
    if source.collection is not None:
        points, _ = services.store.scroll(
            source.collection, None, _FIRST, vectors=False, payload=False
        )
        return [point.id for point in points]
    try:
        rows = list(islice(source.read(None), _FIRST))
    except Refused:
        return []
    ids = [(row.fields or {}).get("id") for row in rows]
    return [point_id(id) for id in ids if isinstance(id, int | str) and not isinstance(id, bool)]
