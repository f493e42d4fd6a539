"""Searches the products inside a task."""

from functools import cache
from typing import Any

from celery.signals import worker_process_shutdown

from qdrant_rollouts import open_router
from tasks import app


@app.task
def find_products(words: str, customer: str | None = None) -> list[dict[str, Any]]:
    answer = _open_once().search("products", words, user_id=customer, limit=3)
    return [{"name": hit.payload["name"], "score": hit.score} for hit in answer.results]


@cache
def _open_once() -> Any:
    """Opened at the first search of a process, and so after the fork."""
    return open_router()


@worker_process_shutdown.connect
def close_router(**_: Any) -> None:
    """Writes what the router has observed."""
    if _open_once.cache_info().currsize:
        _open_once().close()
