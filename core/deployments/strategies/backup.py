"""What is done with backups: one is made, tried out, put in the place of what serves, or read as a source."""

from dataclasses import replace

from qdrant_rollouts.core.deployments.plan import Plan, Step
from qdrant_rollouts.core.deployments.steps import STEPS


def make(actor: str, reason: str, keep: int | None = None) -> Plan:
    thin = () if keep is None else (replace(STEPS["thin"], arguments={"keep": keep}),)
    seal = replace(STEPS["seal"], arguments={"actor": actor, "reason": reason})
    return (STEPS["snapshot"], STEPS["fetch"], seal, *thin)


def verify(backup: str) -> Plan:
    return (_of("recover", backup), _of("compare", backup), STEPS["drop"])


def restore(backup: str) -> Plan:
    """As a deployment, but green is recovered instead of built."""
    return (
        _of("recover", backup),
        _of("compare", backup),
        STEPS["validate"],
        STEPS["switch"],
        STEPS["soak"],
    )


def source(plan: Plan, backup: str, collection: str) -> Plan:
    """``plan`` with the backup its records come from, in ``collection`` until the gate has read it again."""
    judged = [step.name for step in plan].index("validate") + 1
    unpack, discard = (_of(name, backup, collection=collection) for name in ("unpack", "discard"))
    return (unpack, *plan[:judged], discard, *plan[judged:])


def _of(name: str, backup: str, **arguments: str) -> Step:
    return replace(STEPS[name], arguments={"backup": backup, **arguments})
