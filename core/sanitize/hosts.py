"""Names of hosts that no resolver takes.

Rule: who takes an address from a person asks here. Python refuses such a name with an error that no library of
connections foresees, and so nobody would explain.
"""

from urllib.parse import unquote, urlsplit

#: What is said of one.
IMPOSSIBLE_HOST = "its host is no name: between two dots stand 1 to 63 characters"


def is_impossible_host(host: str | None) -> bool:
    """Of a host, or of several with commas between them. A path, of a socket, is no name."""
    return any(_is_impossible_name(name) for name in unquote(host or "").split(","))


def has_impossible_host(url: str) -> bool:
    """Whether the host of ``url`` is one; what is no URL at all is somebody else's matter."""
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
