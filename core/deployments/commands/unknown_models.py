"""Refuses a deployment over a collection with an unknown model when it is requested, before
anything is built."""

from qdrant_rollouts.core.collections.model_proof import (
    describe_refusal,
    find_unknown_vectors,
    settle_models,
)
from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.collections.vectors import made_by_models
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.plan import Plan, why_model_may_be_unknown
from qdrant_rollouts.core.errors import Busy, Limited, Refused
from qdrant_rollouts.core.gate.evidence.opening import existing_plan
from qdrant_rollouts.core.services import Services


def check_model(
    services: Services,
    alias: str,
    spec: IndexSpec,
    plan: Plan,
    live: str | None,
    *,
    writes: bool = True,
) -> None:
    """Raises Refused if the declared model is not known to be the live collection's. A canary
    continues, because its searches by vector stay on the live collection until a person has
    decided. ``writes``: a proven model is written as the collection's stamp.

    If another process has the embedded store open, or the live collection's rate allows no reads
    now, only the step that creates the collection can check.
    """
    if live is None:
        return
    try:
        made = made_by_models(spec, services.store.schema(live))
        found = settle_models(services, alias, live, made, writes=writes)
    except (Busy, Limited):
        return
    said = describe_refusal(alias, live, made, found)
    if said and not _may_go_on(spec, plan):
        raise Refused(said)


def check_existing_model(
    services: Services,
    alias: str,
    spec: IndexSpec,
    plan: Plan,
    live: str | None,
    collection: str,
    *,
    writes: bool = True,
) -> None:
    """Raises Refused as ``check_model``, for an existing collection. The check matters only if that
    collection's model is known; if both are unknown, the gate says so."""
    try:
        made = existing_plan(services, collection, spec).made
        if live is None or not made:
            return
        if read_stamp(services.store, collection) is None:
            found = settle_models(services, alias, collection, made, writes=writes)
            if not found or not all(one.proven for one in found.values()):
                return
        if not find_unknown_vectors(services.store, live, made):
            return
        live_found = settle_models(services, alias, live, made, writes=writes)
        said = describe_refusal(alias, live, made, live_found)
    except (Busy, Limited):
        return
    if said and not _may_go_on(spec, plan):
        raise Refused(said)


def _may_go_on(spec: IndexSpec, plan: Plan) -> bool:
    return spec.accept_new_model or bool(why_model_may_be_unknown(step.name for step in plan))
