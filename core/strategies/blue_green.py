"""Build green beside blue, fill it, judge it, switch in one act, watch."""

from core.index_file import IndexSpec
from core.plan import Plan
from core.steps import STEPS


def plan(spec: IndexSpec, *, existing: bool = False) -> Plan:
    build = () if existing else (STEPS["create"], STEPS["populate"])
    return (*build, STEPS["validate"], STEPS["switch"], STEPS["soak"])
