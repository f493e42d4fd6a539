"""Host names that no resolver accepts.

Rule: code that takes an address from a person checks it here. Python refuses such a name with an
error that connection libraries do not expect, so nobody would explain it.
"""

from urllib.parse import unquote, urlsplit

#: The message for such a name.
IMPOSSIBLE_HOST = "its host is not a valid name: there must be 1 to 63 characters between two dots"


def is_impossible_host(host: str | None) -> bool:
    """For a host, or for several separated by commas. A path, of a socket, is not a host name."""
    return any(_is_impossible_name(name) for name in unquote(host or "").split(","))


def has_impossible_host(url: str) -> bool:
    """Whether the host of ``url`` is one; a text that is not a URL is checked elsewhere."""
    try:
        return is_impossible_host(urlsplit(url).hostname)
    except ValueError:
        return False


def _is_impossible_name(name: str) -> bool:
    if name.startswith("/"):
        return False
    try:
        name.encode("idna")
    except UnicodeError:
        return True
    return False
