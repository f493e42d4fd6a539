"""Does a search as the application makes it get an answer from the new collection?"""

from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell, exact_verdict
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.probes import SHALLOW
from qdrant_rollouts.core.gate.evidence.titles import list_queries
from qdrant_rollouts.core.ports import SearchParams
from qdrant_rollouts.core.sanitize.quoting import quote_value


def judge_query_path(gate: GateContext, bound: float | None) -> Finding:
    """Uses model and vector from the collection's own stamp, as a routed search does."""
    queries = [*list_queries(gate), *(one.query for one in gate.judged)]
    stamp = read_stamp(gate.store, gate.green)
    if not queries or gate.embedder is None or stamp is None:
        return cannot_tell("a query, a model and a stamped collection are needed")
    most = gate.limits.page(SHALLOW)
    vector = gate.embedder.query(queries[0])
    hits = gate.store.search(gate.green, vector, most, SearchParams(using=stamp.vector))
    found = (
        f"A search for {quote_value(queries[0])}, made as applications make it, found "
        f"{len(hits):,} records."
    )
    detail = f"results of {gate.green} for {quote_value(queries[0])}"
    return Finding(exact_verdict(bool(hits)), float(len(hits)), 1, detail, found=found)
