"""What a search answers."""

from typing import Any

from typing_extensions import TypedDict  # pydantic reads those of typing only from Python 3.12 on


class Hit(TypedDict):
    id: int | str
    score: float
    payload: dict[str, Any]


class Found(TypedDict):
    """``variant`` is what the route gave the user; with ``fallback`` blue answered in its place."""

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
