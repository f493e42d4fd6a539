"""Messages on their way: whether one for a thing waits in a queue, or a worker has just taken it,
so that no second is sent.

Rule: on Redis the queue is read, and what workers have taken. A worker may need seconds from taking
a message until it begins, and it may die in between: a message that was taken is on its way for
``_BEGINNING`` seconds, and then counts as lost. Other brokers can only count: there a message is
sent if nothing waits, and otherwise less and less often. Nothing here is compared with a clock of
another process.
"""

import re
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
#: Seconds after which a message that a worker has taken and not begun counts as lost. A machine at
#: a load of 16 needed two. Shorter than ``Times.knock_again_after``, so the first look sends again
#: what a worker took at once and died with.
_BEGINNING = 10.0
#: Things of a broker whose queues cannot be read.
_MOST_ASKED = 10_000


def make_id(thing: str) -> str:
    """Returns an id for a message about ``thing``, from which the thing can be read."""
    return f"{thing}-{secrets.token_hex(2)}"


@dataclass(frozen=True)
class _Look:
    """The things whose messages wait in a queue, and those whose message a worker has just
    taken."""

    at: float
    waiting: set[str]
    taken: set[str]


class Queues:
    """The queues of a broker as this process sees them. One look at a queue holds for ``fresh``
    seconds, so a caller that asks for hundreds of things reads it once."""

    def __init__(self, app: Celery, fresh: float = 1.0) -> None:
        self._app = app
        self._fresh = fresh
        self._seen: dict[str, _Look] = {}
        self._asked: Counter[str] = Counter()

    def lacks(self, queue: str, thing: str) -> bool:
        """Whether no message about the thing waits, as far as is known. Raises one of
        ``adapters.broker_errors.BROKER_AWAY``."""
        look = self._read_queue(queue)
        if look is None:
            return self._is_worth_a_try(thing) or self._count(queue) == 0
        return thing not in look.waiting

    def calls_for(self, queue: str, thing: str) -> bool:
        """Whether a message about the thing must be sent now: none waits, no worker has just taken
        one, and no other process is about to send it."""
        if not self.lacks(queue, thing):
            return False
        look = self._seen.get(queue)
        if look is not None and thing in look.taken:
            return False
        return self.is_first(thing, _SENDING)

    def note_sent(self, queue: str, thing: str) -> None:
        """Updates the last look."""
        if queue in self._seen:
            self._seen[queue].waiting.add(thing)

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

    def _read_queue(self, queue: str) -> _Look | None:
        """Returns the last look, or a new one; None if the broker's queues cannot be read."""
        seen = self._seen.get(queue)
        if seen is not None and time.monotonic() - seen.at < self._fresh:
            return seen
        with self._open_connection() as connection:
            channel = connection.default_channel
            if not isinstance(channel, redis_broker.Channel):
                return None
            waiting, taken = channel.read_messages(queue, _BEGINNING)
        made = _Look(time.monotonic(), _find_things(waiting), _find_things(taken))
        self._seen[queue] = made
        return made

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


def _find_things(messages: Iterable[bytes]) -> set[str]:
    found = map(_ID.search, messages)
    return {match[1].decode().rpartition("-")[0] for match in found if match}
