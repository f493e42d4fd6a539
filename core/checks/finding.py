"""What a check is and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from core.evidence.context import GateContext
from core.measures.intervals import Interval, side

Verdict = Literal["pass", "block", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``n`` is the evidence used; ``detail`` says the bound's direction and the worst case; ``bound`` is given where
    the rule itself has one."""

    verdict: Verdict
    value: float | None
    n: int
    detail: str
    bound: float | None = None


#: What was found, held against a bound; None where there is none and the number is only shown.
Judge = Callable[[GateContext, float | None], Finding]


Reach = tuple[float, float]
#: Of a share, and of a score or a difference of shares.
SHARE: Reach = (0, 1)
SCORE: Reach = (-1, 1)


def always(gate: GateContext) -> bool:
    return True


def never(gate: GateContext) -> bool:
    """Planned by the index file only."""
    return False


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the gate. ``needs`` names the collectors it reads; ``when`` says whether it is planned where the index
    file is silent; ``bound`` is the one it then has, None shows the number only. A ``soft`` check never blocks.
    ``reach`` is from where to where a bound of the index file makes sense, None where the rule is the check's own.
    ``quality`` marks those whose failure is put down to index, data or model. Where it is ``known`` already what the
    collectors would find, none is asked. One that ``compares``, and lacks nothing but a live collection, is not planned
    where there never was one, whatever the index file says."""

    judge: Judge
    needs: tuple[str, ...] = ()
    when: Callable[[GateContext], bool] = always
    bound: float | None = None
    reach: Reach | None = None
    shown: bool = False
    soft: bool = False
    quality: bool = False
    known: Callable[[GateContext], bool] = never
    compares: Callable[[GateContext], bool] = never


def exact(met: bool) -> Verdict:
    """The verdict of a rule that leaves no doubt."""
    return "pass" if met else "block"


def cannot_tell(why: str, n: int = 0) -> Finding:
    return Finding("inconclusive", None, n, why)


def held(found: Interval, bound: float | None, n: int, detail: str, *, at_least: bool = True) -> Finding:
    """An interval against its bound: the whole of it must meet the bound to pass, and miss it to block."""
    if bound is None:
        return Finding("pass", found.value, n, f"{_range(found)}; {detail}")
    rule = f"{'low >=' if at_least else 'high <='} bound"
    return Finding(side(found, bound, at_least=at_least), found.value, n, f"{_range(found)}, {rule}; {detail}")


def _range(found: Interval) -> str:
    return f"interval [{found.low:.4g}, {found.high:.4g}]"
