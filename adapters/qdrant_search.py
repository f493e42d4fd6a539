"""A search as Qdrant's REST API takes it, and its answer."""

from collections.abc import Mapping
from typing import Any

from adapters.qdrant_points import one_vector, plain
from core.ports import Hit, QueryVector


def question(
    vector: QueryVector,
    limit: int,
    *,
    using: str = "",
    exact: bool = False,
    filter: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    score_threshold: float | None = None,
    offset: int = 0,
    payload: bool = True,
) -> dict[str, Any]:
    """The body of a query. Raises Refused for what is no vector."""
    query = asked(vector)
    optional = {
        "using": using,
        "filter": dict(filter) if filter else None,
        "score_threshold": score_threshold,
        "offset": offset or None,
    }
    body = {"query": query, "limit": limit, "with_payload": payload, "params": {"exact": exact, **(params or {})}}
    return body | {name: value for name, value in optional.items() if value not in (None, "")}


def asked(vector: QueryVector) -> Any:
    """The vector as JSON. Raises Refused for what is none."""
    return plain(one_vector("the query's vector", vector))


def hits(found: list[dict[str, Any]]) -> list[Hit]:
    """A point whose vector is no number has no score, and the server returns it whatever is asked (seen on 1.16.3)."""
    return [Hit(hit["id"], hit["score"], hit.get("payload") or {}) for hit in found if hit["score"] is not None]
