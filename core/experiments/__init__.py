"""A/B tests as people run them: created, started, looked at, decided.

The statistics they are decided by may be imported from here too, such as ``compare``. A module of them is loaded when
one of its names is asked for, so that whoever only assigns users loads no scipy.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from qdrant_rollouts.core.sanitize.quoting import quote_value

#: Those that need no scipy first.
_STATISTICS = (
    "assignment", "team_draft", "metric", "moments", "sums", "multiplicity", "ranking", "balance", "quantiles",
    "planning", "preference", "sequence", "welch", "comparison", "decision",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """A module of this room comes first: Python asks here before it looks for one."""
    hidden = name.startswith("_") or (Path(__file__).parent / f"{name}.py").exists()
    for module in () if hidden else _STATISTICS:
        found = vars(import_module(f"qdrant_rollouts.core.statistics.{module}"))
        if name in found:
            return found[name]
    raise AttributeError(f"module {__name__!r} has no attribute {quote_value(name)}")
