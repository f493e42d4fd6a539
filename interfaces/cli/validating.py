"""``validate``: the gate without a deployment."""

from collections.abc import Sequence

from qdrant_rollouts.core.deployments.commands.validating import validate as judge
from qdrant_rollouts.interfaces.cli import judgment, screen
from qdrant_rollouts.interfaces.cli.deploying import parsed
from qdrant_rollouts.interfaces.cli.running import DONE, ENDED_BADLY, looked


def validate(alias: str, collection: str, options: Sequence[str], every: bool, as_json: bool) -> int:
    with looked(store=True) as house:
        report = judge(house.services, alias, collection, options=parsed(options), tell=_tell)
    if as_json:
        screen.emit(report)
    else:
        screen.console().print(judgment.gate(report, every=every))
    return DONE if report["verdict"] == "pass" else ENDED_BADLY


def _tell(words: str) -> None:
    screen.note(words)
