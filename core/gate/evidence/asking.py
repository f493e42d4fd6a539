"""Searches both collections with each probe."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from qdrant_rollouts.core.gate.evidence import relevant
from qdrant_rollouts.core.gate.evidence.answer_rows import Row, depth_of, row_of_answer
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.gate.evidence.probes import (
    SHALLOW,
    AskedProbe,
    Probe,
    list_probes,
    with_vectors,
)
from qdrant_rollouts.core.gate.evidence.vectors import count_askable
from qdrant_rollouts.core.ports import Fused, Hit, Limits, QueryVector, SearchParams

#: Probes per request: few at first, then as many as take about ``_SECONDS``, because exact searches
#: of much data are slow.
_FIRST = 4
_LARGEST = 32
_SECONDS = 2.0
#: How long one request may take: three of them after a piece still end within a turn's longest
#: lease.
PATIENCE = 20.0


def collect_answers(gate: GateContext, over: IsTurnOver) -> float | None:
    """Needs the sample of ``vectors``."""
    memory = gate.part("asked")
    chosen = list_probes(gate)
    rows: list[Row] = memory.setdefault("rows", [])
    memory["names"] = _askable_names(gate)
    while len(rows) < len(chosen):
        gate.breathe()
        started = time.monotonic()
        next_ones = take_one_request(
            chosen[len(rows) : len(rows) + int(memory.get("size", _FIRST))]
        )
        size = _count_affordable(gate, next_ones)
        rows += _ask_probes(gate, with_vectors(gate, next_ones[:size]))
        fitting = size * _SECONDS / max(time.monotonic() - started, 1e-3)
        memory["size"] = max(1, min(int(fitting), 2 * size, _LARGEST))
        if over():
            break
    memory["wanted"] = len(chosen)
    if len(rows) >= len(chosen):
        return None
    return 0.0


def _askable_names(gate: GateContext) -> list[str]:
    """Returns the names by which points can be searched. The main name is missing only if something
    makes it or there is no other."""
    found = [name for name in gate.names if count_askable(gate, name)]
    missed = gate.vector not in found and (gate.vector in gate.makers or not found)
    if missed:
        return [gate.vector, *found]
    return found


def take_one_request(chosen: Sequence[Probe]) -> Sequence[Probe]:
    """Returns the first probes that use one vector and one depth."""
    first = chosen[0]
    return list(
        takewhile(lambda probe: (probe.vector, probe.deep) == (first.vector, first.deep), chosen)
    )


def _count_affordable(gate: GateContext, chosen: Sequence[Probe]) -> int:
    """Returns how many of these probes a limited rate allows at once; each makes two searches on
    green."""
    depth = max(gate.real.limit + 1, *(probe.deep for probe in chosen))
    ours = max(1, gate.limits.searches(2 * len(chosen), depth) // 2)
    return min(len(chosen), ours, gate.live_limits.searches(len(chosen), depth))


def search_green(
    gate: GateContext,
    vectors: Sequence[QueryVector],
    limit: int,
    *,
    using: str | None = None,
    exact: bool = False,
) -> list[list[Hit]]:
    """Searches green, by default with its main vector."""
    name = gate.vector if using is None else using
    how = _search_params(gate, gate.limits, exact, using=name, seconds=PATIENCE)
    return gate.store.search_many(gate.green, vectors, limit, how)


def _search_params(
    gate: GateContext, limits: Limits, exact: bool, *, using: str, seconds: float
) -> SearchParams:
    """Returns the parameters of real searches, or a search that is as exact as strict mode
    allows."""
    if exact:
        params = None if limits.exact else limits.wide
        return SearchParams(exact=limits.exact, params=params, using=using, seconds=seconds)
    params = dict(gate.real.params)
    most = limits.search_max_hnsw_ef
    if most is not None and "hnsw_ef" in params:
        params["hnsw_ef"] = min(most, params["hnsw_ef"])
    return SearchParams(params=params or None, using=using, seconds=seconds)


def search_live(
    gate: GateContext,
    vectors: Sequence[QueryVector],
    limit: int,
    *,
    using: str | None = None,
    exact: bool = False,
) -> list[list[Hit]]:
    """Searches the live collection, at most as fast as the index file allows; all batches together
    have the patience of one."""
    assert gate.live is not None
    live = gate.live
    found = []
    name = live.vector if using is None else using
    for first in range(0, len(vectors), gate.pace.most):
        few = vectors[first : first + gate.pace.most]
        seconds = PATIENCE * len(few) / len(vectors)
        gate.pace.wait(len(few))
        how = _search_params(gate, gate.live_limits, exact, using=name, seconds=seconds)
        found += gate.store.search_many(live.collection, few, limit, how)
    return found


def _ask_probes(gate: GateContext, asked: Sequence[AskedProbe]) -> list[Row]:
    """A probe whose vector cannot be searched (missing, empty, or not finite) leaves an empty row:
    missing evidence."""
    usable = [one for one in asked if one.green is not None]
    vectors = [one.green for one in usable if one.green is not None]
    found = _search_asked(gate, usable, vectors)
    deep = _search_deeper(gate, usable, vectors)
    truths = _search_exactly(gate, usable, vectors)
    live = _ask_live(gate, usable)
    records = relevant.sort_judgments(
        gate, [one.probe.name for one in usable if one.probe.grades is not None]
    )
    made = {
        one.probe.name: row_of_answer(
            gate, one, hits, more, truth, live.get(one.probe.name), records.get(one.probe.name)
        )
        for one, hits, more, truth in zip(usable, found, deep, truths, strict=True)
    }
    return [
        made.get(one.probe.name, {"name": one.probe.name, "vector": one.probe.vector})
        for one in asked
    ]


def _search_asked(
    gate: GateContext, asked: Sequence[AskedProbe], vectors: Sequence[QueryVector]
) -> list[list[Hit]]:
    if not asked:
        return []
    return search_green(gate, vectors, depth_of(gate, asked[0].probe), using=asked[0].using)


def _search_deeper(
    gate: GateContext, asked: Sequence[AskedProbe], vectors: Sequence[QueryVector]
) -> Sequence[list[Hit] | None]:
    """Returns the result of a separate search that goes deeper than applications do."""
    deep = asked[0].probe.deep if asked else 0
    if not deep:
        return [None] * len(asked)
    return search_green(
        gate, [_widen_parts(vector, deep) for vector in vectors], deep, using=asked[0].using
    )


def _widen_parts(query: QueryVector, depth: int) -> QueryVector:
    if not isinstance(query, Fused):
        return query
    return replace(
        query, parts=tuple(replace(part, limit=max(part.limit, depth)) for part in query.parts)
    )


def _search_exactly(
    gate: GateContext, asked: Sequence[AskedProbe], vectors: Sequence[QueryVector]
) -> Sequence[list[Hit] | None]:
    """Returns exact answers. None if strict mode forbids exact searches, because a wide search is
    not exact; and none for fused lists, whose scores are ranks."""
    if not asked or asked[0].probe.vector is None or not gate.limits.exact:
        return [None] * len(vectors)
    return search_green(
        gate, vectors, min(SHALLOW, gate.real.limit) + 1, using=asked[0].using, exact=True
    )


def _ask_live(
    gate: GateContext, asked: Sequence[AskedProbe]
) -> dict[str, tuple[list[Hit], list[Hit] | None]]:
    """If its rate is limited, at most as many as fit into a part of the time budget; judged queries
    first."""
    able = [one for one in asked if one.live is not None]
    if not able:
        return {}
    depth = depth_of(gate, able[0].probe)
    deep = able[0].probe.deep
    if gate.live_reads is not None:
        memory = gate.part("asked")
        each = len(gate.live_limits.slices(depth)) + (
            len(gate.live_limits.slices(deep)) if deep else 0
        )
        room = max(0, gate.live_reads - int(memory.get("live_reads", 0))) // each
        memory["live_left_out"] = int(memory.get("live_left_out", 0)) + max(0, len(able) - room)
        able = able[:room]
        memory["live_reads"] = int(memory.get("live_reads", 0)) + len(able) * each
    vectors = [one.live for one in able if one.live is not None]
    if not vectors:
        return {}
    using = able[0].live_using
    found = search_live(gate, vectors, depth, using=using)
    more: Sequence[list[Hit] | None] = [None] * len(able)
    if deep:
        more = search_live(
            gate, [_widen_parts(vector, deep) for vector in vectors], deep, using=using
        )
    return {
        one.probe.name: (hits, further)
        for one, hits, further in zip(able, found, more, strict=True)
    }
