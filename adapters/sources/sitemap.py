"""``sitemap:URL``: the pages that a sitemap lists, fetched again each time, by ascending address.

A site may change while it is read: pages that it lists behind the reader are not seen, and a
fingerprint would need reading all of it. Two pages that redirect to one are one record, if that one
is listed too.
"""

import re
import socket
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from qdrant_rollouts.adapters.crawl.addresses import Resolve, parse_address
from qdrant_rollouts.adapters.crawl.fetching import BadPage, FetchFailed
from qdrant_rollouts.adapters.crawl.robots import Robots
from qdrant_rollouts.adapters.crawl.site import PageGone, Site
from qdrant_rollouts.core.config.crawl_spec import CrawlSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Cursor, Row, SizeUnit
from qdrant_rollouts.core.sanitize.quoting import LONGEST_PLACE, shorten_text

#: One page in this many may fail to load. More would be unnoticed holes, however many bad records
#: are allowed.
_ONE_IN = 20
_CREDENTIALS = re.compile(r"//[^/\s]*@")


class SitemapSource:
    """Cursor: ``after`` (the last address), ``n`` and ``done`` (pages so far), ``failed`` (how many
    of them could not be fetched)."""

    collection: str | None = None
    left_out: Sequence[str] = ()
    #: Pages that are gone, or that redirect to others, are no records.
    size_unit: SizeUnit = "shares"

    def __init__(
        self, url: str, crawl: Callable[[], CrawlSpec], resolve: Resolve = socket.getaddrinfo
    ) -> None:
        self._home = parse_address(url)
        self._crawl = crawl
        self._resolve = resolve

    @property
    def address(self) -> str:
        return f"sitemap:{self._home}"

    def check(self) -> None:
        if not self._pages:
            raise Refused(f"{self._home} lists no page")

    def fingerprint(self) -> None:
        return None

    def size(self) -> int:
        return len(self._pages)

    @property
    def _pages(self) -> list[str]:
        return self._listed[1]

    @cached_property
    def _listed(self) -> tuple[Robots, list[str]]:
        with Site(self._home, self._crawl(), self._resolve) as site:
            return site.robots, site.pages()

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        """Raises Unavailable if the site does not answer, Refused if too many pages cannot be
        fetched."""
        at = cursor or {"after": None, "n": 0, "failed": 0}
        begin = 0
        if cursor:
            begin = bisect_right(self._pages, at["after"])
        number = at["n"]
        failed = at["failed"]
        with Site(self._home, self._crawl(), self._resolve, self._listed[0]) as site:
            for address in self._pages[begin:]:
                fields, problem, came = self._fetch_fields(site, address)
                number = number + 1
                failed = failed + (not came)
                where = _mask_credentials(address)
                position = {"after": address, "n": number, "done": number, "failed": failed}
                self._check_failed(failed, where, problem)
                yield Row(where, fields, position, problem)

    def _fetch_fields(self, site: Site, address: str) -> tuple[dict[str, Any] | None, str, bool]:
        """Returns fields or the problem, neither for a page that is gone; and whether the page was
        fetched."""
        try:
            found, fields = site.page(address)
        except PageGone:
            return None, "", True
        except FetchFailed as failed:
            return None, str(failed), False
        except BadPage as bad:
            return None, str(bad), True
        if found != address and self._is_listed(found):
            return None, "", True
        return {"title": found, **fields, "id": address, "url": found}, "", True

    def _is_listed(self, address: str) -> bool:
        at = bisect_right(self._pages, address)
        return at > 0 and self._pages[at - 1] == address

    def _check_failed(self, failed: int, where: str, problem: str) -> None:
        if failed * _ONE_IN > len(self._pages):
            raise Refused(
                f"{failed:,} of the {len(self._pages):,} pages of {self._home} did not come, at "
                f"most one in {_ONE_IN} "
                f"may be left out; the last: {where}: {problem}. Deploy again when they do"
            )


def _mask_credentials(address: str) -> str:
    """Others write the sitemap, so a password in it is not shown."""
    return shorten_text(_CREDENTIALS.sub("//***@", address), LONGEST_PLACE)
