"""Drops a collection that a run has made, but only if nobody can be searching it."""

from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, Reject, StepContext
from qdrant_rollouts.core.routing import table


def drop_unused(context: StepContext, collection: str) -> Outcome:
    """Drops the collection, unless an alias or the alias's route leads to it, or an experiment
    compares it. The caller knows that this run has made it."""
    alias = context.deployment.alias
    store = context.services.store
    if table.current_route(context.services, alias).green == collection:
        return Reject(f"{collection} is not dropped: the route of {alias} leads to it")
    with context.services.sessions() as session:
        comparing = deletions.find_open_experiments(session, collection)
    if comparing:
        return Reject(
            f"{collection} is not dropped: experiment {comparing[0]} compares it; `rollouts "
            f"experiment stop {comparing[0]}` ends it"
        )
    context.turn.check(ACT_SECONDS)
    using = [alias for alias, target in store.aliases().items() if target == collection]
    if using:
        return Reject(f"{collection} is not dropped: alias {using[0]} points to it")
    store.drop(collection)
    return Done(StepOutput(summary=f"{collection} dropped"))
