"""What a check is and what it answers."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.statistics.intervals import Interval, judge_side

Verdict = Literal["pass", "block", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check answers.

    ``n`` is the evidence used. ``detail`` has the figures: the direction of the bound, intervals, the
    worst case. ``found`` says the same as a sentence for people who know no statistics; where it is
    empty they read ``detail``. ``facts`` go into the JSON report as they are: intervals, faults by
    kind, names in full. ``bound`` is given where the rule itself has one. ``decides`` makes a row that
    is only shown hold the deployment up all the same; ``only_shown`` keeps one with a bound from
    deciding, where by its nature no evidence for it can ever be enough."""

    verdict: Verdict
    value: float | None
    n: int
    detail: str
    bound: float | None = None
    found: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    decides: bool = False
    only_shown: bool = False


#: What was found, held against a bound; None where there is none and the number is only shown.
Judge = Callable[[GateContext, float | None], Finding]

#: A bound that depends on what is declared, or on what the evidence says.
Bound = float | None | Callable[[GateContext], float | None]


Reach = tuple[float, float]
#: Of a share, and of a score or a difference of shares.
SHARE: Reach = (0, 1)
SCORE: Reach = (-1, 1)


def always(gate: GateContext) -> bool:
    return True


def never(gate: GateContext) -> bool:
    """Planned by the index file only."""
    return False


def _say_nothing(gate: GateContext) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the gate.

    - ``needs`` names the collectors it reads; where it is ``known`` already what they would find, none is asked.
    - ``when`` says whether it is planned where the index file is silent. ``absent`` is what the report's
      first lines say where it is not: what was not checked, and why.
    - ``compares`` marks one that lacks nothing but a live collection: it is not planned where there never
      was one, whatever the index file says.
    - ``asks_live`` marks one that asks the live collection the same as green: it is not planned where nobody knows
      how that can be asked.
    - ``bound`` is the one it has where the index file gives none; None shows the number only. ``reach`` is
      from where to where a bound of the index file makes sense, None where the rule is the check's own.
    - A ``soft`` check never blocks. ``quality`` marks those whose failure is put down to index, data or model.
    - ``means`` and ``act`` are for people who read a row that did not pass: what it means for searches, and
      what to do.
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
    means: str = ""
    act: str = ""

    @property
    def level(self) -> str:
        """What a row says of a check that decides."""
        return "soft" if self.soft else "hard"

    def bound_for(self, gate: GateContext) -> float | None:
        """Its own bound, where the index file gives none."""
        return self.bound(gate) if callable(self.bound) else self.bound


def exact_verdict(met: bool) -> Verdict:
    """The verdict of a rule that leaves no doubt."""
    return "pass" if met else "block"


def cannot_tell(why: str, n: int = 0) -> Finding:
    return Finding("inconclusive", None, n, why, found=f"This could not be told: {why}.")


def judge_interval(
    found: Interval, bound: float | None, n: int, detail: str, *, at_least: bool = True, said: str = ""
) -> Finding:
    """An interval against its bound: the whole of it must meet the bound to pass, and miss it to block. ``said`` is
    what was found as a sentence."""
    facts = {"interval": interval_ends(found)}
    if bound is None:
        return Finding("pass", found.value, n, f"{_format_interval(found)}; {detail}", found=said, facts=facts)
    rule = f"{'low >=' if at_least else 'high <='} bound"
    verdict = judge_side(found, bound, at_least=at_least)
    return Finding(verdict, found.value, n, f"{_format_interval(found)}, {rule}; {detail}", found=said, facts=facts)


def interval_ends(found: Interval) -> list[float | None]:
    """Low and high as JSON; None where nothing is known on that side."""
    return [end if math.isfinite(end) else None for end in (found.low, found.high)]


def _format_interval(found: Interval) -> str:
    return f"interval [{found.low:.4g}, {found.high:.4g}]"
