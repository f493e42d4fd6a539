"""Adapters that are loaded at their first use: the libraries behind them cost a process seconds that most never need.

Rule: what is late is a whole adapter, never a line of one. Who looks at rows loads no client of Qdrant, no Celery and
no model; who does need one waits for it once.
"""

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any


def late(module: str, name: str) -> Callable[..., Any]:
    """``module.name``, which is imported when it is called; ``module`` as it is called within our package."""

    def call(*given: Any, **named: Any) -> Any:
        return getattr(import_module(f"qdrant_rollouts.{module}"), name)(*given, **named)

    return call


class FirstUse:
    """Stands for what ``make`` makes, and makes it when it is first asked for anything but to close, or for an
    attribute that is ``known`` before. For threads."""

    def __init__(self, make: Callable[[], Any], **known: Any) -> None:
        vars(self).update(known)
        self._make = make
        self._guard = threading.Lock()
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._open_once(), name)

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._open_once()(*given, **named)

    def __str__(self) -> str:
        return str(self._open_once())

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

    def _open_once(self) -> Any:
        if self._made is None:
            with self._guard:
                if self._made is None:
                    self._made = self._make()
        return self._made
