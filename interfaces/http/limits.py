"""What a client may occupy in the web process: connections, simultaneous requests, streams, and
time.

Rule: everything has a limit, and together the limits leave most descriptors to the rest of the
process: in `rollouts up` the worker runs in the same process.
"""

import ipaddress
import resource
from dataclasses import dataclass

#: One in this many of the process's descriptors is for connections.
_SHARE = 3
_MOST = 512
_LEAST = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """``connections``: how many may be open. Seconds: ``headers`` until those of a request have
    arrived, ``body`` until the rest has, ``idle`` between an answer and the next request, ``stall``
    in which the client must read at least ``pace`` bytes of a waiting answer."""

    connections: int
    headers: float = 10.0
    body: float = 30.0
    idle: int = 5
    stall: float = 10.0
    pace: int = 10_000

    @property
    def requests(self) -> int:
        """Requests processed at once. Fewer than connections, so that there is always one that can
        be closed for the next one."""
        return self.connections * 3 // 4

    @property
    def requests_of_one(self) -> int:
        return self.requests // 2

    @property
    def streams(self) -> int:
        """Streams of events: they have no end, and other requests must be answered besides them."""
        return self.requests // 2

    @property
    def streams_of_one(self) -> int:
        return self.streams // 2


def process_limits() -> Limits:
    """Derives the limits from the number of descriptors that the process may open (`ulimit -n`)."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    share = _MOST
    if allowed != resource.RLIM_INFINITY:
        share = allowed // _SHARE
    return Limits(max(_LEAST, min(_MOST, share)))


def address_group(host: str) -> str:
    """The client that an address counts as: itself; for IPv6 its network, because one machine may
    use all of it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host
