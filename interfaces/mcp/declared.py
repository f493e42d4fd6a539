"""What an agent may start: a deployment of what the index file declares, through every gate.

Rule: a text may persuade a program that reads it of anything, so an agent cannot decide what is
read, or whether the result is checked.
"""

from qdrant_rollouts.core.answers.plans import Plan
from qdrant_rollouts.core.collections.versions import without_credentials
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.deployments.commands import InTransaction
from qdrant_rollouts.core.deployments.commands.planning import plan_deployment
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.sanitize.quoting import LONGEST_PLACE, quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.access.planning import PLACES


def plan_declared(services: Services, alias: str, source: str = "") -> Plan:
    """Returns what ``deploy_declared`` would do, and what that would take. Raises Refused as it
    does, and TooBusy if this process makes too many plans."""
    _check_declared(services, alias, source)
    with PLACES.take_place(alias):
        return plan_deployment(services, alias)


def deploy_declared(
    services: Services,
    alias: str,
    source: str = "",
    *,
    validate: bool = True,
    actor: str,
    along: InTransaction = commands.do_nothing,
) -> str:
    """Starts a deployment by the index file's own settings and returns its id. ``source`` may only
    repeat what the file declares. Without ``validate`` nothing is started, because no gate is ever
    skipped. Raises Refused."""
    _check_declared(services, alias, source)
    if not validate:
        raise Refused(
            "validate=false is refused and nothing was started: a collection serves only after its "
            "gate has passed. "
            "Call again with validate=true; which checks the gate has is for the index file to say "
            "(validation)"
        )
    return commands.start_deployment(
        services, alias, actor=actor, reason="asked for by an agent", along=along
    )


def _check_declared(services: Services, alias: str, source: str) -> None:
    declared = services.indexes()
    if alias not in declared:
        known = ", ".join(sorted(declared)) or "none"
        raise Refused(
            f"index {quote_value(alias)} is not declared in the index file; declared: {known}"
        )
    _check_source(alias, declared[alias].source, source)


def _check_source(alias: str, declared: str | None, asked: str) -> None:
    if declared is None:
        raise Refused(
            f"index {alias} declares no source, and none can be named here: a person deploys it"
        )
    shown = without_credentials(declared)
    if asked and asked not in (declared, shown):
        raise Refused(
            f"source {quote_value(asked, LONGEST_PLACE)} is not what the index file declares for "
            f"{alias}: "
            f"{quote_value(shown, LONGEST_PLACE)}; or leave it out"
        )
