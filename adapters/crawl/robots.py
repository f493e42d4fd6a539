"""robots.txt by RFC 9309, with ``Crawl-delay``, which many write and the RFC leaves out.

The groups that name this program count, else those of ``*``. Of the rules that match a path the longest wins, and
``allow`` where two are as long.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_DELAY = re.compile(r"\d{1,6}(\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Robots:
    """``rules`` are (allow, pattern). Without any, everything is allowed. ``delay``: seconds between two requests."""

    rules: Sequence[tuple[bool, str]] = ()
    delay: float = 0.0

    def allows(self, path: str) -> bool:
        """``path`` with its query, as it is requested."""
        wanted = _normal(path)
        matching = [(len(pattern), allow) for allow, pattern in self.rules if _matches(pattern, wanted)]
        return not matching or max(matching)[1] or wanted == "/robots.txt"


def parse(text: str, agent: str) -> Robots:
    """The rules for ``agent``, a product token."""
    groups: dict[str, list[tuple[str, str]]] = {}
    named: list[str] = []
    ruled = True
    for key, value in _lines(text):
        if key == "user-agent":
            named = [*([] if ruled else named), value.partition("/")[0].strip().lower()]
            ruled = False
            groups.setdefault(named[-1], [])
        elif key in {"allow", "disallow", "crawl-delay"}:
            ruled = True
            for name in dict.fromkeys(named):
                groups[name].append((key, value))
    mine = groups.get(agent.lower(), groups.get("*", []))
    rules = [(key == "allow", _normal(value)) for key, value in mine if key != "crawl-delay" and value]
    delays = [float(value) for key, value in mine if key == "crawl-delay" and _DELAY.fullmatch(value)]
    return Robots(rules, max(delays, default=0.0))


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.removeprefix("\ufeff").splitlines():
        key, colon, value = line.partition("#")[0].partition(":")
        if colon:
            yield key.strip().lower(), value.strip()


def _matches(pattern: str, path: str) -> bool:
    """Piece by piece from the left: a regular expression could be made to take forever by who writes the file."""
    ends = pattern.endswith("$")
    first, *rest = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    for number, piece in enumerate(rest, 1):
        if ends and number == len(rest):
            return len(path) - at >= len(piece) and path.endswith(piece)
        at = path.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return not ends or at == len(path)


def _normal(text: str) -> str:
    """One spelling of each path: unreserved characters as they are, all others as ``%XX``."""
    return _ESCAPE.sub(_unescaped, quote(text, safe="%/?#[]@!$&'()*+,;=:~"))


def _unescaped(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if _UNRESERVED.fullmatch(character) else found[0].upper()
