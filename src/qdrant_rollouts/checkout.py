"""The short names of the repository's top level, for work in its root: ``celery -A tasks``,
``import wiring``.

Everything importable is called ``qdrant_rollouts.…``. Python would load ``core/errors.py`` a second
time for ``import core.errors``, and then there would be two ``Refused``, of which ``except`` knows
one. So a short name stands for the module of the full name, and no module is imported twice.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType


def stand_for(name: str) -> ModuleType:
    """Makes ``name``, a package or module of the top level, and all below it stand for the full
    name's."""
    module = import_module(f"{__package__}.{name}")
    sys.modules[name] = module
    if not any(isinstance(finder, _FullNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, _FullNames())
    return module


class _FullNames(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if top == name or sys.modules.get(top) is not sys.modules.get(f"{__package__}.{top}", self):
            return None  # a package of that name that is not ours
        module = import_module(f"{__package__}.{name}")
        return ModuleSpec(
            name,
            _Given(module),
            origin=module.__file__,
            is_package=hasattr(module, "__path__"),
        )


class _Given(InspectLoader):
    """Loads nothing: the module exists, and keeps its original spec. ``python -m`` asks for its
    code, and gets that of the original loader, which knows only the full name."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec

    def is_package(self, fullname: str) -> bool:
        return hasattr(self._module, "__path__")

    def get_code(self, fullname: str) -> CodeType | None:
        return self._original().get_code(self._module.__name__)

    def get_source(self, fullname: str) -> str | None:
        return self._original().get_source(self._module.__name__)

    def _original(self) -> InspectLoader:
        assert self._spec is not None
        assert isinstance(self._spec.loader, InspectLoader)
        return self._spec.loader
