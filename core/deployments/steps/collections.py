"""Green's collection: it is made like blue or as the index file says, and dropped when the
deployment fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.collections import model_proof, versions
from qdrant_rollouts.core.collections import schema as schemas
from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.collections.makers import Maker, open_makers
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.records import brought_vectors
from qdrant_rollouts.core.collections.same_model import unknown_vectors
from qdrant_rollouts.core.collections.stamps import Stamp, foreign_metadata, read_stamp
from qdrant_rollouts.core.collections.text_search import build_text_search
from qdrant_rollouts.core.collections.vectors import VectorPlan, plan_vectors
from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments.plan import (
    Done,
    Outcome,
    Reject,
    StepContext,
    Wait,
    why_model_may_be_unknown,
)
from qdrant_rollouts.core.deployments.steps import foreign_writes, limiting, reading, rooms, unused
from qdrant_rollouts.core.deployments.steps.backup_data import UnpackedSource
from qdrant_rollouts.core.deployments.steps.data import CreatedGreen
from qdrant_rollouts.core.deployments.steps.version_notes import note_facts
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Schema


@dataclass(frozen=True, slots=True)
class GreenDesign:
    """What green will be. ``model`` is the schema that it is cloned from, ``of`` says which
    collection has it; both are None if there is none. ``vector`` is the vector that searches
    use."""

    model: Schema | None
    of: str | None
    vectors: VectorPlan
    makers: Mapping[str, Maker]
    vector: str
    schema: Schema


def design_green(context: StepContext) -> GreenDesign:
    """Returns what green will be. Makes and changes nothing. Raises Refused if it cannot be."""
    model, of = _find_schema_to_clone(context)
    plan = _plan_vectors(context)
    makers = open_makers(context.services, plan)
    vector = _searched_vector(plan, model)
    new = _new_vectors(context, plan, makers, model, vector)
    wanted = schemas.build_schema(model, context.deployment.spec.collection, new)
    return GreenDesign(model, of, plan, makers, vector, wanted)


def create_green(context: StepContext) -> Outcome:
    """Creates green. Safe to run twice: a collection that an earlier try of this deployment left
    behind is used if it is complete, and made again if not. It has no points yet, because populate
    begins after this step is done."""
    deployment = context.deployment
    store = context.services.store
    moved = _why_alias_moved(context)
    if moved:
        return Reject(moved)
    design = design_green(context)
    plan = design.vectors
    wanted = design.schema
    unknown = _why_model_unknown(context, plan)
    if unknown:
        return Reject(unknown)
    barred = _why_over_limits(context, wanted)
    if barred:
        return Reject(barred)
    made = _is_already_whole(context, wanted)
    needs = ""
    if not made:
        needs, short = rooms.look(context, wanted)
        if short:
            return Wait(rooms.AGAIN, f"{short}; {context.patience}", progress=False)
        context.turn.check(ACT_SECONDS)
        metadata = {
            **_foreign_metadata(context),
            **_stamp_of_green(context, design).as_metadata(),
        }
        store.create(deployment.green, schemas.without_strict_mode(wanted), metadata)
    different = schemas.list_differences(wanted, store.schema(deployment.green), waiting=True)
    different += _list_lost_metadata(context)
    if different:
        return Reject(f"{deployment.green} was not made as wanted: {'; '.join(different)}")
    note_facts(
        context,
        _facts_of_green(design.makers, plan, store.schema(deployment.green), design.vector),
    )
    changed = schemas.list_changes(design.model, wanted) if design.model else []
    summary = _summarize_creation(design.of, changed, plan) + (f"; {needs}" if needs else "")
    return Done(
        CreatedGreen(
            summary=summary,
            vector=design.vector,
            vectors=plan.as_state(),
            schema=wanted,
            blue_sample=foreign_writes.sample_blue(context),
        )
    )


def drop_green(context: StepContext) -> Outcome:
    """Drops green if this deployment made it, no alias or route leads to it, and no experiment
    compares it. Safe to run twice: a collection that is gone counts as dropped."""
    deployment = context.deployment
    store = context.services.store
    if deployment.green not in store.collections():
        return Done(StepOutput(summary=f"{deployment.green} is gone"))
    stamp = read_stamp(store, deployment.green)
    if stamp is None or stamp.deployment != deployment.id:
        return Done(StepOutput(summary=f"{deployment.green} is not of this deployment and stays"))
    return unused.drop_unused(context, deployment.green)


def _why_alias_moved(context: StepContext) -> str:
    deployment = context.deployment
    found = context.services.store.aliases().get(deployment.alias)
    if found == deployment.blue:
        return ""
    return (
        f"alias {deployment.alias} points to {found}, was {deployment.blue} when this was asked "
        "for; deploy again"
    )


def _why_model_unknown(context: StepContext, plan: VectorPlan) -> str:
    """Returns why the deployment is refused because of blue's model, or nothing. The request has
    checked this already, unless another process had the embedded store open then."""
    deployment = context.deployment
    if deployment.blue is None:
        return ""
    found = model_proof.settle_models(
        context.services, deployment.alias, deployment.blue, plan.made
    )
    if deployment.spec.accept_new_model or why_model_may_be_unknown(deployment.plan):
        return ""
    return model_proof.describe_refusal(deployment.alias, deployment.blue, plan.made, found)


def _why_over_limits(context: StepContext, wanted: Schema) -> str:
    """Returns which of blue's limits green would exceed, or nothing, as far as this is known before
    the source is read."""
    source = reading.open_deployment_source(context).collection
    if source is None or schemas.is_strict_mode_off(wanted):
        return ""
    return limiting.why_no_room(
        wanted, estimate_points(context.services.store, source), limiting.describe_blue(context)
    )


def _is_already_whole(context: StepContext, wanted: Schema) -> bool:
    """Returns whether an earlier try left green complete. It drops an incomplete collection and
    nothing else, because a process that is stopped before a drop may carry it out when the
    collection serves already. Raises Refused for a collection that others made."""
    store = context.services.store
    green = context.deployment.green
    if green not in store.collections():
        return False
    stamp = read_stamp(store, green)
    if stamp is None or stamp.deployment != context.deployment.id:
        raise Refused(f"collection {green} exists and is not of this deployment; deploy again")
    if not schemas.list_differences(wanted, store.schema(green), waiting=True):
        return True
    context.turn.check(ACT_SECONDS)
    store.drop(green)
    return False


def _foreign_metadata(context: StepContext) -> dict[str, Any]:
    """Returns metadata that others have written to the collection that green is made like."""
    of = context.deployment.blue or reading.open_deployment_source(context).collection
    if not of:
        return {}
    return foreign_metadata(context.services.store.metadata(of), of)


def _list_lost_metadata(context: StepContext) -> list[str]:
    """Returns the keys of that metadata that green lacks. A value of null counts as no value."""
    found = context.services.store.metadata(context.deployment.green)
    wanted = {key: value for key, value in _foreign_metadata(context).items() if value is not None}
    return [
        f"metadata.{key}: not taken over"
        for key, value in wanted.items()
        if found.get(key) != value
    ]


def _find_schema_to_clone(context: StepContext) -> tuple[Schema | None, str | None]:
    """Returns the schema to clone, and where it comes from: blue, or in a first deployment the
    source collection; None if there is neither."""
    blue = context.deployment.blue
    source = reading.open_deployment_source(context)
    of = blue or source.collection
    if of is None:
        return None, None
    schema = context.services.store.schema(of)
    unpacked = context.outputs.find(UnpackedSource)
    if not blue and unpacked:  # unpacking has switched its strict mode off
        schema["strict_mode_config"] = unpacked.schema.get("strict_mode_config")
    return schema, blue or source.address


def _plan_vectors(context: StepContext) -> VectorPlan:
    deployment = context.deployment
    store = context.services.store
    blue = deployment.blue
    collection = reading.open_deployment_source(context).collection
    plan = plan_vectors(
        deployment.spec,
        store.schema(blue) if blue else None,
        store.schema(collection) if collection else None,
        lambda name: store.count(blue, having=name) if blue else 0,
        blue,
    )
    build_text_search(deployment.spec.search, plan.templates, plan.kept)
    return plan


def _searched_vector(plan: VectorPlan, model: Schema | None) -> str:
    """Returns the first vector that a model makes, or else the first one that the server makes. If
    no vector is made from a text, returns the main vector."""
    if plan.templates:
        return next(iter(plan.templates))
    main = schemas.main_vector(model) if model else ""
    if main in plan.kept:
        return main
    return next(iter(sorted(plan.kept)), "")


def _new_vectors(
    context: StepContext,
    plan: VectorPlan,
    makers: Mapping[str, Maker],
    model: Schema | None,
    vector: str,
) -> schemas.NewVectors:
    sizes = {
        name: maker.embedder.dimension
        for name, maker in makers.items()
        if maker.embedder is not None
    }
    known = schemas.vector_names(model) if model else []
    missing = [name for name in plan.given | plan.optional if name not in known]
    if missing or (model is None and not plan.kept):
        shapes = _read_vector_shapes(context, missing)
    else:
        shapes = {}
    if not sizes and model and vector in schemas.dense_names(model):
        sizes = {vector: int(schemas.vector_params(model, vector)["size"])}
    elif not sizes and "size" in shapes.get(vector, {}):
        sizes = {vector: int(shapes[vector]["size"])}
    return schemas.NewVectors(
        sizes=sizes,
        server_made=frozenset(plan.server_made),
        shapes=shapes,
        dropped=plan.dropped,
    )


def _read_vector_shapes(context: StepContext, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns the settings of vectors that records bring and that no collection has yet, from the
    first record."""
    first = next(reading.open_deployment_source(context).read(None), None)
    field = context.deployment.spec.vector_field
    brought = brought_vectors(first, field, names) if first is not None else {}
    found = {
        name: shape for name in names or brought if (shape := _shape_of_vector(brought.get(name)))
    }
    missing = sorted(set(names or [""]) - found.keys())
    if missing:
        which = "list of numbers"
        if any(missing):
            which = f"vector for {', '.join(missing)}"
        raise Refused(
            f"the first record of {context.deployment.source} has no {which} under `{field}`, "
            "which says how the "
            f"vectors of {context.deployment.alias} are: bring it there, or declare "
            "embedding.model in the index file"
        )
    return found


