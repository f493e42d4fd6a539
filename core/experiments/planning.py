"""How many users and days an experiment will need. It only reads, and names the origin of each
figure; without a figure it plans nothing.

A metric's figures are given by a person, or known from earlier (``background``). A fixed test at
the end needs fewer users than looking at any time: N* is the number that the sequence is designed
for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.collections.aliases import get_collection_for_alias
from qdrant_rollouts.core.config.experiment_spec import (
    CONTROL,
    DEFAULT_METRICS,
    TREATMENT,
    ExperimentSpec,
    MetricSpec,
    parse_metrics,
)
from qdrant_rollouts.core.config.index_file import validate_as
from qdrant_rollouts.core.defaults import SPLIT
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.experiments.analysis import alpha_of_metric
from qdrant_rollouts.core.experiments.background import (
    Background,
    KnownMetric,
    NewUsers,
    UnknownFigure,
)
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics import planning, sequence
from qdrant_rollouts.core.statistics.assignment import BASIS, weights_of

POWER = 0.8
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class GivenFigures:
    """What a person knows about the primary metrics: the control's ``rate``, which is a share of
    users or, with a ``deviation`` (one standard deviation between users, in the metric's unit), any
    mean. Raises Refused for invalid figures."""

    rate: float | None = None
    deviation: float | None = None
    users_per_day: float | None = None

    def __post_init__(self) -> None:
        if self.deviation is not None and self.rate is None:
            raise Refused(
                f"a deviation of {self.deviation:g} needs the mean it is of: give the rate too"
            )
        if self.rate is not None and self.deviation is None and not 0 < self.rate < 1:
            raise Refused(
                f"a rate of {self.rate:g} is not a share between 0 and 1: if it is a mean, give "
                "the deviation too"
            )
        for name, number in (
            ("deviation", self.deviation),
            ("number of users a day", self.users_per_day),
        ):
            if number is not None and not 0 < number < math.inf:
                raise Refused(f"a {name} of {number:g} is not a finite number above 0")


@dataclass(frozen=True, slots=True)
class _Need:
    """``users``: of both arms, in a fixed test."""

    metric: MetricSpec
    known: KnownMetric
    effect: float
    users: float


def plan_experiment(
    services: Services,
    alias: str,
    given: GivenFigures,
    *,
    split: float = SPLIT,
    metrics: Sequence[str | Mapping[str, Any]] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Figures:
    """``split``, ``metrics`` and ``options`` as for a new experiment.

    If a deciding metric is not known, ``missing`` says so, and N* and days are those of the others;
    None if there are none.
    """
    spec = _build_planned_spec(
        get_collection_for_alias(services, alias), split, metrics, options or {}
    )
    with services.sessions() as session:
        known = Background(session, alias, services.clock.now(session), given.users_per_day)
        needs = {
            metric.name: _compute_need(spec, metric, _find_known_metric(spec, metric, given, known))
            for metric in spec.metrics
        }
        people = known.people
    deciding = [
        need
        for need in needs.values()
        if isinstance(need, _Need) and need.metric.role != "secondary"
    ]
    n_star = max((planning.n_star(need.users / 2) for need in deciding), default=None)
    return {
        "alias": alias,
        "split": split,
        "target": spec.target,
        "alpha": spec.alpha,
        "power": POWER,
        **_describe_users(spec, people),
        "metrics": [
            _describe_metric(spec, metric, needs[metric.name], people, n_star)
            for metric in spec.metrics
        ],
        "n_star": n_star,
        "days": _days_needed(spec, n_star, people),
        "min_days": spec.min_days,
        "max_days": spec.max_days,
        "missing": [
            metric.name for metric in spec.metrics if _is_missing(metric, needs[metric.name])
        ],
    }


def _build_planned_spec(
    collection: str,
    split: float,
    metrics: Sequence[str | Mapping[str, Any]] | None,
    options: Mapping[str, Any],
) -> ExperimentSpec:
    """Builds the spec as if the live collection were compared with itself, because the other one
    may not exist yet."""
    if options.get("mode") == "interleave":
        raise Refused(
            "interleaving is not planned: users differ by what they click; it needs fewer users "
            "than mode ab"
        )
    arms = [
        {"variant": variant, "collection": collection, "weight": weight}
        for variant, weight in zip((CONTROL, TREATMENT), weights_of(split), strict=True)
    ]
    chosen = [
        metric.model_dump()
        for metric in parse_metrics(metrics if metrics is not None else DEFAULT_METRICS)
    ]
    return validate_as(ExperimentSpec, {**options, "arms": arms, "metrics": chosen}, "experiment")


def _find_known_metric(
    spec: ExperimentSpec, metric: MetricSpec, given: GivenFigures, before: Background
) -> KnownMetric | UnknownFigure:
    if metric.role != "primary" or given.rate is None:
        found = before.metric(metric)
        by_hand = "; give --rate, and --deviation if it is not a share of users"
        if isinstance(found, UnknownFigure) and metric.role == "primary":
            return UnknownFigure(found.why + by_hand)
        return found
    if given.deviation is not None:
        return KnownMetric(given.rate, given.deviation, "given by hand")
    other = given.rate + _sign_of_direction(metric) * _effect_to_find(spec, metric, given.rate)
    if not 0 <= other <= 1:
        raise Refused(
            f"a rate of {given.rate:g} with an effect on {metric.name} would be {other:g}, which "
            "is not a share"
        )
    deviation = math.sqrt((given.rate * (1 - given.rate) + other * (1 - other)) / 2)
    return KnownMetric(given.rate, deviation, "given by hand, as one yes or no of each user")


def _compute_need(
    spec: ExperimentSpec, metric: MetricSpec, known: KnownMetric | UnknownFigure
) -> _Need | UnknownFigure:
    if isinstance(known, UnknownFigure):
        return known
    if metric.relative and known.mean <= 0:
        return UnknownFigure(f"its mean is {known.mean:g}, which is not a share ({known.source})")
    effect = _effect_to_find(spec, metric, known.mean)
    guardrails = sum(
        other.role == "guardrail" for other in spec.metrics if metric.role != "secondary"
    )
    each = planning.users_for_mean(
        known.deviation, effect, _two_sided_alpha(spec, metric), POWER, guardrails
    )
    share = _treatment_share(spec)
    return _Need(metric, known, effect, each / (2 * share * (1 - share)))


def _effect_to_find(spec: ExperimentSpec, metric: MetricSpec, mean: float) -> float:
    """Returns the effect to find, in the metric's unit: for a guardrail harm of its margin, else
    the target."""
    if _is_one_sided(spec, metric):
        if metric.relative:
            return metric.margin * abs(mean)
        return metric.margin
    if metric.target is not None:
        if metric.relative:
            return metric.target * abs(mean)
        return metric.target
    return spec.target * abs(mean) or metric.margin


def _is_one_sided(spec: ExperimentSpec, metric: MetricSpec) -> bool:
    return metric.role == "guardrail" or (metric.role == "primary" and spec.goal == "replacement")


def _two_sided_alpha(spec: ExperimentSpec, metric: MetricSpec) -> float:
    """Returns the two-sided alpha that the formulas need: a single bound at alpha is one side of an
    interval at twice that."""
    return alpha_of_metric(spec, metric) * (2 if _is_one_sided(spec, metric) else 1)


def _sign_of_direction(metric: MetricSpec) -> int:
    return 1 if metric.direction == "up" else -1


def _treatment_share(spec: ExperimentSpec) -> float:
    return spec.treatments[0].weight / BASIS


def _is_missing(metric: MetricSpec, need: _Need | UnknownFigure) -> bool:
    return metric.role != "secondary" and isinstance(need, UnknownFigure)


def _describe_users(spec: ExperimentSpec, people: NewUsers | UnknownFigure) -> Figures:
    told: Figures = {"coverage": spec.coverage, "users_per_day": None, "taking_part_per_day": None}
    if isinstance(people, UnknownFigure):
        return {**told, "users_from": people.why}
    figures = {
        "users_per_day": people.per_day,
        "taking_part_per_day": _enrolled_per_day(spec, people),
    }
    return {**told, **figures, "users_from": people.source}


def _describe_metric(
    spec: ExperimentSpec,
    metric: MetricSpec,
    need: _Need | UnknownFigure,
    people: NewUsers | UnknownFigure,
    n_star: int | None,
) -> Figures:
    """Users are rounded up; ``effect`` and the two effects that max_days would find are in the
    metric's unit."""
    asked = metric.model_dump(mode="json")
    if isinstance(need, UnknownFigure):
        empty = dict.fromkeys(
            ("control", "deviation", "effect", "users", "n_star", "days", "fixed", "sequential")
        )
        return {**asked, **empty, "from": "", "missing": need.why}
    needed = planning.n_star(need.users / 2)
    share = _treatment_share(spec)
    return {
        **asked,
        "control": need.known.mean,
        "deviation": need.known.deviation,
        "effect": need.effect,
        "users": {
            CONTROL: math.ceil(need.users * (1 - share)),
            TREATMENT: math.ceil(need.users * share),
        },
        "n_star": needed,
        "days": _days_needed(spec, needed, people),
        **_detectable_effects(spec, need, people, n_star or needed),
        "from": need.known.source,
        "missing": "",
    }


def _detectable_effects(
    spec: ExperimentSpec, need: _Need, people: NewUsers | UnknownFigure, n_star: int
) -> Figures:
    """Returns what max_days would find with this power: one fixed test at their end, and the
    sequence."""
    if isinstance(people, UnknownFigure):
        return {"fixed": None, "sequential": None}
    users = _enrolled_per_day(spec, people) * spec.max_days
    share = _treatment_share(spec)
    error = need.known.deviation / math.sqrt(users * share * (1 - share))
    half_of = sequence.half_two_sided
    if _is_one_sided(spec, need.metric):
        half_of = sequence.half_one_sided
    half = half_of(error, users, n_star, alpha_of_metric(spec, need.metric))
    return {
        "fixed": planning.detectable(error, _two_sided_alpha(spec, need.metric), POWER),
        "sequential": planning.detectable_in_sequence(error, half, POWER),
    }


def _enrolled_per_day(spec: ExperimentSpec, people: NewUsers) -> float:
    return people.per_day * spec.coverage / BASIS


def _days_needed(
    spec: ExperimentSpec, n_star: int | None, people: NewUsers | UnknownFigure
) -> float | None:
    if n_star is None or isinstance(people, UnknownFigure):
        return None
    return planning.days(n_star, _enrolled_per_day(spec, people))
