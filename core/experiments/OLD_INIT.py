"""The statistics of two arms: pure functions on numbers. Sections are those of docs/notes/experiments.md.

Names are imported from their modules when first asked for: whoever only assigns users, as a search process or the
index file does, loads no scipy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qdrant_rollouts.core.statistics.assignment import Ranges, assign, bucket, bucket_ranges, weights_of
    from qdrant_rollouts.core.statistics.balance import concentration_for, mismatched, srm_chi_square, srm_sequential
    from qdrant_rollouts.core.statistics.comparison import (
        Comparison,
        FixedTest,
        Goal,
        Relative,
        Stratum,
        Verdict,
        compare,
    )
    from qdrant_rollouts.core.statistics.decision import Action, Decision, Limits, Quality, decide
    from qdrant_rollouts.core.statistics.metric import Kind, Metric, Role
    from qdrant_rollouts.core.statistics.moments import Estimate, Moments, Unclear, difference, relative_difference
    from qdrant_rollouts.core.statistics.multiplicity import adjust, holm
    from qdrant_rollouts.core.statistics.planning import (
        days,
        days_left,
        detectable,
        n_star,
        users_for_mean,
        users_for_rate,
    )
    from qdrant_rollouts.core.statistics.preference import e_process, win_rate_interval
    from qdrant_rollouts.core.statistics.quantiles import clustered_quantile, clustered_quantile_difference
    from qdrant_rollouts.core.statistics.ranking import rbo_ext
    from qdrant_rollouts.core.statistics.sequence import confidence_sequence, sequential_p
    from qdrant_rollouts.core.statistics.sums import Sums, delta_ratio, mean, mean_from_sums
    from qdrant_rollouts.core.statistics.team_draft import Draft, coins, credit, draft
    from qdrant_rollouts.core.statistics.welch import Welch, welch_from_moments

_NAMES = {
    "assignment": ("Ranges", "assign", "bucket", "bucket_ranges", "weights_of"),
    "balance": ("concentration_for", "mismatched", "srm_chi_square", "srm_sequential"),
    "comparison": ("Comparison", "FixedTest", "Goal", "Relative", "Stratum", "Verdict", "compare"),
    "decision": ("Action", "Decision", "Limits", "Quality", "decide"),
    "metric": ("Kind", "Metric", "Role"),
    "moments": ("Estimate", "Moments", "Unclear", "difference", "relative_difference"),
    "multiplicity": ("adjust", "holm"),
    "planning": ("days", "days_left", "detectable", "n_star", "users_for_mean", "users_for_rate"),
    "preference": ("e_process", "win_rate_interval"),
    "quantiles": ("clustered_quantile", "clustered_quantile_difference"),
    "sequence": ("confidence_sequence", "sequential_p"),
    "sums": ("Sums", "delta_ratio", "mean", "mean_from_sums"),
    "team_draft": ("Draft", "coins", "credit", "draft"),
    "welch": ("Welch", "welch_from_moments"),
}
_HOME = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}
_HOME["rbo_ext"] = "qdrant_rollouts.core.statistics.ranking"

__all__ = [
    "Action",
    "Comparison",
    "Decision",
    "Draft",
    "Estimate",
    "FixedTest",
    "Goal",
    "Kind",
    "Limits",
    "Metric",
    "Moments",
    "Quality",
    "Ranges",
    "Relative",
    "Role",
    "Stratum",
    "Sums",
    "Unclear",
    "Verdict",
    "Welch",
    "adjust",
    "assign",
    "bucket",
    "bucket_ranges",
    "clustered_quantile",
    "clustered_quantile_difference",
    "coins",
    "compare",
    "concentration_for",
    "confidence_sequence",
    "credit",
    "days",
    "days_left",
    "decide",
    "delta_ratio",
    "detectable",
    "difference",
    "draft",
    "e_process",
    "holm",
    "mean",
    "mean_from_sums",
    "mismatched",
    "n_star",
    "rbo_ext",
    "relative_difference",
    "sequential_p",
    "srm_chi_square",
    "srm_sequential",
    "users_for_mean",
    "users_for_rate",
    "weights_of",
    "welch_from_moments",
    "win_rate_interval",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
