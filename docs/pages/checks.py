"""How to use each check of the gate."""

import inspect
import math
import re

from core.checks import CHECKS
from core.checks.finding import Check
from docs.pages.markdown import fenced, joined, rows, told

_HEAD = """# Checks, one by one

Made from `CHECKS` by `python -m docs.make_reference`. What pass, block and inconclusive mean, what the gate catches
and what it cannot see stands in [validation](../validation.md). Any of them may be left out with `false`, planned
with `true`, or made not to hold anybody up with `accept_inconclusive: true`.
"""


def page() -> str:
    return joined(_HEAD, *(_check(name, check) for name, check in CHECKS.items()))


def _check(name: str, check: Check) -> str:
    return joined(
        f"## {name}",
        _looks_at(name, check),
        f"Planned: {_when()[name]}. {_bound(check)}",
        fenced("yaml", _declared(name, check)),
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
    usual = f"`{check.bound}`" if check.bound is not None else _unbound(check)
    return f"Bound: {usual}; another may be given, {reach}.{soft}"


def _unbound(check: Check) -> str:
    return "none, the number is only shown" if check.shown else "as the rule of the check has it"


def _declared(name: str, check: Check) -> str:
    rule = "false" if check.reach is None else f"{{bound: {_example(check)}, accept_inconclusive: true}}"
    source = '    source: "jsonl:docs/*.jsonl"'
    return f'indexes:\n  documentation:\n{source}\n    validation: {{checks: {{"{name}": {rule}}}}}'


def _example(check: Check) -> float:
    """A bound that makes sense: the usual one, else where its reach begins or 1."""
    assert check.reach is not None
    return check.bound if check.bound is not None else max(check.reach[0], min(1, check.reach[1]))
