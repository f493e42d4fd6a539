"""robots.txt by RFC 9309 and with ``Crawl-delay``, which the RFC leaves out; protego reads it.

Rule: the groups that name this program count, else those of ``*``. A group names it by its whole
product token, whatever version stands behind; protego would take one for ours that ours only begins
with, and none with a version.
"""

import re
from dataclasses import dataclass, field

from protego import Protego

#: The lines that protego takes for the beginning of a group, up to the end of the token.
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
        """``path`` with its query, as it is requested."""
        return self.read.can_fetch(f"http://site{path}", self.agent)


def parse_robots(text: str, agent: str) -> Robots:
    """The rules for ``agent``, a product token."""
    lines = (_normalize_group_line(line, agent) for line in text.removeprefix("\ufeff").splitlines())
    return Robots(agent, Protego.parse("\n".join(lines)))


def _normalize_group_line(line: str, agent: str) -> str:
    """The line; of one that begins a group, whether it is meant for us, for all, or for others."""
    found = _GROUP.match(line)
    if found is None:
        return line
    name = found[1].lower()
    return f"User-agent: {name if name in {'*', agent.lower()} else 'other'}"
