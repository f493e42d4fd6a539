"""Where a deployment reads its records."""

from qdrant_rollouts.core.collections.recovered import STEP, RecoveredSource
from qdrant_rollouts.core.config.id_fields import identified
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.ports import Source


def source(context: StepContext) -> Source:
    """Its source; a backup in the collection that it was recovered into."""
    named, services = context.deployment.source, context.services
    assert named is not None
    unpacked = context.outputs.get(STEP)
    if not unpacked:
        return identified(services.source(named), context.deployment.spec)
    return RecoveredSource(services.source(named), services.source(f"collection:{unpacked['collection']}"))
