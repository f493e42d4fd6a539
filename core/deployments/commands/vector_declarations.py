"""Refuses a deployment that would lose a vector when it is requested, before anything is built."""

from qdrant_rollouts.core.collections.makers import check_server_makes
from qdrant_rollouts.core.collections.recovered import backup_of
from qdrant_rollouts.core.collections.schema import vector_names
from qdrant_rollouts.core.collections.text_search import build_text_search, declared_names
from qdrant_rollouts.core.collections.vectors import plan_vectors
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.errors import Busy
from qdrant_rollouts.core.gate.evidence.opening import existing_plan
from qdrant_rollouts.core.ports import Source
from qdrant_rollouts.core.services import Services


def check_vectors(services: Services, spec: IndexSpec, live: str | None, source: Source) -> None:
    """Raises Refused if the index file does not account for every vector of the live collection, if
    the embedded store would have to make one, or if `search` names a vector that no text can
    search.

    If another process has the embedded store open, or for a backup that is not unpacked yet, only
    the step that creates the collection can check.
    """
    if backup_of(source.address) is not None:
        return
    store = services.store
    try:
        plan = plan_vectors(
            spec,
            store.schema(live) if live else None,
            store.schema(source.collection) if source.collection else None,
            lambda name: store.count(live, having=name) if live else 0,
            live,
        )
        check_server_makes(plan, store)
        build_text_search(spec.search, plan.templates, plan.kept)
    except Busy:
        return


def check_search(services: Services, spec: IndexSpec, collection: str) -> None:
    """Raises Refused if `search` names a vector of a collection made elsewhere that no text can
    search."""
    made = existing_plan(services, collection, spec).templates
    build_text_search(
        spec.search, made, vector_names(services.store.schema(collection)), declared_names(spec)
    )
