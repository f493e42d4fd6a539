"""What users and applications report about results: counted once, only for exposed users, and in
time.

Rule: invalid feedback is refused with a message and counted by its reason. So a program that
reports wrongly is visible in the report and does not affect the result.
"""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.experiment_spec import INTERLEAVED, ExperimentSpec, MetricSpec
from qdrant_rollouts.core.database import upserts
from qdrant_rollouts.core.database.experiment_rows import CountRow, Experiment, FeedbackKey
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import ExperimentStatus
from qdrant_rollouts.core.routing import interleaving
from qdrant_rollouts.core.routing.exposures import Exposure, Ledger, unit_of_user
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics import histogram
from qdrant_rollouts.core.statistics.assignment import assign, group_of_unit
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch

#: The range of seconds that a sketch can represent.
LEAST_SECONDS = 1e-5
MOST_SECONDS = 128.0


class Unexposed(Refused):
    """This user was never exposed to the experiment, or the exposure is not recorded yet."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """``value`` is a number of ``metric``; ``key`` names this feedback, so that it is counted once.
    ``variant`` may be empty if the caller does not know it. Without ``user_id`` the feedback is
    shown and decides nothing. A click on an interleaved list names a ``document`` in the list of
    ``query_id``."""

    experiment_id: str
    metric: str
    value: Any
    variant: str = ""
    user_id: str | None = None
    key: str | None = None
    query_id: str = ""
    document: str | int = ""


class _Fault(Exception):
    """Why feedback is refused: a word to count it under, and a sentence; ``early`` if that may
    change soon."""

    def __init__(self, what: str, words: str, *, early: bool = False) -> None:
        super().__init__(words)
        self.what = what
        self.words = words
        self.early = early


def count_feedback(services: Services, given: Feedback, *, patient: bool = False) -> bool:
    """Counts feedback; returns False if it is already counted.

    Raises Refused, after counting the refusal. For a ``patient`` caller a user without exposure is
    ``Unexposed`` and nothing is counted yet: the caller tries again, because the exposure may still
    arrive.
    """
    try:
        with services.sessions.begin() as session:
            return _accept_feedback(session, services.clock.now(session), given)
    except _Fault as fault:
        if patient and fault.early:
            raise Unexposed(fault.words) from None
        _count_refusal(services, given, f"refused: {fault.what}")
        raise Refused(fault.words) from None


def _accept_feedback(session: Session, now: datetime, given: Feedback) -> bool:
    """A user who reports an arm other than their own has met both, and counts in their own. After
    the experiment's end the control answers all users."""
    row = session.get(Experiment, given.experiment_id)
    if row is None:
        words = (
            f"there is no experiment {quote_value(given.experiment_id)}; `rollouts experiment "
            "list` shows them"
        )
        raise _Fault("unknown experiment", words)
    spec = read_stored(ExperimentSpec, row.spec)
    metric = _check_metric(row, spec, given)
    if given.key is not None:
        key = {"experiment_id": given.experiment_id, "key": given.key, "at": now}
        if not upserts.insert_if_new(session, FeedbackKey, key):
            return False
    if spec.mode == "interleave":
        return _accept_click(session, now, given)
    if given.user_id is None:
        _add_count(session, row, given, "without a user", float(given.value))
        return True
    ledger = Ledger(session, row.id, spec)
    unit = unit_of_user(row.id, given.user_id)
    found = ledger.find_exposures([unit]).get(unit)
    if found is None:
        raise _build_unexposed_fault(row, spec, given.user_id)
    _check_window_open(now, found.closes_at, f"user {quote_value(given.user_id)}")
    if row.status == ExperimentStatus.RUNNING and given.variant and given.variant != found.variant:
        ledger.cross([unit])
    _add_value(ledger, metric, given, unit, found)
    return True


def _build_unexposed_fault(row: Experiment, spec: ExperimentSpec, user_id: str) -> _Fault:
    """The control serves users who do not take part: their feedback does not make the data
    invalid."""
    if row.status != ExperimentStatus.RUNNING:
        return _Fault(
            "not taking part",
            f"user {quote_value(user_id)} did not take part in experiment {row.id}, which has "
            "ended",
        )
    coverage = row.stages[-1]["coverage"]
    if assign(row.id, user_id, tuple(mine for (mine,) in spec.ranges(coverage))) is None:
        words = f"user {quote_value(user_id)} does not take part in experiment {row.id}: "
        words += f"{coverage / 100:g} % of the users do"
        return _Fault("not taking part", words)
    return _Fault(
        "never exposed",
        f"user {quote_value(user_id)} was never exposed to experiment {row.id}; search first",
        early=True,
    )


