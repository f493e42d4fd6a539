"""``validate``: the gate without a deployment."""

from collections.abc import Sequence

from qdrant_rollouts.core.deployments.commands.validating import validate_collection as judge
from qdrant_rollouts.interfaces.cli import judgment, screen
from qdrant_rollouts.interfaces.cli.deploying import parse_options
from qdrant_rollouts.interfaces.cli.running import DONE, ENDED_BADLY, open_for_reading


def validate_collection(alias: str, collection: str, options: Sequence[str], every: bool, as_json: bool) -> int:
    with open_for_reading(store=True) as house:
        report = judge(house.services, alias, collection, options=parse_options(options), tell=_print_progress)
    if as_json:
        screen.print_json(report)
    else:
        screen.make_console().print(judgment.render_gate(report, every=every))
    return DONE if report["verdict"] == "pass" else ENDED_BADLY


def _print_progress(words: str) -> None:
    screen.print_note(words)
