"""The plans for backups: to make one, to verify one, to restore one, and to read one as a
source."""

from dataclasses import replace

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.plan import Plan, Step
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.strategies.parts import plan_switching


def plan_backup(actor: str, reason: str, keep: int | None = None) -> Plan:
    thin = () if keep is None else (replace(STEPS["thin"], arguments={"keep": keep}),)
    seal = replace(STEPS["seal"], arguments={"actor": actor, "reason": reason})
    return (STEPS["snapshot"], STEPS["fetch"], seal, *thin)


def plan_verification(backup: str) -> Plan:
    return (
        _step_with_backup("recover", backup),
        _step_with_backup("compare", backup),
        STEPS["drop"],
    )


def plan_restore(spec: IndexSpec, backup: str) -> Plan:
    """Returns the plan of a deployment whose green is recovered from a backup instead of built. It
    serves as it was: what was written since may be what it is to undo."""
    return (
        _step_with_backup("recover", backup),
        _step_with_backup("compare", backup),
        STEPS["validate"],
        *plan_switching(spec),
    )


def plan_unpacking(plan: Plan, backup: str, collection: str) -> Plan:
    """Returns ``plan`` with two more steps: one unpacks the backup that the records come from into
    ``collection``, and one drops it after the gate has read it."""
    judged = max(
        number
        for number, step in enumerate(plan, 1)
        if step.traits.judges or step.traits.fills_green
    )
    unpack, discard = (
        _step_with_backup(name, backup, collection=collection) for name in ("unpack", "discard")
    )
    return (unpack, *plan[:judged], discard, *plan[judged:])


def _step_with_backup(name: str, backup: str, **arguments: str) -> Step:
    return replace(STEPS[name], arguments={"backup": backup, **arguments})
