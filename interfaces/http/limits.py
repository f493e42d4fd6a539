"""What one may hold of the web process: connections, requests at once, streams, and time.

Rule: whatever is given to who asks has a bound, and the bounds together leave most descriptors to
the rest of the process: in `rollouts up` the worker lives beside the web.
"""

import ipaddress
import resource
from dataclasses import dataclass

#: Of the descriptors that the process may open, so many are for connections: one in so many.
_SHARE = 3
_MOST = 512
_LEAST = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """``connections`` that are open. Seconds: ``headers`` until those of a request are there,
    ``body`` until the rest of it is, ``idle`` between an answer and the next request, ``stall`` in
    which at least ``pace`` bytes are taken of an answer that waits."""

    connections: int
    headers: float = 10.0
    body: float = 30.0
    idle: int = 5
    stall: float = 10.0
    pace: int = 10_000

    @property
    def requests(self) -> int:
        """Requests that are worked at. Fewer than connections, so that there is always one that may
        be closed for the next to come in."""
        return self.connections * 3 // 4

    @property
    def requests_of_one(self) -> int:
        return self.requests // 2

    @property
    def streams(self) -> int:
        """Streams of events: they have no end, and others must be answered beside them."""
        return self.requests // 2

    @property
    def streams_of_one(self) -> int:
        return self.streams // 2


def process_limits() -> Limits:
    """By the descriptors that it may open (`ulimit -n`)."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    share = _MOST if allowed == resource.RLIM_INFINITY else allowed // _SHARE
    return Limits(max(_LEAST, min(_MOST, share)))


def address_group(host: str) -> str:
    """Whom an address counts as: itself; of IPv6 its network, all of which one machine may use."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host
