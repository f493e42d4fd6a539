"""A library that is loaded at its first use: it costs a process a tenth of a second or more that many never need.

Rule: only modules of the core that light ones import take a library so, ``core.config.vector_kinds`` for one.
"""

from importlib import import_module
from typing import Any


class Library:
    """Stands for the module called ``name``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)
