"""What the ways of catching up have in common: how a round ends, and what the step hands on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.data import (
    CatchUpProgress,
    CatchUpState,
    CaughtUp,
    RoundState,
)

_KEPT_ROUNDS = 10


def end_round(context: StepContext, state: CatchUpState, current: RoundState) -> CatchUpState:
    ended = replace(current, phase="", position=None, cursor=None)
    moved = replace(
        state,
        round=None,
        number=state.number + 1,
        rounds=[*_drop_leaders(state.rounds), ended][-_KEPT_ROUNDS:],
        made=state.made + current.made,
        deleted=state.deleted + current.deleted,
    )
    return replace(moved, progress=measure_progress(context, moved, current))


def measure_progress(
    context: StepContext, state: CatchUpState, current: RoundState, size: int = 0
) -> CatchUpProgress:
    """Returns how far ``current`` is in a collection of about ``size`` points, and what the last
    round has shown."""
    last = state.rounds[-1] if state.rounds else None
    seen = CatchUpProgress(
        done=current.checked, size=max(size, current.checked), unit="points", records=current.read
    )
    if last is None:
        return seen
    return replace(
        seen,
        rounds=state.number,
        made=last.made,
        deleted=last.deleted,
        lag=last.made + last.deleted if last.left is None else last.left,
        fence=_expect_fence(last) if context.deployment.spec.writes.leads_live else None,
    )


def describe_last(state: CatchUpState) -> str:
    """Returns what the last round has shown, in words; empty before the first one is over."""
    seen = state.progress
    if seen is None or not seen.rounds:
        return ""
    told = f"round {seen.rounds} brought over {seen.made + seen.deleted:,}"
    if seen.fence is None:
        return told
    return f"{told}, writers would wait for about {seen.fence:.1f} s"


def _drop_leaders(rounds: Sequence[RoundState]) -> list[RoundState]:
    return [replace(one, leader="") for one in rounds]


def sum_up(context: StepContext, state: CatchUpState, note: str) -> CaughtUp:
    filled = context.outputs.find(Filling) or Filling()
    last = state.rounds[-1] if state.rounds else RoundState()
    words = []
    if state.number:
        words.append(f"rounds: {state.number}")
        words.append(f"{state.made:,} points made, {state.deleted:,} deleted")
    if state.rounds:
        words.append(f"the last took {last.seconds:.1f} s")
    if note:
        words.append(note)
    carried = {
        name: getattr(filled, name)
        for name in Filling.__dataclass_fields__
        if name not in ("summary", "approved_by", "approved_because", "progress", "expected")
    }
    return CaughtUp(
        **_with_new_source(carried, last),
        summary="; ".join(words),
        expected=context.services.store.count(context.deployment.green),
        rounds=_drop_leaders(state.rounds),
        changed=state.made,
        removed=state.deleted,
        fence=_expect_fence(last) if state.rounds else None,
        leader=last.leader,
    )


def _with_new_source(carried: dict[str, Any], last: RoundState) -> dict[str, Any]:
    """Green is as the source was at the beginning of the last pass."""
    if last.fingerprint:
        carried["fingerprint"] = last.fingerprint
    if last.begun:
        carried["begun"] = last.begun
    return carried


def _expect_fence(last: RoundState) -> float | None:
    """Returns for how many seconds writes will be refused. By the journal only the last writes are
    brought over in that time. None after a round of several workers, which does not say it."""
    if last.slices:
        return None
    return last.seconds if last.left is None else last.last
