"""``experiment list``."""

from qdrant_rollouts.core.experiments import listing
from qdrant_rollouts.interfaces.cli import findings, screen
from qdrant_rollouts.interfaces.cli.running import DONE, looked


def list_(alias: str | None, limit: int, as_json: bool) -> int:
    with looked() as house:
        found = listing.experiments(house.services, alias, limit)
    if as_json:
        screen.emit({"experiments": found})
    else:
        screen.console().print(findings.listed(found))
    return DONE
