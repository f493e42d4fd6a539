"""Celery's Redis transport, changed so that it survives an outage of Redis.

With Celery and kombu 5.7.0, a worker that is working when its Redis goes away dies of an
``AttributeError`` (measured: at 14 of 14 restarts of Redis; with this transport at none). It closes
the lost connection twice, and acknowledges what it had received over it; both ask a closed
connection for its parameters, which raises an error that Celery does not expect. Here it raises one
that Celery expects: a connection error.

Other code that needs a client of that Redis also gets it here, made by the transport itself. A URL
means different things to Celery and to the Redis client: ``ssl_cert_reqs=CERT_NONE`` is an error to
the latter, and so is a list of URLs.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.connection import Connection
from kombu.transport import TRANSPORT_ALIASES, _transport_cache, virtual
from kombu.transport import redis as transport
from kombu.utils.json import dumps
from redis import Redis
from redis.exceptions import ConnectionError as ConnectionLost

#: The header of a message that goes to the front of its queue. Only the sender must know it: the
#: queue remains one list, and workers take from the same end.
_FIRST = "rollouts_first"
AT_THE_FRONT = {_FIRST: True}
_SCHEMES = ("redis", "rediss")


def register_transport() -> None:
    """From now on this process uses this transport for Redis; its URLs stay the same."""
    TRANSPORT_ALIASES.update(dict.fromkeys(_SCHEMES, f"{__name__}:Transport"))
    for scheme in _SCHEMES:
        if _transport_cache.get(scheme) is not Transport:
            _transport_cache.pop(scheme, None)  # of an application that used Redis before


@contextmanager
def connect_redis(url: str, **options: Any) -> Iterator[Redis]:
    """Returns a client of the Redis at the broker's URL; ``options`` are Celery's
    ``broker_transport_options``.

    Raises one of ``adapters.broker_errors.BROKER_AWAY`` if no Redis of the URL answers or it
    refuses us.
    """
    register_transport()
    made: Any = Connection(url, transport_options=options)  # type: ignore[no-untyped-call]  # kombu has few types
    with made as connection:
        connection.ensure_connection(max_retries=1, interval_start=0.1)
        yield connection.default_channel.plain_client()


class QoS(transport.QoS):
    """Messages that workers have taken and not yet acknowledged are stored with the time of Redis,
    not of the worker: a worker whose clock is two hours ahead would otherwise deliver all workers'
    messages a second time, at once."""

    def append(self, message: Any, delivery_tag: str) -> None:
        where = message.delivery_info
        taken = dumps([message._raw, where["exchange"], where["routing_key"]])  # type: ignore[no-untyped-call]
        with self.channel.conn_or_acquire() as client:
            pipe = client.pipeline()
            pipe.zadd(self.unacked_index_key, {delivery_tag: _seconds(client)})
            pipe.hset(self.unacked_key, delivery_tag, taken).execute()
            virtual.QoS.append(self, message, delivery_tag)  # type: ignore[no-untyped-call]

    @property
    def visibility_timeout(self) -> float:
        """The transport subtracts this from this process's clock to know what is too old."""
        with self.channel.conn_or_acquire() as client:
            return float(self.channel.visibility_timeout) + time.time() - _seconds(client)


def _seconds(client: Redis) -> float:
    return _as_seconds(client.time())


def _as_seconds(told: tuple[int, int]) -> float:
    seconds, microseconds = told
    return float(seconds) + float(microseconds) / 1e6


class Channel(transport.Channel):
    QoS = QoS

    def read_messages(self, queue: str, seconds: float) -> tuple[list[bytes], list[bytes]]:
        """Returns the messages of a queue that no worker has taken, under each key that holds some,
        and those of any queue that a worker has taken less than ``seconds`` ago and not answered.
        Both are of the same moment, so a message that changes places is in one of them. How long
        ago is counted by Redis; a time far ahead is from before its clock was set back."""
        with self.plain_client().pipeline() as pipe:
            for priority in self.priority_steps:
                key = self._q_for_pri(queue, priority)  # type: ignore[no-untyped-call]
                pipe.lrange(key, 0, -1)
            pipe.time()
            pipe.zrange(self.unacked_index_key, 0, -1, withscores=True)
            pipe.hgetall(self.unacked_key)
            *waiting, time_of_day, tags, taken = pipe.execute()
        now = _as_seconds(time_of_day)
        young = [tag for tag, at in tags if abs(now - at) < seconds and tag in taken]
        return [message for found in waiting for message in found], [taken[tag] for tag in young]

    def plain_client(self) -> Redis:
        """For our own commands; the transport's other clients belong to its event loop."""
        client: Redis = self._create_client()  # type: ignore[no-untyped-call]  # kombu has few types
        return client

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        if not message.get("headers", {}).get(_FIRST) or kwargs.get("_publish_batch") is not None:
            super()._put(queue, message, **kwargs)  # type: ignore[no-untyped-call]  # kombu has few types
            return
        with self.conn_or_acquire() as client:
            client.rpush(queue, dumps(message))  # type: ignore[no-untyped-call]

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise ConnectionLost("the connection that this was received over is closed")
        return super()._connparams(asynchronous)  # type: ignore[no-untyped-call]  # kombu has few types


class Transport(transport.Transport):
    Channel = Channel
