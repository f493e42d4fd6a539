"""The report of an interleaved experiment: which of two lists users prefer, by an exact test that
is valid at every look."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.experiment_spec import ExperimentSpec
from qdrant_rollouts.core.database.experiment_rows import ExposureRow, Impression
from qdrant_rollouts.core.routing import interleaving
from qdrant_rollouts.core.routing.interleaving import Votes
from qdrant_rollouts.core.statistics import spans
from qdrant_rollouts.core.statistics.decision import Action, Decision
from qdrant_rollouts.core.statistics.preference import (
    measure_preference,
    preference_share,
    win_rate_interval,
)


def read_preference(
    session: Session, experiment_id: str, spec: ExperimentSpec, at: datetime, before: dict[str, Any]
) -> dict[str, Any]:
    """``p`` is the smallest over all looks, and ``log_e`` the largest: what was rejected once stays
    rejected."""
    votes = interleaving.count_votes(session, experiment_id, at)
    found = measure_preference(votes.wins, votes.losses, alpha=spec.alpha)
    low, high = win_rate_interval(votes.wins, votes.losses, alpha=spec.alpha)
    return {
        **asdict(votes),
        "lists": _count_rows(session, Impression, experiment_id),
        "users": _count_rows(session, ExposureRow, experiment_id),
        "share": preference_share(votes.wins, votes.ties, votes.losses),
        "win_rate_low": low,
        "win_rate_high": high,
        "direction": found.direction,
        "log_e": max(found.log_e, before.get("log_e", found.log_e)),
        "p": min(found.p, before.get("p", 1.0)),
    }


def decide_preference(
    found: dict[str, Any], spec: ExperimentSpec, changed: str, days: float
) -> Decision:
    """Returns INVALID, ROLLBACK, KEEP_RUNNING, SHIP or STOP_INCONCLUSIVE: the first that applies,
    as for metrics."""
    votes = Votes(found["wins"], found["losses"], found["ties"])
    words = (
        f"{votes.wins} users prefer the treatment, {votes.losses} the control, {votes.ties} neither"
    )
    told = f"{words}: p {found['p']:.2g}"
    sure = found["p"] <= spec.alpha
    if changed:
        return Decision(Action.INVALID, f"{changed} is not what the experiment began with")
    if sure and found["direction"] < 0:
        return Decision(Action.ROLLBACK, told, 0.0, spec.treatments[0].variant)
    if days < spec.min_days:
        return Decision(
            Action.KEEP_RUNNING,
            f"{spans.format_days(days)} of at least {spans.format_whole_days(spec.min_days)}; "
            f"{told}",
        )
    if sure and found["direction"] > 0:
        return Decision(Action.SHIP, told, 0.0, spec.treatments[0].variant)
    if days < spec.max_days:
        return Decision(
            Action.KEEP_RUNNING, f"{told}, not yet at most {spec.alpha:g}", spec.max_days - days
        )
    return Decision(
        Action.STOP_INCONCLUSIVE,
        f"after {spans.format_days(days)} nothing is shown, control stays: {told}",
    )


def _count_rows(
    session: Session, table: type[ExposureRow] | type[Impression], experiment_id: str
) -> int:
    return (
        session.scalar(
            select(func.count()).select_from(table).where(table.experiment_id == experiment_id)
        )
        or 0
    )
