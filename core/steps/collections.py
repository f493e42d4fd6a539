"""Green's collection: made like blue or as the index file says, and dropped again when the deployment fails."""

from typing import Any

from core import schema as schemas
from core import versions
from core.aliases import ACT_SECONDS
from core.errors import Refused
from core.plan import Done, Outcome, Reject, StepContext
from core.ports import Schema
from core.readiness import about
from core.records import first_size
from core.recovered import STEP
from core.stamps import Stamp, read_stamp, theirs
from core.steps import limiting, reading, unused


def create(context: StepContext) -> Outcome:
    """Safe to run twice: what an earlier try of this deployment has left is taken if it is whole, else made anew;
    nothing has been written to it, for populate begins after this step is done."""
    deployment, store = context.deployment, context.services.store
    moved = _moved(context)
    if moved:
        return Reject(moved)
    model, of = _model(context)
    vector = _vector_name(context, model, of or "")
    wanted = schemas.declared(model, deployment.spec.collection, vector, _size(context, model, vector))
    barred = _barred(context, wanted)
    if barred:
        return Reject(barred)
    if not _made_before(context, wanted):
        context.turn.check(ACT_SECONDS)
        metadata = {**_theirs(context), **_stamp(context, vector).as_metadata()}
        store.create(deployment.green, schemas.unlimited(wanted), metadata)
    different = schemas.difference(wanted, store.schema(deployment.green), waiting=True)
    different += _lost(context)
    if different:
        return Reject(f"{deployment.green} was not made as wanted: {'; '.join(different)}")
    embedding = deployment.spec.embedding
    embedder = context.services.embedder(embedding) if embedding else None
    versions.note(context, versions.made(embedding, embedder, store.schema(deployment.green), vector))
    changed = schemas.changes(model, wanted) if model else []
    return Done({"summary": _summary(of, changed), "vector": vector, "schema": wanted})


def drop(context: StepContext) -> Outcome:
    """Drops green if it is this deployment's and no alias or route leads to it. Safe to run twice: gone is done."""
    deployment, store = context.deployment, context.services.store
    if deployment.green not in store.collections():
        return Done({"summary": f"{deployment.green} is gone"})
    stamp = read_stamp(store, deployment.green)
    if stamp is None or stamp.deployment != deployment.id:
        return Done({"summary": f"{deployment.green} is not of this deployment and stays"})
    return unused.drop(context, deployment.green)


def _moved(context: StepContext) -> str:
    deployment = context.deployment
    found = context.services.store.aliases().get(deployment.alias)
    if found == deployment.blue:
        return ""
    return f"alias {deployment.alias} points to {found}, was {deployment.blue} when this was asked for; deploy again"


def _barred(context: StepContext, wanted: Schema) -> str:
    """What blue's limits will not allow, as far as it is known before the source is read."""
    source = reading.source(context).collection
    if source is None or schemas.strict_mode_is_off(wanted):
        return ""
    return limiting.room_for(wanted, about(context.services.store, source), limiting.standard(context))


def _made_before(context: StepContext, wanted: Schema) -> bool:
    """Has an earlier try left green whole? What it left half made is dropped, and nothing else: a process that is
    stopped before a drop may carry it out when the collection serves already. Raises Refused for somebody else's."""
    store, green = context.services.store, context.deployment.green
    if green not in store.collections():
        return False
    stamp = read_stamp(store, green)
    if stamp is None or stamp.deployment != context.deployment.id:
        raise Refused(f"collection {green} exists and is not of this deployment; deploy again")
    if not schemas.difference(wanted, store.schema(green), waiting=True):
        return True
    context.turn.check(ACT_SECONDS)
    store.drop(green)
    return False


def _theirs(context: StepContext) -> dict[str, Any]:
    """Metadata that somebody else has given the collection that green is made like."""
    of = context.deployment.blue or reading.source(context).collection
    return theirs(context.services.store.metadata(of), of) if of else {}


def _lost(context: StepContext) -> list[str]:
    """What of that metadata green does not have, by its keys; a value of null is no value."""
    found = context.services.store.metadata(context.deployment.green)
    wanted = {key: value for key, value in _theirs(context).items() if value is not None}
    return [f"metadata.{key}: not taken over" for key, value in wanted.items() if found.get(key) != value]


def _model(context: StepContext) -> tuple[Schema | None, str | None]:
    """The schema to clone and whose it is: blue's, or on a first deployment the source collection's, or none."""
    blue, source = context.deployment.blue, reading.source(context)
    of = blue or source.collection
    if of is None:
        return None, None
    schema, unpacked = context.services.store.schema(of), context.outputs.get(STEP)
    if not blue and unpacked:  # its strict mode was switched off to read it
        schema["strict_mode_config"] = unpacked["schema"].get("strict_mode_config")
    return schema, blue or source.address


def _vector_name(context: StepContext, model: Schema | None, of: str) -> str:
    """The vector that is embedded: as declared, else the only one that a model can make. Without a
    model, the main one: the gate asks with it."""
    embedding = context.deployment.spec.embedding
    if embedding is None:
        return schemas.main_vector(model) if model else ""
    return schemas.embedded_vector(model, embedding.vector, of) if model else embedding.vector


def _size(context: StepContext, model: Schema | None, vector: str) -> int:
    embedding = context.deployment.spec.embedding
    if embedding is not None:
        return context.services.embedder(embedding).dimension
    if model is None:
        return _first_size(context)
    return int(schemas.vector_params(model, vector)["size"]) if vector in schemas.dense_names(model) else 0


def _first_size(context: StepContext) -> int:
    """Length of the first record's vector: a first deployment of ready-made vectors has nothing else to go by."""
    field = context.deployment.spec.vector_field
    first = next(reading.source(context).read(None), None)
    size = first_size(first, field) if first is not None else None
    if size is None:
        alias = context.deployment.alias
        raise Refused(
            f"the first record of {context.deployment.source} has no list of numbers under `{field}` and index {alias} "
            "declares no embedding: declare embedding.model in the index file; for vectors with names, multivectors "
            f"and sparse ones make the first collection with a client of Qdrant's and point the alias {alias} to it"
        )
    return size


def _stamp(context: StepContext, vector: str) -> Stamp:
    deployment, services = context.deployment, context.services
    embedding = deployment.spec.embedding
    return Stamp(
        deployment=deployment.id,
        alias=deployment.alias,
        number=deployment.number,
        vector=vector,
        embedding=embedding.model_dump(mode="json") if embedding else None,
        identity=services.embedder(embedding).identity if embedding else None,
    )


def _summary(of: str | None, changed: list[str]) -> str:
    if of is None:
        return "made from the index file"
    return f"cloned from {of}" + (f", with {'; '.join(changed)}" if changed else "")
