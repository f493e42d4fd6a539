"""Build green beside blue, fill it, judge it, switch in one act, watch."""

from core.plan import Plan
from core.settings import IndexSpec
from core.steps import STEPS


def plan(spec: IndexSpec) -> Plan:
    return (STEPS["create"], STEPS["populate"], STEPS["validate"], STEPS["switch"], STEPS["soak"])
