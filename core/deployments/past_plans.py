"""How right the last plans of an index were: what was expected, beside what it took."""

from collections.abc import Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.answers.plans import Compared, Errors, PastPlan
from qdrant_rollouts.core.deployments.fillings import PastFilling, list_fillings
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

#: How many plans are compared.
COMPARED = 10


def describe_past_plans(services: Services, alias: str) -> Errors:
    with services.sessions() as session:
        past = list_fillings(session, alias, COMPARED, planned=True)
    plans = [_describe_plan(one) for one in past]
    return {
        "plans": plans,
        "records": _mean_error([one["records"] for one in plans]),
        "texts": _mean_error([one["texts"] for one in plans]),
        "seconds": _mean_error([one["seconds"] for one in plans]),
    }


def _describe_plan(one: PastFilling) -> PastPlan:
    expected = one.estimate or {}
    return {
        "deployment_id": one.deployment_id,
        "filled_at": as_iso(one.filled_at),
        "way": one.way,
        "records": compare_figure(expected.get("records"), one.took.records),
        "texts": compare_figure(expected.get("texts"), one.took.texts),
        "seconds": compare_figure(expected.get("seconds"), one.took.seconds),
    }


def compare_figure(expected: Mapping[str, Any] | None, took: float) -> Compared:
    """Compares a stored interval with what it took. If nothing was taken, there is an error only if
    nothing was expected either: it is 0."""
    if expected is None:
        return {"planned": None, "took": took, "error": None, "within": None}
    planned = float(expected["value"])
    high = expected["high"]
    error = None
    if took:
        error = planned / took - 1
    elif not planned:
        error = 0.0
    return {
        "planned": planned,
        "took": took,
        "error": error,
        "within": expected["low"] <= took and (high is None or took <= high),
    }


def _mean_error(compared: Sequence[Compared]) -> float | None:
    errors = [abs(one["error"]) for one in compared if one["error"] is not None]
    if not errors:
        return None
    return sum(errors) / len(errors)
