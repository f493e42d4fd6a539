"""Opens the source that a deployment reads its records from."""

from qdrant_rollouts.core.collections.parts import open_part
from qdrant_rollouts.core.collections.recovered import RecoveredSource
from qdrant_rollouts.core.config.id_fields import with_declared_ids
from qdrant_rollouts.core.database.step_data import Unset
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.backup_data import UnpackedSource
from qdrant_rollouts.core.ports import Cursor, Source


def open_deployment_source(context: StepContext) -> Source:
    """Returns the deployment's source. A backup is read from the collection that it was recovered
    into."""
    named = context.deployment.source
    services = context.services
    assert named is not None
    unpacked = context.outputs.find(UnpackedSource)
    if unpacked is None:
        return with_declared_ids(services.source(named), context.deployment.spec)
    return RecoveredSource(
        services.source(named), services.source(f"collection:{unpacked.collection}")
    )


def why_changed(context: StepContext, source: Source, known: str | Unset | None) -> str:
    """Returns why green cannot be filled any further, if the source is another one than when that
    began; else nothing."""
    if source.fingerprint() == known:
        return ""
    return f"{context.deployment.source} changed while it was being read; deploy again"


def open_part_of_source(context: StepContext, start: Cursor | None, stop: Cursor | None) -> Source:
    """Returns the part of the deployment's source after ``start`` up to ``stop``."""
    named = context.deployment.source
    assert named is not None
    part = open_part(context.services.source(named), start, stop)
    return with_declared_ids(part, context.deployment.spec)