def _shape_of_vector(vector: Any) -> dict[str, Any]:
    """Returns the settings for a vector as a record has it; nothing if it is no vector."""
    if isinstance(vector, Mapping) and vector.keys() == {"indices", "values"}:
        return {"modifier": "none"}
    if isinstance(vector, list) and vector and isinstance(vector[0], list):
        return {
            "size": len(vector[0]),
            "distance": "Cosine",
            "multivector_config": {"comparator": "max_sim"},
        }
    if isinstance(vector, list) and vector:
        return {"size": len(vector), "distance": "Cosine"}
    return {}


def _facts_of_green(
    makers: Mapping[str, Maker], plan: VectorPlan, schema: Schema, vector: str
) -> dict[str, Any]:
    main = makers.get(vector)
    embedding, embedder = (main.by.embedding, main.embedder) if main else (None, None)
    return {**versions.facts_of_model(embedding, embedder, schema, vector), "vectors": plan.origins}


def _stamp_of_green(context: StepContext, design: GreenDesign) -> Stamp:
    deployment = context.deployment
    main = design.makers.get(design.vector)
    by_model = main is not None and main.by.embedding is not None
    return Stamp(
        deployment=deployment.id,
        alias=deployment.alias,
        number=deployment.number,
        vector=design.vector,
        embedding=main.by.embedding.model_dump(mode="json") if main and main.by.embedding else None,
        identity=main.identity if main and by_model else None,
        vectors={name: maker.by.as_metadata() for name, maker in design.makers.items()},
        unknown=_list_unknown_vectors(context, design.vectors),
    )


def _list_unknown_vectors(context: StepContext, plan: VectorPlan) -> list[str]:
    """Returns the vectors that are copied from a collection that does not say what made them."""
    source = reading.open_deployment_source(context).collection
    if source is None or not plan.copied:
        return []
    store = context.services.store
    schema = store.schema(source)
    unknown = unknown_vectors(read_stamp(store, source), schema)
    return sorted(name for name in plan.copied if schemas.meant_vector(schema, name) in unknown)


def _summarize_creation(of: str | None, changed: list[str], plan: VectorPlan) -> str:
    made = "made from the index file"
    if of:
        made = f"cloned from {of}"
    changes = ""
    if of and changed:
        changes = f", with {'; '.join(changed)}"
    dropped = ", ".join(name or "unnamed" for name in sorted(plan.dropped))
    return made + changes + (f"; without vector {dropped}, as declared" if dropped else "")
