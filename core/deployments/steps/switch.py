"""The switch: one act moves the alias from blue to green; the undo moves it back."""

from qdrant_rollouts.core.collections import aliases, readiness
from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments.plan import (
    DeploymentView,
    Done,
    Outcome,
    Reject,
    StepContext,
    Wait,
)
from qdrant_rollouts.core.deployments.steps import limiting
from qdrant_rollouts.core.deployments.steps.data import Switched
from qdrant_rollouts.core.deployments.steps.gate import why_gate_shut
from qdrant_rollouts.core.deployments.steps.version_notes import note_facts, served_facts
from qdrant_rollouts.core.routing import table

_READY_AGAIN = 2.0


def switch_to_green(context: StepContext) -> Outcome:
    """Moves the alias to green. Safe to run twice: if the alias is on green already, it stays
    there, and the recorded intent is completed."""
    deployment = context.deployment
    services = context.services
    closed = why_gate_shut(context)
    if closed:
        return Reject(closed)
    if services.store.aliases().get(deployment.alias) != deployment.green:
        missing = _check_green_ready(context)
        if missing:
            return missing
        barred = limiting.apply_strict_mode(context)
        if barred:
            return Reject(f"{barred}; nothing was switched")
    moved = aliases.move_alias(
        services,
        deployment.alias,
        deployment.green,
        expected={deployment.blue},
        actor="system",
        deployment_id=deployment.id,
        check=context.turn.check,
    )
    _clear_own_route(context)
    note_facts(context, served_facts(context))
    return Done(
        Switched(
            summary=_summarize_switch(deployment), came_from=deployment.blue, moved=moved.moved
        )
    )


def switch_to_blue(context: StepContext) -> Outcome:
    """Moves the alias back to blue if it is on green. If somebody has moved it elsewhere, it stays
    there."""
    deployment = context.deployment
    services = context.services
    found = services.store.aliases().get(deployment.alias)
    if found != deployment.green:
        said = f"{deployment.alias} is on {found}, not on {deployment.green}; left there"
        return Done(StepOutput(summary=said))
    if deployment.blue and deployment.blue not in services.store.collections():
        return Reject(f"{deployment.blue} is gone, {deployment.alias} stays on {deployment.green}")
    aliases.move_alias(
        services,
        deployment.alias,
        deployment.blue,
        expected={deployment.green},
        actor="system",
        deployment_id=deployment.id,
        check=context.turn.check,
    )
    return Done(StepOutput(summary=f"{deployment.alias} is back on {deployment.blue}"))


def _clear_own_route(context: StepContext) -> None:
    """Clears the canary's route, because the alias itself leads to green now."""
    deployment = context.deployment
    services = context.services
    if table.current_route(services, deployment.alias).deployment_id == deployment.id:
        table.clear_route(services, deployment.alias, fence=context.turn.fence)


def _summarize_switch(deployment: DeploymentView) -> str:
    came_from = ""
    if deployment.blue:
        came_from = f", was on {deployment.blue}"
    return f"{deployment.alias} is on {deployment.green}{came_from}"


def _check_green_ready(context: StepContext) -> Outcome | None:
    """Returns why the switch must wait or be rejected, or None. Green must exist and be ready at
    this moment, whatever earlier steps have found."""
    store = context.services.store
    green = context.deployment.green
    look = readiness.GONE
    if green in store.collections():
        look = aliases.inspect_and_wake(context.services, green)
    barred = readiness.why_unable_to_serve(green, look)
    if barred:
        return Reject(f"{barred}; nothing was switched")
    if look.ready:
        return None
    said = f"{green} is not ready: {look.reason}"
    if look.failing:
        said += f"; the server is asked to try again, {context.patience}"
    return Wait(_READY_AGAIN, said, progress=False)
