"""The types of a check and of its finding."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.statistics.intervals import Interval, judge_side

Verdict = Literal["pass", "block", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of a check.

    ``n`` is the amount of evidence. ``detail`` has the figures: the direction of the bound,
    intervals, the worst case. ``found`` says the same as a sentence for people who do not know
    statistics; if it is empty they read ``detail``. ``facts`` go into the JSON report unchanged:
    intervals, faults by kind, complete names. ``bound`` is set if the rule itself has one.
    ``decides`` makes a row that is only shown stop the deployment anyway. ``only_shown`` keeps a
    row with a bound from deciding, if no evidence for it can ever be enough.
    """

    verdict: Verdict
    value: float | None
    n: int
    detail: str
    bound: float | None = None
    found: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    decides: bool = False
    only_shown: bool = False


#: The value that is compared with a bound; None if there is no bound and the number is only shown.
Judge = Callable[[GateContext, float | None], Finding]

#: A bound that depends on declarations or on the evidence.
Bound = float | None | Callable[[GateContext], float | None]


Reach = tuple[float, float]
#: Ranges of a share, and of a score or a difference of shares.
SHARE: Reach = (0, 1)
SCORE: Reach = (-1, 1)


def always(gate: GateContext) -> bool:
    return True


def never(gate: GateContext) -> bool:
    """Planned only by the index file."""
    return False


def _say_nothing(gate: GateContext) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the gate.

    - ``needs`` names the collectors that it reads; if their evidence is already ``known``, none is
      run.
    - ``when`` says whether it is planned by default. ``absent`` is the text in the report's first
      lines if it is not planned: what was not checked, and why.
    - ``compares`` marks a check that needs only a live collection: it is not planned on a first
      deployment, whatever the index file says.
    - ``asks_live`` marks a check that makes the same searches on live: it is not planned if it is
      not known how to search live.
    - ``bound`` is its default bound; None only shows the number. ``reach`` is the valid range of a
      bound in the index file, None if the check has its own rule.
    - A ``soft`` check never blocks. ``quality`` marks those whose failure is attributed to index,
      data or model.
    - ``course`` is the title of its chart over the versions of an index, if its value says how good
      a version is and can be compared between versions.
    - ``means`` and ``act`` are for people who read a row that did not pass: what it means for
      searches, and what to do.
    """

    judge: Judge
    needs: tuple[str, ...] = ()
    when: Callable[[GateContext], bool] = always
    bound: Bound = None
    reach: Reach | None = None
    shown: bool = False
    soft: bool = False
    quality: bool = False
    known: Callable[[GateContext], bool] = never
    compares: Callable[[GateContext], bool] = never
    asks_live: bool = False
    absent: Callable[[GateContext], str] = _say_nothing
    chart_title: str = ""
    means: str = ""
    act: str = ""

    @property
    def level(self) -> str:
        """The level in the row of a check that decides."""
        return "soft" if self.soft else "hard"

    def bound_for(self, gate: GateContext) -> float | None:
        """Returns the check's own bound, if the index file gives none."""
        if callable(self.bound):
            return self.bound(gate)
        return self.bound


def exact_verdict(met: bool) -> Verdict:
    """Returns the verdict of a rule that is never in doubt."""
    return "pass" if met else "block"


def cannot_tell(why: str, n: int = 0) -> Finding:
    return Finding("inconclusive", None, n, why, found=f"This could not be decided: {why}.")


def judge_interval(
    found: Interval,
    bound: float | None,
    n: int,
    detail: str,
    *,
    at_least: bool = True,
    said: str = "",
) -> Finding:
    """Compares an interval with its bound: the whole interval must meet the bound to pass, and miss
    it to block. ``said`` is the finding as a sentence."""
    facts = {"interval": interval_ends(found)}
    if bound is None:
        return Finding(
            "pass", found.value, n, f"{_format_interval(found)}; {detail}", found=said, facts=facts
        )
    rule = f"{'low >=' if at_least else 'high <='} bound"
    verdict = judge_side(found, bound, at_least=at_least)
    return Finding(
        verdict,
        found.value,
        n,
        f"{_format_interval(found)}, {rule}; {detail}",
        found=said,
        facts=facts,
    )


def interval_ends(found: Interval) -> list[float | None]:
    """Returns low and high as JSON; None if nothing is known on that side."""
    return [end if math.isfinite(end) else None for end in (found.low, found.high)]


def _format_interval(found: Interval) -> str:
    return f"interval [{found.low:.4g}, {found.high:.4g}]"
