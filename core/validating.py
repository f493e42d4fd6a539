"""The gate by itself: a collection judged without a deployment, and nothing changed."""

import time
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

from sqlalchemy import select

from core import gate
from core.commands import spec_of
from core.errors import Refused
from core.evidence.context import GateContext
from core.evidence.opening import open_gate
from core.models import Deployment, StepRow, Version
from core.naming import check_name
from core.plan import State
from core.schema import declared, dense_names
from core.services import Services
from core.stamps import Stamp, read_stamp


def validate(
    services: Services,
    alias: str,
    collection: str,
    *,
    options: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] = lambda words: None,
) -> State:
    """The gate's report on ``collection`` as the next one of ``alias``. ``tell`` hears what is being looked at.

    Raises Refused for an alias or a collection that nobody knows, and for settings that make no sense."""
    check_name("collection", collection)
    opened = _opened(services, check_name("alias", alias), collection, options or {})
    pause = Event()
    while (wait := gate.collect(opened, _every_second())) is not None:
        tell(gate.words(opened))
        pause.wait(wait)
    return {**gate.report(opened), "alias": alias}


def _opened(services: Services, alias: str, collection: str, options: Mapping[str, Any]) -> GateContext:
    live = services.store.aliases()
    if collection not in services.store.collections():
        raise Refused(f"collection {collection} does not exist; name a collection, not an alias")
    spec = spec_of(services, alias, live, options)
    stamp, schema = read_stamp(services.store, collection), services.store.schema(collection)
    vector = _vector(stamp, spec.embedding.vector if spec.embedding else "", dense_names(schema))
    blue = live.get(alias)
    embedder = services.embedder(spec.embedding) if spec.embedding else None
    model = services.store.schema(blue) if blue and blue != collection else None
    size = embedder.dimension if embedder else 0
    return open_gate(
        services,
        collection,
        blue,
        spec,
        source=_source(services, collection) or spec.source,
        wanted=declared(model, spec.collection, vector, size) if model or size else schema,
        vector=vector,
        filled=_filled(services, collection),
        memory={},
    )


def _vector(stamp: Stamp | None, named: str, names: list[str]) -> str:
    if stamp is not None:
        return stamp.vector
    return named or (names or [""])[0]


def _filled(services: Services, collection: str) -> State:
    """What the deployment that made the collection wrote down of it; nothing for somebody else's."""
    with services.sessions() as session:
        query = select(StepRow.output).join(Version, Version.deployment_id == StepRow.deployment_id)
        found = session.scalars(query.where(Version.collection == collection, StepRow.name == "populate")).first()
    return {name: value for name, value in (found or {}).items() if name != "looks"}


def _source(services: Services, collection: str) -> str | None:
    with services.sessions() as session:
        query = select(Deployment.source).join(Version, Version.deployment_id == Deployment.id)
        return session.scalars(query.where(Version.collection == collection)).first()


def _every_second() -> Callable[[], bool]:
    ends = time.monotonic() + 1
    return lambda: time.monotonic() >= ends
