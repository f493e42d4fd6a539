"""``doctor``."""

from dataclasses import asdict

from rich.text import Text

from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.checkup import examine, exit_code
from qdrant_rollouts.interfaces.looks import Check


def doctor(as_json: bool) -> int:
    checks = examine()
    code = exit_code(checks)
    if as_json:
        screen.emit({"ok": code == 0, "checks": [_facts(check) for check in checks]})
        return code
    rows = screen.table("", "CHECK", "FOUND")
    for check in checks:
        screen.row(rows, (screen.word(check.state), check.name, check.value.replace("\n", "; ")))
        if check.advice:
            screen.row(rows, ("", "", Text(f"→ {check.advice}", style="dim")))
    screen.console().print(rows)
    return code


def _facts(check: Check) -> dict[str, object]:
    facts = asdict(check)
    del facts["code"]
    return facts
