"""A module that is loaded at its first use, because loading costs a tenth of a second or more and
many processes never need it.

Rule: only core modules that light modules import load a library in this way, for example
``core.config.vector_kinds``.
"""

from importlib import import_module
from typing import Any


class Library:
    """Stands in for the module called ``name``. It keeps what was asked for, because vectors are
    compared one by one and each comparison asks for several functions."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        found = getattr(import_module(self._name), name)
        setattr(self, name, found)
        return found
