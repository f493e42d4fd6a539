"""One search that the application makes itself: which arm it gets, which one instead, what to
record.

A protocol says which arm the application's function is called with and for how long, and is told
its answer or its error; so the sync and the async router differ in how they call alone. An error of
the function counts as one of its arm, whatever its kind: only the application knows its kinds.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeVar

from qdrant_rollouts.core.routing.choice import Choice
from qdrant_rollouts.core.routing.conversation import TRIED_SECONDS
from qdrant_rollouts.core.routing.embedding_clock import Spent
from qdrant_rollouts.core.routing.interleaved import draft_lists, list_credits, pick_results
from qdrant_rollouts.core.routing.routed_arm import RoutedArm, find_results
from qdrant_rollouts.core.routing.router_core import RouterCore
from qdrant_rollouts.core.routing.shadow import Found, ShadowSearch
from qdrant_rollouts.core.routing.target import Target

T = TypeVar("T")

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class CallAsk:
    """``seconds``: how long the function may take; None: as long as it likes."""

    arm: RoutedArm
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class CallRequest:
    """``offer`` takes a search of which green gets a copy, and the arm that it is made with."""

    alias: str
    user: str | None
    query_id: str
    offer: Callable[[ShadowSearch, RoutedArm], None]


CallProtocol = Generator[CallAsk, T, T]


def route_call(core: RouterCore, request: CallRequest) -> CallProtocol[Any]:
    choice = core.choose_arm(request.alias, request.user, merges=bool(request.query_id))
    if choice.fallback is not None and choice.route.document(choice.variant):
        return (yield from _call_both(core, choice, request, choice.fallback))
    arm = core.build_arm(choice.target, choice)
    seconds = None
    if choice.tried:
        seconds = core.deadline.extend(TRIED_SECONDS)
    started = time.perf_counter()
    try:
        answer = yield CallAsk(arm, seconds)
    except Exception as error:  # noqa: BLE001 - raised again if blue fails too
        spent = arm.split_seconds(time.perf_counter() - started)
        return (yield from _call_blue_instead(core, choice, error, spent))
    spent = arm.split_seconds(time.perf_counter() - started)
    core.observer.note_answer(choice, spent, arm.count_results(answer))
    if not choice.tried:
        core.deadline.add(spent.waited)
    if choice.shadow is not None:
        green = core.build_arm(choice.shadow, choice)
        found = arm.list_ids(answer)
        search = ShadowSearch(choice, choice.shadow, found, spent.seconds, green.split_seconds)
        request.offer(search, green)
    return answer


def _call_blue_instead(
    core: RouterCore, choice: Choice, error: Exception, spent: Spent
) -> CallProtocol[Any]:
    if choice.fallback is None:
        newer = None
        if is_not_found(error):
            newer = core.choose_again(choice)
        if newer is not None:
            return (yield CallAsk(core.build_arm(newer.target, newer)))
        core.observer.note_failure(choice, spent)
        raise error
    started = time.perf_counter()
    try:
        answer = yield CallAsk(core.build_arm(choice.fallback, choice, fallback=True))
    except Exception:
        core.observer.note_failure(choice, spent)
        raise
    waited = spent.waited + time.perf_counter() - started
    core.observer.note_failure(choice, spent, waited=waited)
    return answer


def _call_both(
    core: RouterCore, choice: Choice, request: CallRequest, blue: Target
) -> CallProtocol[Any]:
    """Drafts the lists of both collections into one. An answer that is no list of points stays
    blue's, and the search is counted as one that could not be compared."""
    control = core.build_arm(blue, choice)
    started = time.perf_counter()
    answer = yield CallAsk(control)
    spent = time.perf_counter() - started
    core.deadline.add(spent)
    ours = _find_draftable(answer)
    if ours is None:
        core.observer.note_bypass(choice.route, choice.group)
        return answer
    tried = core.build_arm(choice.target, choice)
    try:
        other = yield CallAsk(tried, core.deadline.seconds)
    except Exception:  # noqa: BLE001 - the application's own, and blue has answered
        waited = time.perf_counter() - started
        core.observer.note_failure(choice, tried.split_seconds(waited - spent), waited=waited)
        return answer
    theirs = _find_draftable(other)
    if theirs is None:
        core.observer.note_bypass(choice.route, choice.group)
        return answer
    both = control.split_seconds(spent) + tried.split_seconds(time.perf_counter() - started - spent)
    core.observer.note_answer(choice, both, len(ours) + len(theirs))
    length = max(len(ours), len(theirs))
    found = draft_lists(choice, request.query_id, length, ours, theirs)
    core.observer.note_list(choice, request.query_id, list_credits(found))
    return _replace_results(answer, pick_results(choice, found, ours, theirs))


def _find_draftable(answer: Any) -> Sequence[Any] | None:
    """Returns the results in an answer; None if it is no list of points."""
    found = find_results(answer)
    if found is None or not all(hasattr(one, "id") and hasattr(one, "payload") for one in found):
        return None
    return found


def find_with(search: Callable[[RoutedArm], Any], arm: RoutedArm) -> Found:
    """Calls the application's function, and returns what it has found."""
    answer = search(arm)
    return Found(arm.count_results(answer), arm.list_ids(answer))


@contextmanager
def observe_arm(core: RouterCore, choice: Choice) -> Iterator[RoutedArm]:
    """Measures what the application does with the arm. An interruption is no error of the arm."""
    arm = core.build_arm(choice.target, choice)
    started = time.perf_counter()
    try:
        yield arm
    except Exception:
        core.observer.note_failure(choice, arm.split_seconds(time.perf_counter() - started))
        raise
    spent = arm.split_seconds(time.perf_counter() - started)
    core.observer.note_answer(choice, spent, arm.count_results())


def is_not_found(error: Exception) -> bool:
    """Returns whether a client of Qdrant says that a collection does not exist, over REST or
    gRPC."""
    if getattr(error, "status_code", None) == _NOT_FOUND:
        return True
    code = getattr(error, "code", None)
    return bool(callable(code) and getattr(code(), "name", "") == "NOT_FOUND")


def _replace_results(answer: Any, results: Sequence[Any]) -> Any:
    if not hasattr(answer, "points"):
        return list(results)
    found = copy(answer)
    found.points = list(results)
    return found
