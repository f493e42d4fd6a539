"""What is done with backups: one is made, one is tried out, one takes the place of what serves."""

from dataclasses import replace

from core.plan import Plan, Step
from core.steps import STEPS


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


def _of(name: str, backup: str) -> Step:
    return replace(STEPS[name], arguments={"backup": backup})
