"""A/B tests as people run them: created, started, looked at, decided.

The statistics that decide them can be imported from here too, such as ``compare``. Each of their
modules is loaded when one of its names is used, so code that only assigns users does not load
scipy.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from qdrant_rollouts.core.sanitize.quoting import quote_value

#: Modules that need no scipy come first.
_STATISTICS = (
    "assignment", "team_draft", "metric", "moments", "sums", "multiplicity", "ranking",
    "balance", "quantiles",
    "planning", "preference", "sequence", "welch", "comparison", "decision",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """A module of this package comes first, because Python asks here before it looks for a
    module."""
    hidden = name.startswith("_") or (Path(__file__).parent / f"{name}.py").exists()
    for module in () if hidden else _STATISTICS:
        found = vars(import_module(f"qdrant_rollouts.core.statistics.{module}"))
        if name in found:
            return found[name]
    raise AttributeError(f"module {__name__!r} has no attribute {quote_value(name)}")
