"""Prints an experiment after it was changed."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.experiments import queries
from qdrant_rollouts.interfaces.cli import findings, screen
from qdrant_rollouts.interfaces.cli.running import DONE, CliContext
from qdrant_rollouts.interfaces.embedded import running_elsewhere

_NOBODY = "it is not evaluated until `rollouts up` is started"


def print_experiment(context: CliContext, experiment: str, as_json: bool) -> int:
    seen = queries.get_experiment(context.services, experiment)
    if seen["status"] == "running" and context.runner is not None and running_elsewhere() is None:
        screen.print_note(_NOBODY)
    if as_json:
        screen.print_json(seen)
        return DONE
    out = screen.make_console()
    out.print(findings.render_head(seen))
    out.print(Text(_suggest_next(seen), style="dim"))
    return DONE


def _suggest_next(seen: Mapping[str, Any]) -> str:
    if seen["status"] == "draft":
        return f"start it with: rollouts experiment start {seen['id']}"
    return f"what it has found: rollouts experiment report {seen['id']}"
