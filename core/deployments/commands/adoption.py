"""Takes a collection that another program made under management: writes a row and a stamp, and
changes no point.

A stamp says which model embeds searches, so it must not be guessed. It is written for a declared
model whose vectors have the collection's size and which, if texts are stored, reproduces the stored
vectors.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections import model_proof, versions
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.schema import embedded_vector, main_vector, vector_params
from qdrant_rollouts.core.collections.stamps import FACTS_KEY, STAMPS_SINCE, Stamp, foreign_metadata
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.deployments import alias_lock
from qdrant_rollouts.core.errors import Refused, Unknown
from qdrant_rollouts.core.ports import Embedder, Schema, State
from qdrant_rollouts.core.ports.naming import check_found_name, shell_word
from qdrant_rollouts.core.routing import table
from qdrant_rollouts.core.sanitize.quoting import shorten_text
from qdrant_rollouts.core.services import Services


def adopt_collection(
    services: Services,
    alias: str,
    *,
    actor: str,
    reason: str = "",
    collection: str | None = None,
    trust: bool = False,
) -> dict[str, Any]:
    """Makes ``collection``, or the collection behind the alias, a version of ``alias``.

    ``trust`` accepts the declared model even if it makes other vectors from the stored texts.
    Raises Refused for a version that is already managed, and if the declared model cannot be the
    collection's. A version without a stamp can be adopted again after a model is declared. If it
    stops half way, it can be repeated.
    """
    found = _find_collection(services, alias, collection)
    carries = services.store.server().version >= STAMPS_SINCE
    old = services.store.metadata(found) if carries else {}
    foreign_metadata(old, found)
    stamp = _stamp_of_version(Stamp.of(old))
    facts = dict(old.get(FACTS_KEY) or {})
    declared = services.indexes().get(alias)
    embedding = None
    if declared and stamp is None:
        embedding = next(iter(declared.models), None)
    with services.sessions() as session:
        _check_not_managed(session, alias, found, gains=embedding is not None)
    if stamp is None:
        stamp, facts = _describe_collection(services, alias, found, embedding, trust=trust)
    facts |= {"adopted_by": actor, "points": estimate_points(services.store, found)}
    with services.sessions.begin() as session:
        row = _write_version(services, session, alias, found, facts, stamp)
        now = services.clock.now(session)
        events.record_event(
            session, now, "version.adopted", found, actor=actor, reason=reason, alias=alias
        )
        if carries:
            if stamp and stamp.number == 0:
                mine = replace(stamp, number=row.number).as_metadata()
            else:
                mine = {}
            services.store.set_metadata(found, {**mine, **versions.version_metadata(row)})
    answer = {
        "alias": alias,
        "collection": found,
        "number": row.number,
        "stamped": carries and stamp is not None,
    }
    return {
        **answer,
        "model": stamp.spec.model if stamp and stamp.spec else None,
        "agreed": facts.get("agreed"),
    }


def _stamp_of_version(stamp: Stamp | None) -> Stamp | None:
    """Returns the stamp of a version, or None. A stamp that only names a proven model (see
    ``core.collections.model_proof``) is replaced by one with a version's number."""
    if stamp is not None and (stamp.number or stamp.deployment):
        return stamp
    return None


def _find_collection(services: Services, alias: str, collection: str | None) -> str:
    check_found_name("alias", alias)
    aliases = services.store.aliases()
    if alias not in aliases:
        raise Unknown(
            f"alias {shorten_text(alias)} does not exist; known: "
            f"{', '.join(sorted(aliases)) or 'none'}"
        )
    found = check_found_name("collection", collection or aliases[alias])
    if found not in services.store.collections():
        raise Refused(f"collection {found} does not exist at {services.store.server().address}")
    return found


def _check_not_managed(
    session: Session, alias: str, collection: str, *, gains: bool
) -> Version | None:
    """Returns the row of a version without a known model that ``gains`` one now; None if there is
    no row."""
    row = session.get(Version, collection, with_for_update=True)
    if row is None or (gains and row.alias == alias and row.facts.get("identity") is None):
        return row
    told = f"see `rollouts versions {shell_word(row.alias)}`"
    if row.facts.get("identity") is None:
        told += (
            ". It was built without a model; if you have declared one, deploy again: the gate "
            "compares it with the stored vectors"
        )
    raise Refused(f"{collection} is ours already: version {row.number} of {row.alias}; {told}")


def _write_version(
    services: Services,
    session: Session,
    alias: str,
    collection: str,
    facts: State,
    stamp: Stamp | None,
) -> Version:
    """Writes the row, with its old number if a lost database gave it one that is still free."""
    table.lock_route(services, session, alias)
    alias_lock.check_alias_idle(session, alias)
    known = _check_not_managed(
        session, alias, collection, gains=stamp is not None and stamp.number == 0
    )
    if known is not None:
        known.facts = {**known.facts, **facts}
        return known
    taken = set(session.scalars(select(Version.number).where(Version.alias == alias)))
    number = max(taken, default=0) + 1
    if (
        stamp is not None
        and stamp.alias == alias
        and stamp.number > 0
        and stamp.number not in taken
    ):
        number = stamp.number
    now = services.clock.now(session)
    row = Version(
        collection=collection, alias=alias, number=number, parent=None, created_at=now, facts=facts
    )
    session.add(row)
    session.flush()
    return row


def _describe_collection(
    services: Services, alias: str, collection: str, embedding: EmbeddingSpec | None, *, trust: bool
) -> tuple[Stamp | None, State]:
    """Returns a stamp without a number, and what is known about the collection. Without a declared
    model there is no stamp; a model that is declared later is then trusted, as before."""
    schema = services.store.schema(collection)
    vector = _choose_vector(collection, schema, embedding)
    if embedding is None:
        return None, versions.facts_of_model(None, None, schema, vector)
    embedder = services.embedder(embedding)
    _check_vector_size(collection, schema, vector, embedding, embedder)
    params = vector_params(schema, vector)
    points = model_proof.draw_points(services.store, collection, vector)
    found = model_proof.compare_embeddings(embedder, embedding, vector, params, points)
    agreed = {"of": found.of, "alike": found.alike}
    if agreed["alike"] * 2 < agreed["of"] and not trust:
        raise Refused(
            f"{embedding.model} makes other vectors of the texts of {collection} than are stored: "
            f"of {agreed['of']} "
            f"records {agreed['alike']} agree. Declare the model and the text template it was made "
            "with; --trust "
            "accepts the declared ones nevertheless"
        )
    dumped = embedding.model_dump(mode="json")
    stamp = Stamp("", alias, 0, vector=vector, embedding=dumped, identity=embedder.identity)
    return stamp, {**versions.facts_of_model(embedding, embedder, schema, vector), "agreed": agreed}


def _choose_vector(collection: str, schema: Schema, embedding: EmbeddingSpec | None) -> str:
    if embedding:
        return embedded_vector(schema, embedding.vector, collection)
    return main_vector(schema)


def _check_vector_size(
    collection: str, schema: Schema, vector: str, embedding: EmbeddingSpec, embedder: Embedder
) -> None:
    params = vector_params(schema, vector)
    if params.get("size") != embedder.dimension:
        raise Refused(
            f"{collection} has vectors of {params.get('size')} numbers, and {embedding.model}, "
            "declared in the index "
            f"file, makes {embedder.dimension}: declare the model it was made with"
        )
