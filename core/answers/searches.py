"""What a search returns."""

from typing import Any

from typing_extensions import TypedDict  # pydantic needs typing_extensions before Python 3.12


class Hit(TypedDict):
    id: int | str
    score: float
    payload: dict[str, Any]


class Found(TypedDict):
    """``variant`` is what the route gave the user; with ``fallback`` blue answered instead."""

    collection: str
    variant: str
    results: list[Hit]
    fallback: bool
    query_id: str


class Routed(TypedDict):
    variant: str
    results: list[Hit]


class Recorded(TypedDict):
    recorded: bool


class FeedbackOutcome(TypedDict):
    """``outcome``: ``counted``; ``repeated``, because this key was counted before; ``unexposed``,
    nothing is counted yet and it may be sent again; or ``refused``, and ``detail`` says why."""

    key: str
    outcome: str
    detail: str


class FeedbackOutcomes(TypedDict):
    """In the order of the request."""

    results: list[FeedbackOutcome]