def _accept_click(session: Session, now: datetime, given: Feedback) -> bool:
    seen = interleaving.find_list(session, given.experiment_id, given.query_id)
    if seen is None:
        where = f"query_id {quote_value(given.query_id)} in experiment {given.experiment_id}"
        words = f"no list was served for {where}; search first"
        raise _Fault("never exposed", words, early=True)
    _check_window_open(now, seen.closes_at, f"query {quote_value(given.query_id)}")
    if given.value <= 0:
        raise _Fault(
            "no click",
            f"value {given.value:g} of {given.metric} is not above 0: report what was clicked",
        )
    try:
        return interleaving.count_click(session, seen, str(given.document))
    except KeyError:
        shown = ", ".join(str(document) for document, *_ in seen.served)
        raise _Fault(
            "unknown document",
            f"document {quote_value(given.document)} is not in the list served: {shown}",
        ) from None


def _check_window_open(now: datetime, closes_at: datetime, whose: str) -> None:
    if now >= closes_at:
        raise _Fault("too late", f"the window of {whose} closed at {closes_at:%Y-%m-%d %H:%M} UTC")


def _check_metric(row: Experiment, spec: ExperimentSpec, given: Feedback) -> MetricSpec:
    if row.status == ExperimentStatus.DRAFT:
        raise _Fault(
            "not started",
            f"experiment {row.id} is not started; `rollouts experiment start {row.id}`",
        )
    variants = [INTERLEAVED] if spec.mode == "interleave" else [arm.variant for arm in spec.arms]
    if given.variant and given.variant not in variants:
        raise _Fault(
            "unknown variant",
            f"variant {quote_value(given.variant)} is not one of {', '.join(variants)}",
        )
    metric = spec.metric(given.metric)
    reported = [known.name for known in spec.metrics if known.source == "feedback"]
    if metric is None or metric.source != "feedback":
        known = ", ".join(reported) or "none"
        measured = " is not a metric of this experiment"
        if metric:
            measured = " is measured by the router"
        raise _Fault(
            "unknown metric",
            f"{quote_value(given.metric)}{measured}; feedback is taken for: {known}",
        )
    _check_value(metric, given.value)
    return metric


def _check_value(metric: MetricSpec, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Fault(
            "no number", f"value {quote_value(value)} of {metric.name} is not a finite number"
        )
    if metric.sketched and not LEAST_SECONDS <= value <= MOST_SECONDS:
        raise _Fault(
            "out of range",
            f"value {value:g} of {metric.name} is not from {LEAST_SECONDS:g} to {MOST_SECONDS:g} "
            "seconds",
        )


def _add_value(
    ledger: Ledger, metric: MetricSpec, given: Feedback, unit: str, found: Exposure
) -> None:
    if metric.sketched:
        tally = TrafficSketch()
        assert given.user_id is not None
        tally.cells = Counter(
            {
                (
                    group_of_unit(given.experiment_id, given.user_id),
                    histogram.bucket_index(given.value),
                ): 1
            }
        )
        ledger.add_sketch(metric.name, found, tally)
        return
    counted = 0.0 if metric.per == "search" else 1.0
    ledger.add(metric.name, {unit: (counted, float(given.value))}, {unit: found})


def _count_refusal(services: Services, given: Feedback, what: str) -> None:
    with services.sessions.begin() as session:
        _add_count(session, session.get(Experiment, given.experiment_id), given, what)


def _add_count(
    session: Session, row: Experiment | None, given: Feedback, what: str, total: float = 0.0
) -> None:
    """Undeclared names are not stored, because anyone could invent any number of them."""
    spec = None
    if row:
        spec = read_stored(ExperimentSpec, row.spec)
    counted = {
        "experiment_id": row.id if row else "",
        "what": what,
        "variant": given.variant
        if spec and given.variant in {arm.variant for arm in spec.arms}
        else "",
        "metric": given.metric if spec and spec.metric(given.metric) else "",
        "count": 1,
        "total": total,
    }
    upserts.insert_or_add(session, CountRow, [counted], ("count", "total"))
