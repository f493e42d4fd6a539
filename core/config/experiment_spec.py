"""The specification of an experiment: its arms, metrics and limits, fixed when it starts.

A wrong key, type or value is refused with its path, the value and what was expected.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, field_validator, model_validator

from qdrant_rollouts.core.config.index_file import AtLeastOne, Count, Positive, Seconds, validate_as
from qdrant_rollouts.core.defaults import MODE
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports.naming import check_name
from qdrant_rollouts.core.statistics.assignment import BASIS, Ranges, bucket_ranges

CONTROL = "control"
TREATMENT = "treatment"
#: The variant of a user who is served by both arms at once.
INTERLEAVED = "interleaved"
#: Basis points. An integer, because a float must not decide which user gets what.
Points = Annotated[int, Field(ge=1, le=BASIS, strict=True)]
Share = Annotated[float, Field(gt=0, lt=1, strict=True)]
#: Metrics that the router measures for every search, besides those that people and applications
#: report.
MEASURED = ("latency", "errors", "zero_results")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class MetricSpec(_Strict):
    """A number that says whether users are better off.

    ``ratio`` divides the sum of values by their number or, with ``per: search``, by the searches.
    ``mean`` is the sum per user, ``proportion`` the share of users with a value above 0,
    ``quantile`` a quantile of durations in seconds. ``margin``, ``min_effect`` (by default the
    margin) and ``target`` (by default the experiment's) are shares of the control's value if
    ``relative``, otherwise in the metric's own unit.
    """

    name: str
    kind: Literal["mean", "ratio", "proportion", "quantile"] = "ratio"
    source: Literal["feedback", "latency", "errors", "zero_results"] = "feedback"
    per: Literal["search", "value"] = "value"
    direction: Literal["up", "down"] = "up"
    role: Literal["primary", "guardrail", "secondary"] = "secondary"
    margin: Positive = 0.02
    relative: StrictBool = True
    min_effect: Positive | None = None
    target: Positive | None = None
    level: Share = 0.95

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        try:
            return check_name("metric", name)
        except Refused as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _check_measurable(self) -> "MetricSpec":
        if self.kind == "quantile" and self.source in ("errors", "zero_results"):
            raise ValueError("a quantile is of durations: source latency or feedback")
        if self.kind in ("mean", "proportion") and self.per == "search":
            raise ValueError("a mean and a proportion are per user; only a ratio is per search")
        return self

    @property
    def sketched(self) -> bool:
        return self.kind == "quantile"


STANDARD: dict[str, MetricSpec] = {
    metric.name: metric
    for metric in (
        #: The mean of ln(milliseconds): a difference of ln 1.05 is 5 %.
        MetricSpec(
            name="latency",
            source="latency",
            per="search",
            direction="down",
            role="guardrail",
            margin=math.log(1.05),
            target=math.log(1.10),
            relative=False,
        ),
        MetricSpec(
            name="latency_p95",
            kind="quantile",
            source="latency",
            direction="down",
            role="guardrail",
            margin=0.10,
        ),
        MetricSpec(
            name="errors",
            source="errors",
            per="search",
            direction="down",
            role="guardrail",
            margin=0.001,
            relative=False,
        ),
        MetricSpec(
            name="zero_results",
            source="zero_results",
            per="search",
            direction="down",
            role="guardrail",
            margin=0.005,
            relative=False,
        ),
        MetricSpec(name="clicks", per="search", role="primary"),
        MetricSpec(name="relevance"),
    )
}
DEFAULT_METRICS = ("latency", "relevance", "clicks")


class ArmSpec(_Strict):
    """``identity`` is the model stamp that the collection had when the experiment was created; None
    if it had none."""

    variant: str
    collection: str
    weight: Points
    identity: str | None = None


class ExperimentSpec(_Strict):
    """Weights are basis points of the enrolled users. ``coverage``, in basis points of all users,
    says who is enrolled.

    ``n_star``: the number of users at which the intervals are narrowest relative to fixed ones. The
    default is 1.75 times what a fixed test of a standardised effect of 0.1 needs (``rollouts
    experiment plan`` computes yours).
    """

    arms: tuple[ArmSpec, ...]
    metrics: tuple[MetricSpec, ...]
    mode: Literal["ab", "interleave"] = MODE
    #: superiority: the primaries must be better; replacement: no metric may be worse by more than
    #: its margin.
    goal: Literal["superiority", "replacement"] = "superiority"
    coverage: Points = BASIS
    alpha: Annotated[float, Field(gt=0, le=0.2, strict=True)] = 0.05
    n_star: AtLeastOne = 5_500
    #: Hours after a user's first exposure in which their actions count.
    window_hours: Positive = 24
    min_days: Seconds = 3
    max_days: Positive = 28
    #: Users per arm.
    min_units: AtLeastOne = 100
    #: Values above 0 of the primary metric, in at least one arm.
    min_conversions: Count = 150
    #: The effect that is worth waiting for, as a share of the control's value.
    target: Positive = 0.10
    look_minutes: Positive = 15
    on_ship: Literal["nothing", "canary", "switch"] = "nothing"
    #: The payload field that names a document, if several points are chunks of one; interleaving
    #: drafts documents.
    document: str = "id"

    @field_validator("metrics")
    @classmethod
    def _check_metrics(cls, metrics: tuple[MetricSpec, ...]) -> tuple[MetricSpec, ...]:
        names = [metric.name for metric in metrics]
        if len(set(names)) < len(names):
            raise ValueError("expected each metric once")
        if sum(metric.role == "primary" for metric in metrics) > 2:
            raise ValueError(
                "expected at most two primary metrics: more would need too much evidence"
            )
        return metrics

    @model_validator(mode="after")
    def _check_consistency(self) -> "ExperimentSpec":
        variants = [arm.variant for arm in self.arms]
        if len(variants) < 2 or variants[0] != CONTROL or len(set(variants)) < len(variants):
            raise ValueError("expected arms of different names, the first of them control")
        if sum(arm.weight for arm in self.arms) != BASIS:
            raise ValueError(f"expected weights that add up to {BASIS} basis points")
        if self.mode == "interleave" and len(self.arms) != 2:
            raise ValueError("interleaving compares two collections: name one treatment")
        if self.mode == "interleave" and [metric.name for metric in self.metrics] != ["clicks"]:
            raise ValueError("interleaving judges by clicks alone: leave the metrics out")
        if self.min_days > self.max_days:
            raise ValueError("expected min_days of at most max_days")
        return self

    @property
    def control(self) -> ArmSpec:
        return self.arms[0]

    @property
    def treatments(self) -> tuple[ArmSpec, ...]:
        return self.arms[1:]

    def metric(self, name: str) -> MetricSpec | None:
        return next((metric for metric in self.metrics if metric.name == name), None)

    def ranges(self, coverage: int) -> tuple[Ranges, ...]:
        """Returns each arm's buckets."""
        return tuple(
            (found,) for found in bucket_ranges([arm.weight for arm in self.arms], coverage)
        )


def parse_metrics(
    asked: Sequence[str | Mapping[str, Any]], path: str = "metrics"
) -> tuple[MetricSpec, ...]:
    """Parses metrics given by name or with settings. A name that is not a standard metric becomes a
    secondary ratio per value, where up is better.

    If none is primary, the first reported one becomes primary, or else the first, because something
    must decide. Raises Refused.
    """
    found = [_parse_metric(metric, f"{path}.{number}") for number, metric in enumerate(asked)]
    if found and not any(metric.role == "primary" for metric in found):
        first = next((metric for metric in found if metric.source == "feedback"), found[0])
        found[found.index(first)] = first.model_copy(update={"role": "primary"})
    return tuple(found)


def _parse_metric(asked: str | Mapping[str, Any], path: str) -> MetricSpec:
    if isinstance(asked, str):
        return STANDARD.get(asked) or validate_as(MetricSpec, {"name": asked}, path)
    standard = STANDARD.get(str(asked.get("name")))
    base = standard.model_dump(exclude_none=True) if standard else {}
    return validate_as(MetricSpec, {**base, **asked}, path)
