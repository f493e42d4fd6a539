"""How to use each check of the gate."""

import inspect
import math
import re

from docs.pages.markdown import fenced, joined, rows, told
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.core.gate.checks.asked import BY_VALUE
from qdrant_rollouts.core.gate.checks.finding import Check

_HEAD = """# Checks, one by one

Made from `CHECKS` by `python -m docs.make_reference`. What pass, block and inconclusive mean, what the gate catches
and what it cannot see stands in [validation](../validation.md).

Each example is an addition to an index that is declared already, here `documentation`: it plans the check with its own
rule and changes nothing else. What a check needs besides comes with its example, under names that are yours to replace:
a payload field, `lang`, and a file of [judged queries](../validation.md#judged-queries). The checks of `queries`, and
`query_path`, need some in `validation.queries`: planned without any, they cannot tell and hold the deployment up.

In place of `true`, a number is a bound that is meant as it stands, and `false` leaves the check out. With
`{accept_inconclusive: true}` it holds nobody up where it cannot tell.
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
    """By name, when a check is planned, as the page on the gate says."""
    return {name: row[3] for row in rows("validation.md", "check") for name in re.findall(r"`([^`]+)`", row[0])}


def _bound(check: Check) -> str:
    soft = " It never blocks." if check.soft else ""
    if check.reach is None:
        return f"The rule is the check's own; a bound makes no sense.{soft}"
    low, high = check.reach
    reach = f"from {low:g} up" if math.isinf(high) else f"from {low:g} to {high:g}"
    if callable(check.bound):
        return f"Bound: as declared or as the rule has it; another may be given, {reach}.{soft}"
    if check.bound is not None:
        return f"Bound: `{check.bound}`; another may be given, {reach}.{soft}"
    if check.shown:
        return f"Bound: none, the number is only shown; with one, {reach}, the check decides.{soft}"
    return f"Bound: as the rule of the check has it; another may be given, {reach}.{soft}"


def _declared(name: str) -> str:
    """What plans the check as it is planned by itself, and what it cannot be planned without."""
    settings = ["    collection: {payload_indexes: {lang: keyword}}"] if name in BY_VALUE else []
    needs = ["      slices: [lang]"] if name in BY_VALUE else []
    if "with `judged`" in _when()[name]:
        needs.append('      judged: "judged.jsonl"')
    said = f'      checks: {{"{name}": true}}'
    return "\n".join(["indexes:", "  documentation:", *settings, "    validation:", *needs, said])
