"""The Redis channel over which search processes hear that a route has changed."""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from redis import Redis

from qdrant_rollouts.adapters import redis_broker
from qdrant_rollouts.adapters.broker_errors import BROKER_AWAY

log = logging.getLogger(__name__)

#: The Redis channel.
CHANNEL_NAME = "rollouts.routes"
_TIMEOUT = 1.0
_LONGEST_WAIT = 2.0


class RedisChannel:
    def __init__(self, url: str) -> None:
        self._url = url

    def announce(self, alias: str) -> None:
        try:
            self.publish(alias)
        except BROKER_AWAY as error:
            log.warning("the route of %s was not announced: %s", alias, type(error).__name__)

    def publish(self, alias: str) -> None:
        """Raises one of ``BROKER_AWAY`` if it cannot publish."""
        with self._connect_redis() as redis:
            redis.publish(CHANNEL_NAME, alias)

    def listen(self, heard: Callable[[str], None], stopped: threading.Event) -> None:
        threading.Thread(
            target=self._listen_until_stopped,
            args=(heard, stopped),
            name="route-channel",
            daemon=True,
        ).start()

    def _listen_until_stopped(self, heard: Callable[[str], None], stopped: threading.Event) -> None:
        wait = 0.1
        while not stopped.is_set():
            try:
                self._hear_announcements(heard, stopped)
                wait = 0.1
            except BROKER_AWAY as error:
                log.info("route changes are not heard: %s", type(error).__name__)
                wait = min(wait * 2, _LONGEST_WAIT)
            stopped.wait(wait)

    def _hear_announcements(self, heard: Callable[[str], None], stopped: threading.Event) -> None:
        """It may have missed announcements from before it listened, so it acts as if it had heard
        one."""
        with self._connect_redis() as redis, self._open_pubsub(redis) as channel:
            channel.subscribe(CHANNEL_NAME)
            heard("")
            while not stopped.is_set():
                if message := channel.get_message(timeout=_TIMEOUT):
                    heard(message["data"].decode())

    @staticmethod
    def _open_pubsub(redis: Redis) -> Any:
        return redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis has few types

    def _connect_redis(self) -> AbstractContextManager[Redis]:
        return redis_broker.connect_redis(
            self._url,
            socket_timeout=2 * _TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            health_check_interval=5,
        )
