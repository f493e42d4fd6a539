"""A search that both collections answer: their lists become one, in which clicks show which
collection is preferred."""

import secrets
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.ports import Hit
from qdrant_rollouts.core.routing.choice import Choice
from qdrant_rollouts.core.routing.exposures import ServedList
from qdrant_rollouts.core.routing.request import Answer, Ask, Request
from qdrant_rollouts.core.routing.router_core import RouterCore
from qdrant_rollouts.core.routing.target import Target
from qdrant_rollouts.core.statistics.team_draft import (
    Draft,
    Key,
    Place,
    coins,
    distinct_documents,
    draft,
)


class Result(Protocol):
    """One result of a search, whoever made it."""

    @property
    def id(self) -> Any: ...

    @property
    def payload(self) -> Mapping[str, Any] | None: ...


R = TypeVar("R", bound=Result)

_BLUE_SECONDS = 10.0
_CREDIT = {"treatment": 1, "control": -1}


def interleave_search(
    core: RouterCore, choice: Choice, request: Request, blue: Target
) -> Generator[Ask, list[Hit], Answer]:
    """Searches blue first. The collection on trial gets a little more time than blue usually takes;
    if it takes longer, blue alone answers."""
    control = Ask(blue.collection, blue, _BLUE_SECONDS, whole=True)
    started = time.perf_counter()
    ours = yield control
    spent = time.perf_counter() - started
    core.deadline.add(spent)
    tried = Ask(choice.target.collection, choice.target, core.deadline.seconds, whole=True)
    try:
        theirs = yield tried
    except AppError:
        waited = time.perf_counter() - started
        core.observer.note_failure(choice, tried.clock.split(waited - spent), waited=waited)
        return Answer(blue.collection, choice.variant, _cut_page(ours, request), fallback=True)
    both = control.clock.split(spent) + tried.clock.split(time.perf_counter() - started - spent)
    core.observer.note_answer(choice, both, len(ours) + len(theirs))
    query_id = request.query_id or secrets.token_hex(8)
    length = request.limit + request.options.get("offset", 0)
    found = draft_lists(choice, query_id, length, ours, theirs)
    core.observer.note_list(choice, query_id, list_credits(found))
    names = f"{blue.collection}, {choice.target.collection}"
    return Answer(
        names,
        choice.variant,
        _cut_page(pick_results(choice, found, ours, theirs), request),
        query_id=query_id,
    )


def list_credits(found: Draft) -> ServedList:
    return [[place.document, _credit_of_place(place)] for place in found.places]


def draft_lists(
    choice: Choice, query_id: str, length: int, ours: Sequence[Result], theirs: Sequence[Result]
) -> Draft:
    """Returns the list of so many documents that both collections make together."""
    toss = coins(str(choice.route.experiment_id), query_id)
    control, treatment = (
        distinct_documents(_key_of_document(choice, hit) for hit in hits) for hits in (ours, theirs)
    )
    return draft(control, treatment, toss, length)


def pick_results(choice: Choice, found: Draft, ours: Sequence[R], theirs: Sequence[R]) -> list[R]:
    """Shows each document as the team that picked it does: the best of its chunks."""
    best: dict[tuple[str, Key], R] = {}
    for team, hits in (("control", ours), ("treatment", theirs)):
        for hit in hits:
            best.setdefault((team, _key_of_document(choice, hit)), hit)
    return [best[place.team, place.document] for place in found.places]


def _key_of_document(choice: Choice, result: Result) -> Key:
    found = (result.payload or {}).get(choice.route.document(choice.variant), result.id)
    if isinstance(found, str | int):
        return found
    return str(found)


def _credit_of_place(place: Place) -> int:
    if not place.credited:
        return 0
    return _CREDIT[place.team]


def _cut_page(hits: Sequence[Hit], request: Request) -> list[Hit]:
    start = request.options.get("offset", 0)
    return list(hits[start : start + request.limit])
