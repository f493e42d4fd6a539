"""Writes what a step has found out about green to the row of its version and to the collection's
own metadata."""

from collections.abc import Mapping
from typing import Any

from qdrant_rollouts.core.collections import versions
from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.data import Judged
from qdrant_rollouts.core.ports import State
from qdrant_rollouts.core.times import as_iso


def note_facts(context: StepContext, facts: Mapping[str, Any]) -> None:
    """Adds ``facts`` to green's row and metadata. Raises LeaseLost if the turn was taken away."""
    services = context.services
    green = context.deployment.green
    with services.sessions.begin() as session:
        context.turn.fence(session)
        row = versions.add_facts(session, green, facts)
        if row is None:
            return
        carried = versions.version_metadata(row)
    context.turn.check(ACT_SECONDS)
    services.store.set_metadata(green, carried)


def served_facts(context: StepContext) -> State:
    """Returns who serves since when. A repeated switch keeps the time of the first one."""
    services = context.services
    id = context.deployment.id
    with services.sessions() as session:
        row = session.get(Version, context.deployment.green)
        before = row.facts.get("served", {}) if row else {}
        now = as_iso(services.clock.now(session))
    if before.get("deployment") == id:
        return {"served": before}
    judged = context.outputs.find(Judged)
    approved_by = None
    if judged:
        approved_by = judged.approved_by
    return {"served": {"deployment": id, "since": now, "approved_by": approved_by}}
