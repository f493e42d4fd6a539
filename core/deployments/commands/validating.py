"""Runs the gate alone: judges a collection without a deployment, and changes nothing."""

import time
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

from qdrant_rollouts.core.deployments.commands import resolve_spec
from qdrant_rollouts.core.deployments.strategies import why_live_model_may_be_unknown
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate import verdict
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.opening import open_existing
from qdrant_rollouts.core.ports import State
from qdrant_rollouts.core.ports.naming import check_found_name
from qdrant_rollouts.core.sanitize.quoting import shorten_text
from qdrant_rollouts.core.services import Services


def validate_collection(
    services: Services,
    alias: str,
    collection: str,
    *,
    options: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] = lambda words: None,
) -> State:
    """Returns the gate's report on ``collection`` as the next one of ``alias``. ``tell`` receives
    progress messages.

    Raises Refused for an unknown alias or collection, and for invalid settings.
    """
    check_found_name("collection", collection)
    opened = _open_gate(services, check_found_name("alias", alias), collection, options or {})
    pause = Event()
    while (wait := verdict.collect_evidence(opened, _stop_after_second())) is not None:
        tell(verdict.describe_progress(opened))
        pause.wait(wait)
    return {**verdict.build_report(opened), "alias": alias}


def _open_gate(
    services: Services, alias: str, collection: str, options: Mapping[str, Any]
) -> GateContext:
    live = services.store.aliases()
    if collection not in services.store.collections():
        raise Refused(
            f"collection {shorten_text(collection)} does not exist; name a collection, not an alias"
        )
    spec = resolve_spec(services, alias, live, options)
    fine = why_live_model_may_be_unknown(spec)
    return open_existing(services, collection, live.get(alias), spec, {}, unknown_is_fine=fine)


def _stop_after_second() -> Callable[[], bool]:
    ends = time.monotonic() + 1
    return lambda: time.monotonic() >= ends
