"""How to use each check of the gate."""

import inspect
import math
import re

from docs.pages.markdown import fenced, joined, rows, told
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.core.gate.checks.asked import BY_VALUE
from qdrant_rollouts.core.gate.checks.finding import Check

_HEAD = """# Checks, one by one

`python -m docs.make_reference` makes this page from `CHECKS`. [Validation](../validation.md)
explains what pass, block and inconclusive mean, what the gate catches and what it cannot see.

Each example is an addition to an index that is already declared, here `documentation`. It plans the
check with its own rule and changes nothing else. If a check needs more, its example contains that
too. Replace the names in it with yours: the payload field `lang` and the file of [judged
queries](../understand/gate-judged.md). The checks of `queries`, and `query_path`, need entries
in `validation.queries`. Without any, they are inconclusive and the deployment pauses. In place of
`true`, a number sets the bound, and `false` leaves the check out. With
`{accept_inconclusive: true}` an inconclusive result does not pause the deployment.
"""


def page() -> str:
    return joined(_HEAD, *(_check(name, check) for name, check in CHECKS.items()))


def _check(name: str, check: Check) -> str:
    return joined(
        f"## {name}",
        _looks_at(name, check),
        f"Planned: {_when()[name]}. {_bound(check)}",
        fenced("yaml", _declared(name)),
    )


def _looks_at(name: str, check: Check) -> str:
    return f"{told(inspect.getmodule(check.judge))} {told(check.judge)}".strip()


def _when() -> dict[str, str]:
    """For each check, when it is planned: the words of the page on the gate."""
    return {
        name: row[3]
        for row in rows("reference/checks.md", "check")
        for name in re.findall(r"`([^`]+)`", row[0])
    }


def _bound(check: Check) -> str:
    soft = " It never blocks." if check.soft else ""
    if check.reach is None:
        return f"The check has its own rule and takes no bound.{soft}"
    low, high = check.reach
    reach = f"from {low:g} up" if math.isinf(high) else f"from {low:g} to {high:g}"
    if callable(check.bound):
        return (
            f"Bound: as declared, or by the rule of the check; you may set another, {reach}.{soft}"
        )
    if check.bound is not None:
        return f"Bound: `{check.bound}`; you may set another, {reach}.{soft}"
    if check.shown:
        return (
            f"Bound: none, the number is only shown. If you set a bound, {reach}, the check "
            f"decides.{soft}"
        )
    return f"Bound: by the rule of the check; you may set another, {reach}.{soft}"


def _declared(name: str) -> str:
    """An index file section that plans the check with its default, and with everything it needs."""
    settings = ["    collection: {payload_indexes: {lang: keyword}}"] if name in BY_VALUE else []
    needs = ["      slices: [lang]"] if name in BY_VALUE else []
    if "with `judged`" in _when()[name]:
        needs.append('      judged: "judged.jsonl"')
    said = f'      checks: {{"{name}": true}}'
    return "\n".join(["indexes:", "  documentation:", *settings, "    validation:", *needs, said])
