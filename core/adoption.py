"""Taking a collection that somebody else has made under management: a row and a stamp, no point is touched.

A stamp says which model searches are embedded with, so it must not be guessed: it is written for a declared model
whose vectors have the collection's size, and that makes the stored vectors again where their texts are stored too.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import events, occupancy, versions
from core.errors import Refused, Unknown
from core.index_file import EmbeddingSpec, template_fields
from core.kinds import by_name
from core.models import Version
from core.naming import check_found_name, shell_word
from core.plan import State
from core.ports import Embedder, FloatArray, Point, Schema
from core.quoting import cut
from core.readiness import about
from core.routing import table
from core.schema import embedded_vector, main_vector, vector_params
from core.services import Services
from core.stamps import FACTS, STAMPS_SINCE, Stamp, theirs

#: Records that are embedded again, and how alike a vector must be to the stored one. Vectors of one model differ by
#: less, be they of other batches or kept as other floats; those of two models are nowhere near.
_SAMPLE, _ALIKE = 16, 0.99


def adopt(
    services: Services,
    alias: str,
    *,
    actor: str,
    reason: str = "",
    collection: str | None = None,
    trust: bool = False,
) -> dict[str, Any]:
    """Makes ``collection``, or what the alias points to, a version of ``alias``. ``trust`` takes the declared model
    though it makes other vectors of the stored texts. Raises Refused for what is ours already, and where the declared
    model cannot be the collection's. A version without a stamp can be adopted once more when a model is declared.
    Stopped half way, it can be asked for again."""
    found = _target(services, alias, collection)
    carries = services.store.server().version >= STAMPS_SINCE
    old = services.store.metadata(found) if carries else {}
    theirs(old, found)
    stamp, facts = Stamp.of(old), dict(old.get(FACTS) or {})
    declared = services.indexes().get(alias)
    embedding = next(iter(declared.models), None) if declared and stamp is None else None
    with services.sessions() as session:
        _check_not_ours(session, alias, found, gains=embedding is not None)
    if stamp is None:
        stamp, facts = _described(services, alias, found, embedding, trust=trust)
    facts |= {"adopted_by": actor, "points": about(services.store, found)}
    with services.sessions.begin() as session:
        row = _enter(services, session, alias, found, facts, stamp)
        now = services.clock.now(session)
        events.record(session, now, "version.adopted", found, actor=actor, reason=reason, alias=alias)
        if carries:
            mine = replace(stamp, number=row.number).as_metadata() if stamp and stamp.number == 0 else {}
            services.store.set_metadata(found, {**mine, **versions.metadata(row)})
    answer = {"alias": alias, "collection": found, "number": row.number, "stamped": carries and stamp is not None}
    return {**answer, "model": stamp.spec.model if stamp and stamp.spec else None, "agreed": facts.get("agreed")}


def _target(services: Services, alias: str, collection: str | None) -> str:
    check_found_name("alias", alias)
    aliases = services.store.aliases()
    if alias not in aliases:
        raise Unknown(f"alias {cut(alias)} does not exist; known: {', '.join(sorted(aliases)) or 'none'}")
    found = check_found_name("collection", collection or aliases[alias])
    if found not in services.store.collections():
        raise Refused(f"collection {found} does not exist at {services.store.server().address}")
    return found


def _check_not_ours(session: Session, alias: str, collection: str, *, gains: bool) -> Version | None:
    """The row of a version of which no model is known, where it ``gains`` one now; None where there is no row."""
    row = session.get(Version, collection, with_for_update=True)
    if row is None or (gains and row.alias == alias and row.facts.get("identity") is None):
        return row
    raise Refused(
        f"{collection} is ours already: version {row.number} of {row.alias}; "
        f"see `rollouts versions {shell_word(row.alias)}`"
    )


def _enter(
    services: Services, session: Session, alias: str, collection: str, facts: State, stamp: Stamp | None
) -> Version:
    """The row, with the number it had where a lost database gave it one that is still free."""
    table.hold(services, session, alias)
    occupancy.check_alone(session, alias)
    known = _check_not_ours(session, alias, collection, gains=stamp is not None and stamp.number == 0)
    if known is not None:
        known.facts = {**known.facts, **facts}
        return known
    taken = set(session.scalars(select(Version.number).where(Version.alias == alias)))
    number = max(taken, default=0) + 1
    if stamp is not None and stamp.alias == alias and stamp.number > 0 and stamp.number not in taken:
        number = stamp.number
    now = services.clock.now(session)
    row = Version(collection=collection, alias=alias, number=number, parent=None, created_at=now, facts=facts)
    session.add(row)
    session.flush()
    return row


# --- which model ------------------------------------------------------------------------------------------------


def _described(
    services: Services, alias: str, collection: str, embedding: EmbeddingSpec | None, *, trust: bool
) -> tuple[Stamp | None, State]:
    """A stamp without a number, and what can be told of the collection. Where no model is declared there is no stamp:
    who declares one later is believed then, as before."""
    schema = services.store.schema(collection)
    vector = _vector(collection, schema, embedding)
    if embedding is None:
        return None, versions.made(None, None, schema, vector)
    embedder = services.embedder(embedding)
    _check_size(collection, schema, vector, embedding, embedder)
    agreed = _agreed(services, collection, vector, embedding, embedder)
    if agreed["alike"] * 2 < agreed["of"] and not trust:
        raise Refused(
            f"{embedding.model} makes other vectors of the texts of {collection} than are stored: of {agreed['of']} "
            f"records {agreed['alike']} agree. Declare the model and the text template it was made with; with --trust "
            "the declared ones are taken all the same"
        )
    dumped = embedding.model_dump(mode="json")
    stamp = Stamp("", alias, 0, vector=vector, embedding=dumped, identity=embedder.identity)
    return stamp, {**versions.made(embedding, embedder, schema, vector), "agreed": agreed}


def _vector(collection: str, schema: Schema, embedding: EmbeddingSpec | None) -> str:
    return embedded_vector(schema, embedding.vector, collection) if embedding else main_vector(schema)


def _check_size(collection: str, schema: Schema, vector: str, embedding: EmbeddingSpec, embedder: Embedder) -> None:
    params = vector_params(schema, vector)
    if params.get("size") != embedder.dimension:
        raise Refused(
            f"{collection} has vectors of {params.get('size')} numbers, and {embedding.model}, declared in the index "
            f"file, makes {embedder.dimension}: declare the model it was made with"
        )


def _agreed(
    services: Services, collection: str, vector: str, embedding: EmbeddingSpec, embedder: Embedder
) -> dict[str, int]:
    """Of how many records the model makes the stored vector again, and of how many that could be tried."""
    points, _ = services.store.scroll(collection, None, _SAMPLE)
    found = [(_text(embedding, point), _stored(point, vector)) for point in points]
    known = [(text, stored) for text, stored in found if text and len(stored)]
    if not known:
        return {"of": 0, "alike": 0}
    made = embedder.documents([text for text, _ in known])
    alike = sum(_cosine(one, stored) >= _ALIKE for one, (_, stored) in zip(made, known, strict=True))
    return {"of": len(known), "alike": alike}


def _text(embedding: EmbeddingSpec, point: Point) -> str:
    """Empty where the point has no text of that kind stored."""
    names = template_fields(embedding.text)
    if any(point.payload.get(name) is None for name in names):
        return ""
    text = embedding.text.format_map({name: str(point.payload[name]) for name in names})
    return text if text.strip() else ""


def _stored(point: Point, vector: str) -> FloatArray:
    """float32[size]; empty where the point lacks this vector."""
    return np.asarray(by_name(point.vector).get(vector, ()), dtype=np.float32)


def _cosine(one: FloatArray, other: FloatArray) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0
