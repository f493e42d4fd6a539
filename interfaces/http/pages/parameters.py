"""What a page's address asks for. Every parameter is plain, so a link can be shared, and the
browser's way back leads to what was shown before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.times import read_time
from qdrant_rollouts.interfaces.http.pages.visits import Visit

#: How many digits a count may have, and a page that no list has.
_DIGITS = 9
_BEYOND = 999_999_999


@dataclass(frozen=True, slots=True)
class PageLink:
    """The address of a page with its parameters; ``to`` is one that differs in some."""

    path: str
    values: Mapping[str, Any]

    def to(self, **changes: Any) -> str:
        """Returns the address with other values; empty ones are left out."""
        values = {name: value for name, value in {**self.values, **changes}.items() if value}
        return self.path + (f"?{urlencode(values)}" if values else "")


def page_parameter(visit: Visit) -> int:
    """Returns the number of a page from the address. One that is too long for a list comes back as
    ``_BEYOND``, so the last page is shown as for every page beyond it. Raises Malformed."""
    given = visit.query_value("page")
    if given.isascii() and given.isdecimal() and len(given.lstrip("0")) > _DIGITS:
        return _BEYOND
    return count_parameter(visit, "page", 1)


def count_parameter(visit: Visit, name: str, default: int) -> int:
    """Returns a count from the address, at least ``default``. Raises Malformed."""
    given = visit.query_value(name)
    if not given:
        return default
    is_number = given.isdecimal() and given.isascii() and len(given) <= _DIGITS
    if not is_number or int(given) < default:
        raise Malformed(
            f"{name} is {quote_value(given)}; expected a whole number from {default} on"
        )
    return int(given)


def time_parameter(visit: Visit, name: str) -> datetime | None:
    """Returns a time from the address, None if it names none. Raises Malformed."""
    given = visit.query_value(name).strip()
    if not given:
        return None
    return read_time(name, given)
