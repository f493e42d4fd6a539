"""Messages that wait in a queue: whether one for a thing already waits, so that no second is sent.

Rule: on Redis the queue is read. Other brokers can only count: there a message is sent if nothing
waits, and otherwise less and less often. Nothing here is compared with a clock of another process.
"""

import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from qdrant_rollouts.adapters import redis_broker

#: The id in a message as kombu writes it: the first thing of that name in its headers.
_ID = re.compile(rb'"headers": ?\{.*?"id": ?"([^"]*)"')

#: Seconds within which a process that decided to send a message has sent it. Shorter than any wait
#: before it is sent again.
_SENDING = 5.0
#: Things of a broker whose queues cannot be read.
_MOST_ASKED = 10_000


def make_id(thing: str) -> str:
    """Returns an id for a message about ``thing``, from which the thing can be read."""
    return f"{thing}-{secrets.token_hex(2)}"


class Queues:
    """The queues of a broker as this process sees them. One look at a queue holds for ``fresh``
    seconds, so a caller that asks for hundreds of things reads it once."""

    def __init__(self, app: Celery, fresh: float = 1.0) -> None:
        self._app = app
        self._fresh = fresh
        self._seen: dict[str, tuple[float, set[str]]] = {}
        self._asked: Counter[str] = Counter()

    def lacks(self, queue: str, thing: str) -> bool:
        """Whether no message about the thing waits, as far as is known. Raises one of
        ``adapters.broker_errors.BROKER_AWAY``."""
        seen = self._seen.get(queue)
        if seen is None or time.monotonic() - seen[0] >= self._fresh:
            found = self._read(queue)
            if found is None:
                return self._is_worth_a_try(thing) or self._count(queue) == 0
            seen = self._seen[queue] = time.monotonic(), found
        return thing not in seen[1]

    def calls_for(self, queue: str, thing: str) -> bool:
        """Whether a message about the thing must be sent now: none waits, and no other process is
        about to send it."""
        return self.lacks(queue, thing) and self.is_first(thing, _SENDING)

    def note_sent(self, queue: str, thing: str) -> None:
        """Updates the last look."""
        if queue in self._seen:
            self._seen[queue][1].add(thing)

    def is_first(self, thing: str, seconds: float) -> bool:
        """Whether no process has asked this within this many seconds, as counted by the broker.
        Without such a count, every caller is the first."""
        with self._open_connection() as connection:
            channel = connection.default_channel
            if not isinstance(channel, redis_broker.Channel):
                return True
            return bool(
                channel.plain_client().set(
                    f"rollouts.{thing}", 1, nx=True, px=max(1, int(seconds * 1000))
                )
            )

    def _read(self, queue: str) -> set[str] | None:
        with self._open_connection() as connection:
            channel = connection.default_channel
            if not isinstance(channel, redis_broker.Channel):
                return None
            found = map(_ID.search, channel.waiting(queue))
            return {match[1].decode().rpartition("-")[0] for match in found if match}

    def _is_worth_a_try(self, thing: str) -> bool:
        """At the first, second, fourth, eighth request, and so on."""
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[thing] += 1
        return self._asked[thing].bit_count() == 1

    def _count(self, queue: str) -> int:
        with self._open_connection() as connection:
            channel: Any = connection.channel()  # type: ignore[no-untyped-call]  # kombu has few types
            try:
                return int(channel.queue_declare(queue, passive=True).message_count)
            except connection.channel_errors:  # the queue does not exist yet
                return 0
            finally:
                channel.close()

    @contextmanager
    def _open_connection(self) -> Iterator[Connection]:
        with self._app.pool.acquire(block=True) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1)
            try:
                yield connection
            except connection.connection_errors as error:
                raise OperationalError(str(error)) from error
