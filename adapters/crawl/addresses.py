"""Which sites may be read: public ones on the ports of the web, and those that the index file
allows by name.

Rule: every address of a host name must be public, and the connection is made to a checked address.
A second look-up could give another address.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Collection
from typing import Any

import httpx

from qdrant_rollouts.core.errors import Refused, Unavailable

#: As ``socket.getaddrinfo``.
Resolve = Callable[..., list[Any]]

_HOST = re.compile(rb"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_PORTS_OF_SCHEMES = {"http": 80, "https": 443}


def parse_address(url: str) -> httpx.URL:
    """Returns ``url`` without its fragment. Raises Refused, without showing it, if it is not a
    plain http(s) address."""
    try:
        found = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise Refused("an address of a site is no URL; expected http(s)://HOST/PATH") from None
    if found.userinfo:
        raise Refused(
            f"the address of a page on {found.host} holds a user or a password; expected none"
        )
    if found.scheme not in _PORTS_OF_SCHEMES:
        raise Refused(
            f"an address of a site begins with {found.scheme or 'nothing'}:; expected "
            "http(s)://HOST/PATH"
        )
    if not _HOST.fullmatch(found.raw_host) or not 0 < effective_port(found) < 65536:
        raise Refused(
            "an address of a site has no host or port that could be one; expected "
            "http(s)://HOST/PATH"
        )
    return found.copy_with(fragment=None)


def effective_port(url: httpx.URL) -> int:
    if url.port is None:
        return _PORTS_OF_SCHEMES[url.scheme]
    return url.port


def check_port(url: httpx.URL, allowed: Collection[str]) -> None:
    """Raises Refused for a port other than those of the web, unless it is allowed as "
    "``HOST:PORT``."""
    if (
        effective_port(url) not in _PORTS_OF_SCHEMES.values()
        and f"{url.host}:{effective_port(url)}" not in allowed
    ):
        raise Refused(
            f"{url.host} is to be read on port {effective_port(url)}; only 80 and 443 are, "
            f"or name {url.host}:{effective_port(url)} under "
            "crawl.allow in the index file"
        )


def resolve_address(url: httpx.URL, allowed: Collection[str], resolve: Resolve) -> str:
    """Returns the address to connect to. Raises Refused if one of the name's addresses is not
    public, Unavailable if it has none."""
    host = url.raw_host.decode("ascii")
    try:
        found = [
            str(entry[4][0])
            for entry in resolve(host, effective_port(url), type=socket.SOCK_STREAM)
        ]
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"{url.host} has no address: {error}") from error
    if {url.host, f"{url.host}:{effective_port(url)}"}.isdisjoint(allowed):
        for address in found:
            _check_public(url, address)
    if not found:
        raise Unavailable(f"{url.host} has no address")
    return found[0]


def _check_public(url: httpx.URL, address: str) -> None:
    if not is_public(address):
        raise Refused(
            f"{url.host} is at {address}, which is not a public address; name {url.host} under "
            f"crawl.allow in the index "
            "file to read it"
        )


def is_public(address: str) -> bool:
    """IPv6 addresses that lead to an IPv4 address do not count as public, because they hide the
    destination."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address) and (
        found.sixtofour or found.teredo or found.is_site_local
    ):
        return False
    return found.is_global and not found.is_multicast and not found.is_reserved
