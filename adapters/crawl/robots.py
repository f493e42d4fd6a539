"""robots.txt by RFC 9309 and with ``Crawl-delay``, which the RFC leaves out; protego reads it.

Rule: the groups that name this program count, else those of ``*``. A group names it by its whole
product token, with or without a version. protego would also match a token that is only the
beginning of ours, and would not match one with a version.
"""

import re
from dataclasses import dataclass, field

from protego import Protego

#: Lines that protego reads as the beginning of a group, up to the end of the token.
_GROUP = re.compile(r"\s*user[- ]?agent(?:\s*:|\s)\s*([^\s#/]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Robots:
    """Without a file everything is allowed. ``delay``: seconds between two requests."""

    agent: str = ""
    read: Protego = field(default_factory=Protego)

    @property
    def delay(self) -> float:
        return self.read.crawl_delay(self.agent) or 0.0

    def allows(self, path: str) -> bool:
        """``path`` with its query, as requested."""
        return self.read.can_fetch(f"http://site{path}", self.agent)


def parse_robots(text: str, agent: str) -> Robots:
    """Returns the rules for ``agent``, a product token."""
    lines = (
        _normalize_group_line(line, agent) for line in text.removeprefix("\ufeff").splitlines()
    )
    return Robots(agent, Protego.parse("\n".join(lines)))


def _normalize_group_line(line: str, agent: str) -> str:
    """Returns the line; one that begins a group is rewritten to mean us, everyone, or others."""
    found = _GROUP.match(line)
    if found is None:
        return line
    name = found[1].lower()
    return f"User-agent: {name if name in {'*', agent.lower()} else 'other'}"
