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
