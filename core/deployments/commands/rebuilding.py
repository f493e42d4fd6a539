"""Starts a deployment with the index file's own settings, unless it would build what already
serves.

Rule: nothing is built only if everything that could make a difference was checked and is the same:
the source, the model and how it is used, the collection's settings, and the number of points. If
something cannot be checked, the index is built.
"""

from dataclasses import dataclass

from sqlalchemy import select

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.live_source import name_source
from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deployment, StepRow, Version
from qdrant_rollouts.core.database.step_data import UNSET, read_data
from qdrant_rollouts.core.database.step_traits import has_trait
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import alias_lock, commands
from qdrant_rollouts.core.deployments.commands import InTransaction
from qdrant_rollouts.core.errors import Refused, Unknown
from qdrant_rollouts.core.services import Services

#: The parts of an index's settings that decide the contents of a collection.
_DECISIVE_SETTINGS = (
    "id_field",
    "embedding",
    "vectors",
    "chunk",
    "vector_field",
    "collection",
    "on_bad_record",
    "max_bad_records",
)


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing to do: ``collection`` serves and is what would be built."""

    collection: str
    reason: str


def rebuild_index(
    services: Services,
    alias: str,
    *,
    actor: str,
    reason: str = "",
    along: InTransaction = commands.do_nothing,
) -> str | Unchanged:
    """Returns the id of the started deployment, or why there is nothing to do, which is then
    recorded as an event.

    Raises Refused if something is running on ``alias``, before anything else is checked.
    """
    declared = services.indexes()
    if alias not in declared:
        raise Unknown(
            f"index {alias} is not declared in the index file; declared: "
            f"{', '.join(sorted(declared)) or 'none'}"
        )
    with services.sessions() as session:
        alias_lock.check_alias_idle(session, alias)
    same = find_unchanged(services, alias)
    if same is None:
        return commands.start_deployment(services, alias, actor=actor, reason=reason, along=along)
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        events.record_event(
            session, now, "index.unchanged", same.reason, actor=actor, reason=reason, alias=alias
        )
    return same


def find_unchanged(services: Services, alias: str) -> Unchanged | None:
    """Returns why a rebuild would build nothing; None if it would build something."""
    live = services.store.aliases()
    if alias not in live:
        return None
    spec = commands.resolve_spec(services, alias, live)
    built = _find_build(services, live[alias])
    if built is None or spec.source is None or _has_other_settings(spec, built[0]):
        return None
    deployment, filled = built
    source = services.source(name_source(spec.source, alias, live))
    # A collection as a source does not show whether it has changed.
    if (
        source.collection is not None
        or source.address != deployment.source
        or source.fingerprint() != filled.fingerprint
    ):
        return None
    if not _has_all_points(services, live[alias], filled) or not _has_same_model(
        services, live[alias], spec
    ):
        return None
    return Unchanged(
        live[alias],
        f"nothing to do: {source.address} and the settings are as {live[alias]} was built of",
    )


def _find_build(services: Services, collection: str) -> tuple[Deployment, Filling] | None:
    """Returns the deployment that made the collection, and its record of the population; None if
    there is none."""
    query = (
        select(Deployment, StepRow.output)
        .join(Version, Version.deployment_id == Deployment.id)
        .join(StepRow, StepRow.deployment_id == Deployment.id)
        .where(Version.collection == collection, has_trait(lambda step: step.fills_green))
    )
    with services.sessions() as session:
        rows = session.execute(query.order_by(StepRow.position.desc())).all()
    latest = next(((deployment, output) for deployment, output in rows if output), None)
    if latest is None:
        return None
    deployment, output = latest
    filled = read_data(Filling, output)
    if filled.fingerprint in (UNSET, None, ""):
        return None
    return (deployment, filled)


def _has_other_settings(spec: IndexSpec, built: Deployment) -> bool:
    before = read_stored(IndexSpec, built.spec)
    return any(getattr(spec, part) != getattr(before, part) for part in _DECISIVE_SETTINGS)


def _has_all_points(services: Services, collection: str, filled: Filling) -> bool:
    """Returns whether the collection still has all its points; False if strict mode allows no exact
    count."""
    try:
        return services.store.count(collection) == filled.expected
    except Refused:
        return False


def _has_same_model(services: Services, collection: str, spec: IndexSpec) -> bool:
    """Returns whether the same models made the collection. This is checked last, because it loads
    the models."""
    stamp = read_stamp(services.store, collection)
    if stamp is None:
        return False
    made = sorted(by.identity for by in stamp.made.values() if by.embedding is not None)
    return made == sorted(services.embedder(model).identity for model in spec.models)
