"""A deployment over a collection that nobody knows the model of is refused when it is asked for, before anything is
built."""

from qdrant_rollouts.core.collections.model_proof import describe_refusal, find_unknown_vectors, settle_models
from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.collections.vectors import made_by_models
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.plan import Plan, why_model_may_be_unknown
from qdrant_rollouts.core.errors import Busy, Limited, Refused
from qdrant_rollouts.core.gate.evidence.opening import existing_plan
from qdrant_rollouts.core.services import Services


def check_model(services: Services, alias: str, spec: IndexSpec, plan: Plan, live: str | None) -> None:
    """Raises Refused where the declared model is not known to be the live collection's. In a canary searches by vector
    stay on the live collection until a person has decided, so it goes on.

    Where another process has the embedded store open, or the live collection's rate leaves no room for it now, only the
    step that makes the collection can look.
    """
    if live is None:
        return
    try:
        made = made_by_models(spec, services.store.schema(live))
        found = settle_models(services, alias, live, made)
    except (Busy, Limited):
        return
    said = describe_refusal(alias, live, made, found)
    if said and not _may_go_on(spec, plan):
        raise Refused(said)


def check_existing_model(
    services: Services, alias: str, spec: IndexSpec, plan: Plan, live: str | None, collection: str
) -> None:
    """As ``check_model``, for a collection that is there already. It matters where that one is known to be of a model;
    of two collections that nobody knows anything of, the gate says so."""
    try:
        made = existing_plan(services, collection, spec).made
        if live is None or not made:
            return
        if read_stamp(services.store, collection) is None:
            found = settle_models(services, alias, collection, made)
            if not found or not all(one.proven for one in found.values()):
                return
        if not find_unknown_vectors(services.store, live, made):
            return
        said = describe_refusal(alias, live, made, settle_models(services, alias, live, made))
    except (Busy, Limited):
        return
    if said and not _may_go_on(spec, plan):
        raise Refused(said)


def _may_go_on(spec: IndexSpec, plan: Plan) -> bool:
    return spec.accept_new_model or bool(why_model_may_be_unknown(step.name for step in plan))
