"""Running the gate's checks and reading their verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from core.checks import CHECKS, ON_QUERIES
from core.checks.finding import Finding, GateContext, Verdict
from core.errors import Refused
from core.index_file import IndexSpec
from core.plan import State
from core.ports import Embedder, Hit, Schema, VectorStore

NO_QUERIES = "no validation queries are configured: whether search answers well was not checked"
#: How many results a validation query asks for, at least.
_LIMIT = 10


def examine(
    store: VectorStore,
    green: str,
    *,
    blue: str | None,
    spec: IndexSpec,
    wanted: Schema | None,
    vector: str,
    embedder: Embedder | None,
    filled: Mapping[str, Any],
) -> State:
    """The report on ``green``: verdict, warnings, and a row for each planned check, in plan order."""
    queries = spec.validation.queries
    answers = _answers(store, green, vector, embedder, queries, max(_LIMIT, spec.validation.min_results))
    gate = GateContext(store, green, blue, spec, wanted, vector, embedder, filled, answers)
    planned = [name for name in CHECKS if queries or name not in ON_QUERIES]
    findings = [CHECKS[name](gate) for name in planned]
    return {
        "verdict": verdict(findings),
        "collection": green,
        "warnings": [] if queries else [NO_QUERIES],
        "checks": [asdict(finding) for finding in findings],
    }


def verdict(findings: Sequence[Finding]) -> Verdict:
    """Worst wins; nothing planned proves nothing."""
    verdicts = {finding.verdict for finding in findings}
    if "block" in verdicts:
        return "block"
    return "pass" if verdicts == {"pass"} else "inconclusive"


def reasons(report: Mapping[str, Any]) -> str:
    """The rows that did not pass, as a sentence each."""
    return "; ".join(
        f"{row['name']} {_number(row['value'])} against {_number(row['bound'])} ({row['detail']}, n={row['n']})"
        for row in report["checks"]
        if row["verdict"] != "pass"
    )


def _answers(
    store: VectorStore, green: str, vector: str, embedder: Embedder | None, queries: Sequence[str], limit: int
) -> dict[str, list[Hit]]:
    if queries and embedder is None:
        raise Refused("validation queries need embedding.model to be embedded with; declare it in the index file")
    if embedder is None:
        return {}
    return {query: store.search(green, embedder.query(query), limit, using=vector) for query in queries}


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
