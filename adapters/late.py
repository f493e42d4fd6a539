"""Adapters that are loaded at their first use, because their libraries take seconds and most
processes never need them.

Rule: a whole adapter is loaded late, never a part of one. A process that only reads rows loads no
Qdrant client, no Celery and no model; a process that needs one waits for it once.
"""

import threading
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any


def late(module: str, name: str) -> Callable[..., Any]:
    """Returns ``module.name``, which is imported when it is called; ``module`` is relative to our
    package."""

    @cache
    def load() -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(import_module(f"qdrant_rollouts.{module}"), name)
        return found

    def load_and_call(*given: Any, **named: Any) -> Any:
        return load()(*given, **named)

    return load_and_call


class FirstUse:
    """Stands in for what ``make`` returns, and calls it at the first use of an attribute, except
    for ``close`` and attributes that are ``known`` before. Thread-safe."""

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
