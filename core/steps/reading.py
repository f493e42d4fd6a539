"""Where a deployment reads its records."""

from core.id_fields import identified
from core.plan import StepContext
from core.ports import Source
from core.recovered import STEP, RecoveredSource


def source(context: StepContext) -> Source:
    """Its source; a backup in the collection that it was recovered into."""
    named, services = context.deployment.source, context.services
    assert named is not None
    unpacked = context.outputs.get(STEP)
    if not unpacked:
        return identified(services.source(named), context.deployment.spec)
    return RecoveredSource(services.source(named), services.source(f"collection:{unpacked['collection']}"))
