"""What a worker loads before it forks its children.

A child that takes the place of one that died, or that has done enough, would otherwise load it
again: it takes half a second, and memory that the children would not share.
"""

import gc
from importlib import import_module
from typing import Any

from celery.signals import worker_init

#: What almost every step needs and the tasks load late. A model is loaded in the children: one that
#: is loaded before a fork hangs.
_MODULES = (
    "qdrant_rollouts.adapters.alerts",
    "qdrant_rollouts.adapters.embeddings",
    "qdrant_rollouts.adapters.qdrant_bulk",
    "qdrant_rollouts.adapters.qdrant_server",
    "qdrant_rollouts.adapters.redis_channel",
    "qdrant_rollouts.adapters.route_channel",
    "qdrant_rollouts.adapters.sources",
    # the HTTP client of these adapters loads it when it is made
    "httpcore",
)


def install_loading() -> None:
    worker_init.connect(_load_modules, weak=False)


def _load_modules(**_: Any) -> None:
    """What is loaded is kept out of the garbage collections of the children, which would write to
    its pages, and so copy them."""
    for name in _MODULES:
        import_module(name)
    gc.freeze()
