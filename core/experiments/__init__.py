"""The statistics of two arms: pure functions on numbers. Sections are those of docs/notes/experiments.md.

Names are imported from their modules when first asked for: whoever only assigns users, as a search process or the
index file does, loads no scipy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.experiments.assignment import Ranges, assign, bucket, bucket_ranges, weights_of
    from core.experiments.balance import concentration_for, mismatched, srm_chi_square, srm_sequential
    from core.experiments.comparison import Comparison, FixedTest, Goal, Relative, Stratum, Verdict, compare
    from core.experiments.decision import Action, Decision, Limits, Quality, decide
    from core.experiments.metric import Kind, Metric, Role
    from core.experiments.moments import Estimate, Moments, Unclear, difference, relative_difference
    from core.experiments.multiplicity import adjust, holm
    from core.experiments.planning import days, days_left, detectable, n_star, users_for_mean, users_for_rate
    from core.experiments.preference import e_process, win_rate_interval
    from core.experiments.quantiles import clustered_quantile, clustered_quantile_difference
    from core.experiments.sequence import confidence_sequence, sequential_p
    from core.experiments.sums import Sums, delta_ratio, mean, mean_from_sums
    from core.experiments.team_draft import Draft, coins, credit, draft
    from core.experiments.welch import Welch, welch_from_moments
    from core.measures.ranking import rbo_ext

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
_HOME["rbo_ext"] = "core.measures.ranking"

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
