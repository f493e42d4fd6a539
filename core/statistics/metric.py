"""What is measured, and what a difference means (section 6)."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.statistics import sums
from qdrant_rollouts.core.statistics.moments import EFFECTIVE, Estimate, Unclear
from qdrant_rollouts.core.statistics.sums import Sums

Kind = Literal["mean", "ratio", "proportion", "quantile"]
Role = Literal["primary", "guardrail", "secondary"]
#: What a metric's values are, for the code that writes them: ``log_ms`` is the mean logarithm of
#: milliseconds.
Unit = Literal["plain", "share", "seconds", "log_ms"]


@dataclass(frozen=True, slots=True)
class Metric:
    """``direction`` 1: more is better; -1: less is better. ``margin``, ``min_effect`` and
    ``target`` are in the metric's scale: a share of the control's value if ``relative``, else its
    unit.

    ``margin`` is how much worse is tolerated. Harm below ``min_effect`` (by default the margin)
    does not cause a rollback. ``target`` is the effect to find (by default that of the experiment's
    limits). ``binary``: each event of a ratio counts 0 or 1, see ``delta_ratio``. ``level`` is a
    quantile's. Raises Refused for invalid values.
    """

    name: str
    kind: Kind
    role: Role
    direction: int
    margin: float
    relative: bool = False
    min_effect: float | None = None
    level: float | None = None
    binary: bool = False
    target: float | None = None
    unit: Unit = "plain"

    def __post_init__(self) -> None:
        _check_choice(self.name, "kind", self.kind, get_args(Kind))
        _check_choice(self.name, "role", self.role, get_args(Role))
        _check_choice(self.name, "direction", self.direction, (1, -1))
        for what, number in (
            ("margin", self.margin),
            ("min_effect", self.min_effect),
            ("target", self.target),
        ):
            if number is not None and not 0 < number < math.inf:
                raise Refused(
                    f"metric {self.name}: a {what} of {number} is not above 0; give one in the "
                    "metric's scale"
                )
        if (self.kind == "quantile") != (self.level is not None and 0 < self.level < 1):
            raise Refused(
                f"metric {self.name}: a {self.kind} with level {self.level}; quantiles have one "
                "between 0 and 1"
            )

    @property
    def harm(self) -> float:
        """The smallest harm that causes a rollback."""
        if self.min_effect is None:
            return self.margin
        return self.min_effect

    def estimate(self, found: Sums) -> Estimate:
        """For one arm and stage, and for every kind except quantiles, which have
        ``clustered_quantile`` and ``moments.latency_quantile``. A ratio that depends on a few units
        is ``too_few_units``, as in a canary."""
        if self.kind == "mean":
            return sums.mean(found)
        if self.kind == "proportion":
            return sums.mean(found, binary=True)
        if self.kind == "quantile":
            raise ValueError(f"{self.name} is a quantile: sums do not hold it")
        ratio = sums.delta_ratio(found, binary=self.binary)
        few = not isinstance(ratio, Unclear) and sums.effective_units(found) < EFFECTIVE
        if few:
            return Unclear("too_few_units")
        return ratio


def _check_choice(name: str, what: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise Refused(
            f"metric {name}: {what} {quote_value(value)} is not one of "
            f"{', '.join(map(str, allowed))}"
        )
