"""Where a deployment reads its records."""

from qdrant_rollouts.core.collections.recovered import RecoveredSource
from qdrant_rollouts.core.config.id_fields import with_declared_ids
from qdrant_rollouts.core.database.step_traits import traits_of
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.ports import Source, State


def open_deployment_source(context: StepContext) -> Source:
    """Its source; a backup in the collection that it was recovered into."""
    named = context.deployment.source
    services = context.services
    assert named is not None
    unpacked = find_unpacked(context)
    if not unpacked:
        return with_declared_ids(services.source(named), context.deployment.spec)
    return RecoveredSource(services.source(named), services.source(f"collection:{unpacked['collection']}"))


def find_unpacked(context: StepContext) -> State | None:
    """What the step handed on that has recovered the backup to read; None where the source is no backup."""
    return next((output for name, output in context.outputs.items() if traits_of(name).unpacks_source), None)
