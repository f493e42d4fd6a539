"""The facts about a version: written into its row as they become known, and copied to the
collection's metadata.

Rule: the row is written first, under the deployment's turn, and Qdrant's metadata is a copy of it.
A repeated step writes the same again.

``facts``, by the time at which each is known:

- request: ``actor``; ``source``, its address without credentials
- create: ``vectors`` (where each comes from, by its name), and for the vector that searches use
  ``model``, ``revision``, ``dtype``, ``template``, ``chunk``, ``identity``, ``vector``,
  ``dimension``, ``reads`` (tokens of a text that the model reads), ``schema`` (hash of the
  settings)
- populate: ``way``, ``fingerprint`` (of the source), ``records``, ``points``, ``bad``, ``reused``
  (reused vectors), ``embedded``, ``truncated``; by delta also ``renewed``, ``dropped`` and how many
  ``deltas`` in a row it is
- validate: ``gate``: verdict, checks ``failed`` and ``inconclusive``, and the deployment of the
  report
- switch: ``served``: by which deployment, since when, and ``approved_by``, if a person had to
  approve
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections import recovered
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.schema import dense_names, vector_params
from qdrant_rollouts.core.collections.stamps import FACTS_KEY
from qdrant_rollouts.core.collections.version_facts import version_as_dict
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.database.models import Deployment, Version
from qdrant_rollouts.core.database.step_data import UNSET
from qdrant_rollouts.core.ports import Embedder, Schema, State

_CREDENTIALS = re.compile(r"//[^/\s]*@")


def list_used_names(session: Session) -> set[str]:
    """Returns the names of all collections that a row knows: versions, and what runs make for
    themselves. None of these is used again."""
    known = {
        *session.scalars(select(Version.collection)),
        *session.scalars(select(Deployment.green)),
    }
    return known | recovered.recovered_collections(session)


def add_facts(session: Session, collection: str, facts: Mapping[str, Any]) -> Version | None:
    """Returns the row with ``facts`` added to its own; None for a collection without a row."""
    row = session.get(Version, collection, with_for_update=True)
    if row is not None:
        row.facts = {**row.facts, **facts}
    return row


def version_metadata(row: Version) -> dict[str, Any]:
    """Returns what the collection's metadata holds: the row as plain data."""
    return {FACTS_KEY: version_as_dict(row)}


def facts_of_request(actor: str, source: str | None) -> State:
    return {"actor": actor, "source": None if source is None else without_credentials(source)}


def facts_of_model(
    embedding: EmbeddingSpec | None, embedder: Embedder | None, schema: Schema, vector: str
) -> State:
    said = embedding.model_dump(mode="json") if embedding else {}
    size = None
    if vector in dense_names(schema):
        size = vector_params(schema, vector)["size"]
    return {
        **{name: said.get(key) for name, key in _MODEL_FACTS.items()},
        "identity": embedder.identity if embedder else None,
        "reads": embedder.reads if embedder else None,
        "vector": vector,
        "dimension": size,
        "schema": schema_hash(schema),
    }


#: Facts and their names in the index file; ``chunk`` is None if documents are not cut.
_MODEL_FACTS = {
    "model": "model",
    "revision": "revision",
    "dtype": "dtype",
    "template": "text",
    "chunk": "chunk",
}


def facts_of_filling(filled: Filling, records: int | None) -> State:
    """A copy reads no records, so only points can be counted."""
    counts = {"points": filled.written or 0}
    if filled.way in _COUNTED:
        more = {name: getattr(filled, name) or 0 for name in _COUNTED[filled.way]}
        counts = {"records": records or 0, **counts, **more}
    fingerprint = None
    if filled.fingerprint is not UNSET:
        fingerprint = filled.fingerprint
    return {"way": filled.way, "fingerprint": fingerprint, **counts}


_OF_RECORDS = ("bad", "reused", "embedded", "truncated")
#: What a way that reads records counts.
_COUNTED = {"records": _OF_RECORDS, "delta": (*_OF_RECORDS, "renewed", "dropped", "deltas")}


def facts_of_report(report: Mapping[str, Any]) -> State:
    """Lists the checks that stopped the deployment or were inconclusive; rows that are only shown
    decide nothing."""
    rows = [row for row in report["checks"] if row["level"] != "shown"]
    named = {
        word: [row["name"] for row in rows if row["verdict"] == verdict]
        for word, verdict in (("failed", "block"), ("inconclusive", "inconclusive"))
    }
    whose = {name: report[name] for name in ("deployment", "attempt")}
    return {"gate": {"verdict": report["verdict"], **named, **whose}}


def schema_hash(schema: Schema) -> str:
    """Returns 32 hex digits, equal for equal settings in whatever order."""
    text = json.dumps(schema, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def without_credentials(address: str) -> str:
    return _CREDENTIALS.sub("//", address)
