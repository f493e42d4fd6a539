"""One routed search, without the search itself: which collection to search, which one instead, what
to record.

A conversation says what is to be asked and is told the hits, or the error; so the sync and the
async router differ in how they ask alone.
"""

import time
from collections.abc import Callable, Generator

from qdrant_rollouts.core.errors import AppError, Refused
from qdrant_rollouts.core.ports import Hit
from qdrant_rollouts.core.routing.choice import Choice
from qdrant_rollouts.core.routing.interleaved import interleave_search
from qdrant_rollouts.core.routing.request import Answer, Ask, Request
from qdrant_rollouts.core.routing.router_core import RouterCore
from qdrant_rollouts.core.routing.target import Target

#: Seconds that a collection on trial may take before blue is searched: the answer must come while
#: the user still waits.
TRIED_SECONDS = 4.0
SECONDS = 10.0

SearchProtocol = Generator[Ask, list[Hit], Answer]


class Conversation:
    """``ask`` is what the store is to be asked next, and None once there is an ``answer``.
    ``tell_hits`` and ``tell_error`` raise what the search ends with."""

    def __init__(self, protocol: SearchProtocol) -> None:
        self._protocol = protocol
        self.ask: Ask | None = next(protocol)
        self._answer: Answer | None = None

    @property
    def answer(self) -> Answer:
        assert self._answer is not None, "the store is still to be asked"
        return self._answer

    def tell_hits(self, hits: list[Hit]) -> None:
        self._go_on(lambda: self._protocol.send(hits))

    def tell_error(self, error: AppError) -> None:
        self._go_on(lambda: self._protocol.throw(error))

    def _go_on(self, step: Callable[[], Ask]) -> None:
        try:
            self.ask = step()
        except StopIteration as end:
            self.ask = None
            self._answer = end.value


def route_search(core: RouterCore, request: Request) -> SearchProtocol:
    choice = core.choose(
        request.alias, request.user, words=request.words, using=request.options.get("using")
    )
    if choice.fallback is not None and choice.route.document(choice.variant):
        return (yield from interleave_search(core, choice, request, choice.fallback))
    started = time.perf_counter()
    try:
        hits = yield _build_ask(choice, request)
    except AppError as error:
        return (
            yield from _ask_blue_instead(
                core, choice, request, error, time.perf_counter() - started
            )
        )
    seconds = time.perf_counter() - started
    core.observer.note_answer(choice, seconds, len(hits))
    if choice.shadow is not None:
        core.shadow.offer(choice.route, request, choice.shadow, hits, seconds, choice.group)
    return Answer(choice.target.collection, choice.variant, hits)


def _ask_blue_instead(
    core: RouterCore, choice: Choice, request: Request, error: AppError, seconds: float
) -> SearchProtocol:
    """Blue answers what the canary cannot. A request that both refuse is the caller's fault and
    counts against neither."""
    if choice.fallback is None:
        return (yield from _ask_moved_alias(core, choice, request, error, seconds))
    blue = choice.fallback
    started = time.perf_counter()
    try:
        hits = yield Ask(_name_to_ask(choice, blue, request), blue, SECONDS)
    except Refused:
        raise
    except AppError:
        core.observer.note_failure(choice, seconds)
        raise
    core.observer.note_failure(choice, seconds, waited=seconds + time.perf_counter() - started)
    return Answer(blue.collection, choice.variant, hits, fallback=True)


def _ask_moved_alias(
    core: RouterCore, choice: Choice, request: Request, error: AppError, seconds: float
) -> SearchProtocol:
    newer = core.choose_again(choice, error)
    if newer is not None:
        hits = yield _build_ask(newer, request)
        return Answer(newer.target.collection, newer.variant, hits)
    if not isinstance(error, Refused):
        core.observer.note_failure(choice, seconds)
    raise error


def _build_ask(choice: Choice, request: Request) -> Ask:
    if choice.tried:
        return Ask(choice.target.collection, choice.target, TRIED_SECONDS)
    return Ask(_name_to_ask(choice, choice.target, request), choice.target, SECONDS)


def _name_to_ask(choice: Choice, target: Target, request: Request) -> str:
    """A text goes only to the collection whose model embeds it. So does a search of an experiment's
    control, which may have no alias. Any other vector goes to whatever the alias points to now."""
    physical = request.words or choice.route.experiment_id
    if physical:
        return target.collection
    return request.alias
