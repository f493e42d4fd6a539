"""A message that waits before it is taken up again, by the clock of the worker that has it.

A time in a message would be compared with its receiver's clock, which may differ from its sender's.
So the message says how long, and its receiver counts from its arrival.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.worker.strategy import default

from qdrant_rollouts.core.times import as_iso

#: The message's header, in seconds.
_REST = "rest_seconds"

Handler = Callable[..., Any]


def rest(seconds: float) -> dict[str, Any]:
    """Returns options of ``Task.retry``."""
    return {"countdown": 0, "headers": {_REST: seconds}}


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Handler:
    """Celery's strategy, for a task whose messages may wait."""
    handle: Handler = default(task, app, consumer, **options)

    def receive(message: Any, *received: Any, **more: Any) -> Any:
        if seconds := message.headers.get(_REST):
            message.headers["eta"] = as_iso(datetime.now(UTC) + timedelta(seconds=seconds))
        return handle(message, *received, **more)

    return receive
