"""How search processes hear at once that a route has changed: a Redis channel, if the broker is a
Redis.

Nothing depends on it: search processes also read the routes twice a second.
"""

import threading
from collections.abc import Callable

from qdrant_rollouts.adapters.late import late
from qdrant_rollouts.core.ports import RouteChannel

#: Schemes of URLs, including sockets.
_REDIS = ("redis://", "rediss://", "redis+socket://")


def open_channel(broker_url: str) -> RouteChannel:
    if broker_url.startswith(_REDIS):
        channel: RouteChannel = late("adapters.redis_channel", "RedisChannel")(broker_url)
        return channel
    return SilentChannel()


class SilentChannel:
    """For brokers other than Redis."""

    def announce(self, alias: str) -> None:
        """Does nothing."""

    def listen(self, heard: Callable[[str], None], stopped: threading.Event) -> None:
        """Does nothing."""
