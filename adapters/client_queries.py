"""A query of ours in the form of qdrant-client, for applications that search with their own
client."""

from collections.abc import Mapping
from typing import Any

from qdrant_client import models

from qdrant_rollouts.adapters.qdrant_points import as_vector
from qdrant_rollouts.core.ports import OneQuery, ServerText


def build_client_query(query: OneQuery) -> Any:
    """Returns what ``query_points`` takes as ``query``: numbers, rows of numbers, a sparse vector,
    or a text of which the server makes the vector."""
    found = as_vector("the query's vector", query)
    if isinstance(found, ServerText):
        options = dict(found.options) or None
        return models.Document(text=found.text, model=found.model, options=options)
    if isinstance(found, Mapping):
        return models.SparseVector(indices=found["indices"], values=found["values"])
    return found.tolist()
