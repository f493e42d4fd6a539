"""Green is dropped only where nobody could be searching it."""

from core.aliases import ACT_SECONDS
from core.plan import Done, Outcome, Reject, StepContext
from core.routing import table


def drop(context: StepContext) -> Outcome:
    """Drops green, which the caller knows to be this run's, unless an alias or the alias's route leads to it."""
    deployment, store = context.deployment, context.services.store
    if table.current(context.services, deployment.alias).green == deployment.green:
        return Reject(f"{deployment.green} is not dropped: the route of {deployment.alias} leads to it")
    context.turn.check(ACT_SECONDS)
    using = [alias for alias, target in store.aliases().items() if target == deployment.green]
    if using:
        return Reject(f"{deployment.green} is not dropped: alias {using[0]} points to it")
    store.drop(deployment.green)
    return Done({"summary": f"{deployment.green} dropped"})
