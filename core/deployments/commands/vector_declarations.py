"""A deployment that would lose a vector is refused when it is asked for, before anything is built."""

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
    """Raises Refused where the index file does not account for every vector of the live collection, or where the
    embedded store would have to make one; and where `search` names a vector that no text can ask.

    Where another process has the embedded store open, and for a backup that is not unpacked yet, only the step that
    makes the collection can look.
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
    """Raises Refused where `search` names a vector of a collection made elsewhere that no text can ask."""
    made = existing_plan(services, collection, spec).templates
    build_text_search(spec.search, made, vector_names(services.store.schema(collection)), declared_names(spec))
