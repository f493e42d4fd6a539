"""The report of an experiment: every metric of every treatment compared with the control, whether
the data are valid, and the decision. It only reads."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.config.experiment_spec import (
    INTERLEAVED,
    ArmSpec,
    ExperimentSpec,
    MetricSpec,
)
from qdrant_rollouts.core.database.experiment_rows import Experiment, LookRow
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.experiments import preference
from qdrant_rollouts.core.experiments.evidence import (
    Evidence,
    Observations,
    list_counts,
    read_evidence,
)
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.balance import (
    concentration_for,
    srm_chi_square,
    srm_sequential,
)
from qdrant_rollouts.core.statistics.comparison import Comparison, compare
from qdrant_rollouts.core.statistics.decision import Decision, Limits, Quality, decide
from qdrant_rollouts.core.statistics.metric import Metric, Unit
from qdrant_rollouts.core.statistics.multiplicity import adjust
from qdrant_rollouts.core.times import as_iso

Report = dict[str, Any]
_DAY_SECONDS = 86_400.0


def build_report(services: Services, row: Experiment) -> Report:
    """Raises Refused for an experiment that was never started, Unavailable if its collections
    cannot be checked: what cannot be checked is not judged."""
    if row.started_at is None:
        raise Refused(f"experiment {row.id} was never started; there is nothing to report")
    spec = read_stored(ExperimentSpec, row.spec)
    analysis = _report_arms
    if spec.mode == "interleave":
        analysis = _report_interleaved
    return analysis(services, row, spec, _describe_changed_arm(services, spec.arms))


def _report_interleaved(
    services: Services, row: Experiment, spec: ExperimentSpec, changed: str
) -> Report:
    with services.sessions() as session:
        now = services.clock.now(session)
        before = _last_report(session, row).get("interleaving", {})
        found = preference.read_preference(session, row.id, spec, now, before)
        counts = [_describe_count_row(one) for one in list_counts(session, row.id)]
    days = _days_since_start(row, now)
    decision = asdict(preference.decide_preference(found, spec, changed, days))
    users = {INTERLEAVED: found["users"]}
    judged = {"comparisons": [], "closed": [], "interleaving": found, "decision": decision}
    return {**_facts_of_experiment(row, now, days), "units": users, **judged, "counts": counts}


def _report_arms(services: Services, row: Experiment, spec: ExperimentSpec, changed: str) -> Report:
    with services.sessions() as session:
        now = services.clock.now(session)
        found = read_evidence(session, row.id, spec, now)
        before = _last_report(session, row)
    days = _days_since_start(row, now)
    shares = _check_shares(found.now, spec, before)
    compared = _compare_arms(found.now, spec, before)
    closed = _compare_arms(found.closed, spec, {})
    quality = _judge_quality(found, spec, shares["p"], changed)
    decision = _decide_action(spec, quality, compared, closed, found, days)
    return {
        **_facts_of_experiment(row, now, days),
        "units": {arm.variant: found.now.units_of(arm.variant) for arm in spec.arms},
        "closed_units": {arm.variant: found.closed.units_of(arm.variant) for arm in spec.arms},
        "comparisons": _describe_comparisons(spec, compared),
        "closed": _describe_comparisons(spec, closed),
        "shares": shares,
        "quality": asdict(quality),
        "decision": asdict(decision),
        "counts": [_describe_count_row(one) for one in found.counts],
    }


def metric_of_spec(metric: MetricSpec) -> Metric:
    """Returns the metric in the form that the statistics use."""
    return Metric(
        name=metric.name,
        kind=metric.kind,
        role=metric.role,
        direction=1 if metric.direction == "up" else -1,
        margin=metric.margin,
        relative=metric.relative,
        min_effect=metric.min_effect,
        target=metric.target,
        level=metric.level if metric.sketched else None,
        binary=metric.source in ("errors", "zero_results"),
        unit=_unit_of_metric(metric),
    )


def _unit_of_metric(metric: MetricSpec) -> Unit:
    if metric.sketched:
        return "seconds"
    if metric.source == "latency" and metric.kind == "ratio" and not metric.relative:
        return "log_ms"
    if metric.kind == "proportion" or metric.source in ("errors", "zero_results"):
        return "share"
    return "plain"


def _days_since_start(row: Experiment, now: datetime) -> float:
    """Returns the days since the start, until the end or now."""
    assert row.started_at is not None
    return ((row.finished_at or now) - row.started_at).total_seconds() / _DAY_SECONDS


def _facts_of_experiment(row: Experiment, now: datetime, days: float) -> Report:
    spec = read_stored(ExperimentSpec, row.spec)
    return {
        "id": row.id,
        "name": row.name,
        "alias": row.alias,
        "status": str(row.status),
        "mode": spec.mode,
        "goal": spec.goal,
        "at": as_iso(now),
        "days": round(days, 6),
        "look": row.looks + 1,
        "arms": {arm["variant"]: arm["collection"] for arm in row.spec["arms"]},
    }


def _compare_arms(reading: Observations, spec: ExperimentSpec, before: Report) -> list[Comparison]:
    """Compares every metric of every treatment; p is the smallest over all looks, as the sequence
    defines it."""
    lowest = {
        (one["metric"], one["variant"]): one.get("p") for one in before.get("comparisons", [])
    }
    found = [
        _compare_metric(reading, spec, metric, arm)
        for arm in spec.treatments
        for metric in spec.metrics
    ]
    return [_keep_smallest_p(one, lowest.get((one.metric, one.variant))) for one in found]


def _compare_metric(
    reading: Observations, spec: ExperimentSpec, metric: MetricSpec, arm: ArmSpec
) -> Comparison:
    of = metric_of_spec(metric)
    return compare(
        of,
        reading.strata(metric, of, spec.control.variant, arm.variant),
        units=(reading.units_of(spec.control.variant), reading.units_of(arm.variant)),
        n_star=spec.n_star,
        alpha=alpha_of_metric(spec, metric),
        variant=arm.variant,
        goal=spec.goal,
    )


def alpha_of_metric(spec: ExperimentSpec, metric: MetricSpec) -> float:
    """With two primaries or several treatments, one of them could be found better by chance."""
    if metric.role != "primary" or spec.goal != "superiority":
        return spec.alpha
    primaries = sum(other.role == "primary" for other in spec.metrics)
    return spec.alpha / (primaries * len(spec.treatments))


def _keep_smallest_p(found: Comparison, before: float | None) -> Comparison:
    if before is None:
        return found
    return Comparison(
        **{**_as_shallow_dict(found), "p": before if found.p is None else min(found.p, before)}
    )


def _as_shallow_dict(found: Comparison) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__dataclass_fields__}


def _describe_comparisons(spec: ExperimentSpec, compared: Sequence[Comparison]) -> list[Report]:
    """Secondary metrics also have a p corrected for their number."""
    secondary = adjust([one.p if one.role == "secondary" else None for one in compared])
    directions = {metric.name: metric_of_spec(metric).direction for metric in spec.metrics}
    return [
        {
            **asdict(one),
            "relative": one.scale == "relative",
            "relative_effect": asdict(one.relative),
            "direction": directions[one.metric],
            "p_adjusted": p,
        }
        for one, p in zip(compared, secondary, strict=True)
    ]


def _check_shares(reading: Observations, spec: ExperimentSpec, before: Report) -> Report:
    counts = [reading.units_of(arm.variant) for arm in spec.arms]
    weights = [arm.weight for arm in spec.arms]
    _, p = srm_sequential(counts, weights, concentration_for(spec.n_star))
    lowest = min(p, before.get("shares", {}).get("p", 1.0))
    return {
        "counts": counts,
        "weights": weights,
        "p": lowest,
        "chi_square_p": srm_chi_square(counts, weights),
    }


def _judge_quality(found: Evidence, spec: ExperimentSpec, srm_p: float, changed: str) -> Quality:
    units = sum(found.now.units.values())
    reported = sum(
        found.now.conversions(metric, arm.variant)
        for metric in spec.metrics
        if metric.source == "feedback"
        for arm in spec.arms
    )
    all_reported = reported + found.orphans
    return Quality(
        srm_p=srm_p,
        crossover=found.crossed / units if units else 0.0,
        orphans=found.orphans / all_reported if all_reported else 0.0,
        changed=changed,
    )


def _describe_changed_arm(services: Services, arms: Sequence[ArmSpec]) -> str:
    """Describes what has changed since the experiment was created."""
    there = services.store.collections()
    for arm in arms:
        if arm.collection not in there:
            return f"{arm.collection}, which is gone,"
        stamp = read_stamp(services.store, arm.collection)
        if arm.identity is not None and (stamp.identity if stamp else None) != arm.identity:
            return f"the model of {arm.collection}"
    return ""


def _decide_action(
    spec: ExperimentSpec,
    quality: Quality,
    compared: Sequence[Comparison],
    closed: Sequence[Comparison],
    found: Evidence,
    days: float,
) -> Decision:
    primaries = [
        metric
        for metric in spec.metrics
        if metric.role == "primary" and metric.source == "feedback"
    ]
    most = [
        max(found.now.conversions(metric, arm.variant) for arm in spec.arms) for metric in primaries
    ]
    limits = Limits(
        goal=spec.goal,
        min_days=spec.min_days,
        max_days=spec.max_days,
        min_units=spec.min_units,
        min_conversions=spec.min_conversions if primaries else 0,
        target=spec.target,
    )
    return decide(
        metrics=[metric_of_spec(metric) for metric in spec.metrics],
        quality=quality,
        now=compared,
        closed=closed,
        days=days,
        units=[found.now.units_of(arm.variant) for arm in spec.arms],
        conversions=int(min(most)) if most else None,
        limits=limits,
    )


def _last_report(session: Session, row: Experiment) -> Report:
    query = (
        select(LookRow)
        .where(LookRow.experiment_id == row.id)
        .order_by(LookRow.number.desc())
        .limit(1)
    )
    last = session.scalars(query).first()
    if last is None:
        return {}
    return last.report


def _describe_count_row(row: Any) -> Mapping[str, Any]:
    return {
        "what": row.what,
        "variant": row.variant,
        "metric": row.metric,
        "count": row.count,
        "total": row.total,
    }
