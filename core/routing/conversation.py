"""One routed search, without the search itself: which collection to search, which one instead, what
to record.

A conversation says what is to be asked and is told the hits, or the error; so the sync and the
async router differ in how they ask alone.
"""

import time
from collections.abc import Callable, Generator
from typing import Generic, TypeVar

from qdrant_rollouts.core.errors import AppError, Refused
from qdrant_rollouts.core.ports import Hit
from qdrant_rollouts.core.routing.choice import Choice
from qdrant_rollouts.core.routing.embedding_clock import Spent
from qdrant_rollouts.core.routing.interleaved import interleave_search
from qdrant_rollouts.core.routing.request import Answer, Ask, Request, ask_store
from qdrant_rollouts.core.routing.router_core import RouterCore
from qdrant_rollouts.core.routing.shadow import Found, ShadowSearch
from qdrant_rollouts.core.routing.target import Target

#: Seconds that a collection on trial may take before blue is searched, unless blue is slow itself:
#: the answer must come while the user still waits.
TRIED_SECONDS = 4.0
SECONDS = 10.0

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")

SearchProtocol = Generator[Ask, list[Hit], Answer]


class Conversation(Generic[A, R, T]):
    """``ask`` is what is to be asked next, and None once there is an ``answer``. ``tell`` and
    ``tell_error`` raise what the protocol ends with."""

    def __init__(self, protocol: Generator[A, R, T]) -> None:
        self._protocol = protocol
        self.ask: A | None = next(protocol)
        self._answers: list[T] = []

    @property
    def answer(self) -> T:
        assert self._answers, "something is still to be asked"
        return self._answers[0]

    def tell(self, found: R) -> None:
        self._go_on(lambda: self._protocol.send(found))

    def tell_error(self, error: Exception) -> None:
        self._go_on(lambda: self._protocol.throw(error))

    def _go_on(self, step: Callable[[], A]) -> None:
        try:
            self.ask = step()
        except StopIteration as end:
            self.ask = None
            self._answers = [end.value]


def route_search(core: RouterCore, request: Request) -> SearchProtocol:
    choice = core.choose(
        request.alias, request.user, words=request.words, using=request.options.get("using")
    )
    if choice.fallback is not None and choice.route.document(choice.variant):
        return (yield from interleave_search(core, choice, request, choice.fallback))
    ask = _build_ask(core, choice, request)
    started = time.perf_counter()
    try:
        hits = yield ask
    except AppError as error:
        spent = ask.clock.split(time.perf_counter() - started)
        return (yield from _ask_blue_instead(core, choice, request, error, spent))
    spent = ask.clock.split(time.perf_counter() - started)
    core.observer.note_answer(choice, spent, len(hits))
    if not choice.tried:
        core.deadline.add(spent.seconds)
    if choice.shadow is not None:
        _offer_to_green(core, choice, request, choice.shadow, hits, spent.seconds)
    return Answer(choice.target.collection, choice.variant, hits)


def _offer_to_green(
    core: RouterCore,
    choice: Choice,
    request: Request,
    green: Target,
    hits: list[Hit],
    seconds: float,
) -> None:
    ask = Ask(green.collection, green, SECONDS)

    def ask_green() -> Found:
        found = ask_store(core.services, request, ask)
        return Found(len(found), [hit.id for hit in found])

    search = ShadowSearch(choice, green, [hit.id for hit in hits], seconds, ask.clock.split)
    core.shadow.offer(search, ask_green)


def _ask_blue_instead(
    core: RouterCore, choice: Choice, request: Request, error: AppError, spent: Spent
) -> SearchProtocol:
    """Blue answers what the canary cannot. A request that both refuse is the caller's fault and
    counts against neither."""
    if choice.fallback is None:
        return (yield from _ask_moved_alias(core, choice, request, error, spent))
    blue = choice.fallback
    started = time.perf_counter()
    try:
        hits = yield Ask(_name_to_ask(choice, blue, request), blue, SECONDS)
    except Refused:
        raise
    except AppError:
        core.observer.note_failure(choice, spent)
        raise
    waited = spent.waited + time.perf_counter() - started
    core.observer.note_failure(choice, spent, waited=waited)
    return Answer(blue.collection, choice.variant, hits, fallback=True)


def _ask_moved_alias(
    core: RouterCore, choice: Choice, request: Request, error: AppError, spent: Spent
) -> SearchProtocol:
    newer = core.choose_again(choice) if isinstance(error, Refused) else None
    if newer is not None:
        hits = yield _build_ask(core, newer, request)
        return Answer(newer.target.collection, newer.variant, hits)
    if not isinstance(error, Refused):
        core.observer.note_failure(choice, spent)
    raise error


def _build_ask(core: RouterCore, choice: Choice, request: Request) -> Ask:
    if choice.tried:
        seconds = core.deadline.extend(TRIED_SECONDS)
        return Ask(choice.target.collection, choice.target, seconds)
    return Ask(_name_to_ask(choice, choice.target, request), choice.target, SECONDS)


def _name_to_ask(choice: Choice, target: Target, request: Request) -> str:
    """A text goes only to the collection whose model embeds it. So does a search of an experiment's
    control, which may have no alias. Any other vector goes to whatever the alias points to now."""
    physical = request.words or choice.route.experiment_id
    if physical:
        return target.collection
    return request.alias
