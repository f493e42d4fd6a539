"""A search in the form of Qdrant's REST API, and its answer."""

from typing import Any

from qdrant_rollouts.adapters.qdrant_points import as_vector, vector_to_json
from qdrant_rollouts.core.ports import Fused, Hit, OneQuery, Part, QueryVector, SearchParams


def query_body(
    vector: QueryVector,
    limit: int,
    how: SearchParams,
    *,
    payload: bool = True,
) -> dict[str, Any]:
    """Returns the body of a query. Raises Refused for a value that is not a vector."""
    for_each_part = {
        "filter": dict(how.filter) if how.filter else None,
        "params": {"exact": how.exact, **(how.params or {})},
    }
    optional = {"score_threshold": how.score_threshold, "offset": how.offset or None}
    body = {"limit": limit, "with_payload": payload}
    if isinstance(vector, Fused):
        parts = [_drop_blanks(_prefetch_body(part) | for_each_part) for part in vector.parts]
        return (
            body | {"query": {"fusion": vector.fusion}, "prefetch": parts} | _drop_blanks(optional)
        )
    return body | _drop_blanks(
        {"query": query_vector_json(vector), "using": how.using, **for_each_part, **optional}
    )


def _prefetch_body(part: Part) -> dict[str, Any]:
    return {"query": query_vector_json(part.vector), "using": part.using, "limit": part.limit}


def _drop_blanks(content: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in content.items()
        if value is not None and not (name == "using" and not value)
    }


def query_vector_json(vector: OneQuery) -> Any:
    """Returns the vector as JSON. Raises Refused for a value that is not a vector."""
    return vector_to_json(as_vector("the query's vector", vector))


def parse_hits(found: list[dict[str, Any]]) -> list[Hit]:
    """A point whose vector is not a number has no score, and the server returns it for any query
    (seen on 1.16.3)."""
    return [
        Hit(hit["id"], hit["score"], hit.get("payload") or {})
        for hit in found
        if hit["score"] is not None
    ]
