"""A/B tests as people run them: created, started, looked at, decided.

The statistics that decide them can be imported from here too, such as ``compare``. Each of their
modules is loaded when one of its names is used, so code that only assigns users does not load
scipy.
"""

# ruff: noqa: F403 - only type checkers read the star imports; the table lists the names

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qdrant_rollouts.core.sanitize.quoting import quote_value

if TYPE_CHECKING:
    from qdrant_rollouts.core.statistics.assignment import *
    from qdrant_rollouts.core.statistics.balance import *
    from qdrant_rollouts.core.statistics.comparison import *
    from qdrant_rollouts.core.statistics.decision import *
    from qdrant_rollouts.core.statistics.metric import *
    from qdrant_rollouts.core.statistics.moments import *
    from qdrant_rollouts.core.statistics.multiplicity import *
    from qdrant_rollouts.core.statistics.planning import *
    from qdrant_rollouts.core.statistics.preference import *
    from qdrant_rollouts.core.statistics.quantiles import *
    from qdrant_rollouts.core.statistics.ranking import *
    from qdrant_rollouts.core.statistics.sequence import *
    from qdrant_rollouts.core.statistics.sums import *
    from qdrant_rollouts.core.statistics.team_draft import *
    from qdrant_rollouts.core.statistics.welch import *

#: What each module of ``core.statistics`` offers here. Modules that need no scipy come first.
_STATISTICS = {
    "assignment": (
        "BASIS",
        "Ranges",
        "assign",
        "bucket",
        "bucket_ranges",
        "canary_ranges",
        "group_of_unit",
        "share_of",
        "weights_of",
    ),
    "team_draft": (
        "Coins",
        "Draft",
        "Key",
        "Place",
        "Team",
        "coins",
        "credit",
        "distinct_documents",
        "draft",
    ),
    "metric": (
        "Kind",
        "Metric",
        "Role",
        "Unit",
    ),
    "moments": (
        "EFFECTIVE",
        "Estimate",
        "Floats",
        "Moments",
        "Unclear",
        "difference",
        "error_rate",
        "latency_quantile",
        "relative_difference",
        "stratified_effect",
        "weighted_moments",
    ),
    "sums": (
        "Sums",
        "delta_ratio",
        "effective_units",
        "mean",
        "mean_from_sums",
    ),
    "multiplicity": (
        "adjust",
        "holm",
    ),
    "ranking": (
        "Grades",
        "Scored",
        "average_precision",
        "expected_holes",
        "expected_ndcg",
        "expected_recall",
        "expected_reciprocal_rank",
        "found_of_best",
        "hits_at_least",
        "hole_share",
        "ndcg",
        "precision",
        "rbo_ext",
        "recall",
        "reciprocal_rank",
        "settle_ties",
        "top_overlap",
    ),
    "balance": (
        "ALPHA",
        "LEAST_UNITS",
        "concentration_for",
        "is_mismatched",
        "srm_chi_square",
        "srm_sequential",
    ),
    "quantiles": (
        "Events",
        "clustered_quantile",
        "clustered_quantile_difference",
    ),
    "planning": (
        "days",
        "days_left",
        "detectable",
        "detectable_in_sequence",
        "diluted_users",
        "n_star",
        "users_for_mean",
        "users_for_rate",
    ),
    "preference": (
        "Evidence",
        "e_process",
        "measure_preference",
        "preference_share",
        "vote_of_user",
        "win_rate_interval",
    ),
    "sequence": (
        "confidence_sequence",
        "half_one_sided",
        "half_two_sided",
        "p_value",
        "sequential_p",
    ),
    "welch": (
        "Welch",
        "welch_from_moments",
    ),
    "comparison": (
        "Comparison",
        "FixedTest",
        "Goal",
        "Relative",
        "Stratum",
        "Verdict",
        "compare",
    ),
    "decision": (
        "Action",
        "Comparisons",
        "Decision",
        "Limits",
        "Quality",
        "TOLERATED",
        "decide",
    ),
}
_MODULE_OF = {name: module for module, names in _STATISTICS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {quote_value(name)}")
    module = import_module(f"qdrant_rollouts.core.statistics.{_MODULE_OF[name]}")
    return getattr(module, name)
