"""What strict mode kept the gate from, and what it did instead: lines of the report."""

from collections.abc import Iterator

from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.probes import DEEP, SHALLOW
from qdrant_rollouts.core.ports import Limits


def describe_limits(gate: GateContext) -> list[str]:
    return [*_limits_of_green(gate), *_limits_of_live(gate)]


def describe_no_exact(collection: str) -> str:
    return f"strict mode of {collection} allows no exact search (search_allow_exact false)"


def _limits_of_green(gate: GateContext) -> Iterator[str]:
    if not gate.limits.exact:
        yield f"{describe_no_exact(gate.green)}: its recall was not measured, all else was"
    yield from _describe_pages(gate, gate.green, gate.limits)


def _limits_of_live(gate: GateContext) -> Iterator[str]:
    if gate.live is None:
        return
    live = gate.live.collection
    limits = gate.live_limits
    yield from _describe_pages(gate, live, limits)
    if not limits.exact and gate.memory.get("attributed"):
        depth = limits.wide["hnsw_ef"]
        yield (
            f"{describe_no_exact(live)}: the loss of its index was measured "
            f"by searches with hnsw_ef {depth}"
        )
    left_out = int(gate.memory.get("asked", {}).get("live_left_out", 0))
    if left_out:
        asked = sum("live" in row for row in gate.part("asked").get("rows", []))
        yield (
            f"strict mode of {live} allows {limits.read_rate_limit} reads a minute "
            "(read_rate_limit), half of them are "
            f"left to applications: {asked} probes were asked there too, {left_out} of "
            f"{gate.green} alone"
        )


def _describe_pages(gate: GateContext, collection: str, limits: Limits) -> Iterator[str]:
    deepest = DEEP
    if not gate.judged:
        deepest = max(SHALLOW, gate.real.limit)
    if limits.page(deepest) < deepest:
        most = limits.max_query_limit
        yield (
            f"strict mode of {collection} allows {most} results at once (max_query_limit): "
            f"asked {most} at a time"
        )
