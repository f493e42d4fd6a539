"""``rollouts doctor``."""

from dataclasses import asdict

import click
from rich.text import Text

from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.checkup import exit_code, run_checks
from qdrant_rollouts.interfaces.cli.options import json_option
from qdrant_rollouts.interfaces.cli.running import verb
from qdrant_rollouts.interfaces.health_checks import Check


@click.command()
@json_option
@verb
def run_doctor(as_json: bool) -> int:
    """Checks settings and servers, and says how to correct faults."""
    checks = run_checks()
    code = exit_code(checks)
    if as_json:
        screen.print_json({"ok": code == 0, "checks": [_check_as_json(check) for check in checks]})
        return code
    rows = screen.make_table("", "CHECK", "FOUND")
    for check in checks:
        screen.add_row(
            rows, (screen.status_text(check.state), check.name, check.value.replace("\n", "; "))
        )
        if check.advice:
            screen.add_row(rows, ("", "", Text(f"→ {check.advice}", style="dim")))
    screen.make_console().print(rows)
    return code


def _check_as_json(check: Check) -> dict[str, object]:
    facts = asdict(check)
    del facts["code"]
    return facts
