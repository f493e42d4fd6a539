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
#: The smallest part that is worth a reader of its own.
_LEAST_PAGES = 100
_CREDENTIALS = re.compile(r"//[^/\s]*@")


class SitemapSource:
    """Cursor: ``after`` (the last address), ``n`` and ``done`` (pages so far), ``failed`` (how many
    of them could not be fetched).

    Rule: a site that has a pace is read in one part. One reader already makes as many requests as
    the pace allows. Several would share it, and each of them would spend a part of it on fetching
    robots.txt and the sitemap in every turn.
    """

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
    def least_part(self) -> int:
        return 0 if self._crawl().delay_seconds else _LEAST_PAGES

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

    def split(self, parts: int) -> Sequence[Cursor]:
        if self._crawl().delay_seconds or self._listed[0].delay:
            return []
        parts = min(parts, len(self._pages) // _LEAST_PAGES)
        numbers = sorted({len(self._pages) * part // parts for part in range(1, parts)} - {0})
        return [
            {"after": self._pages[number - 1], "n": 0, "done": 0, "failed": 0} for number in numbers
        ]

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        return self.read_part(cursor, None, None)

    def read_part(
        self, cursor: Cursor | None, start: Cursor | None, stop: Cursor | None
    ) -> Iterator[Row]:
        """Raises Unavailable if the site does not answer, Refused if too many pages of the part
        cannot be fetched."""
        pages = self._list_part(start, stop)
        at = cursor or {"after": "", "n": 0, "failed": 0}
        begin = bisect_right(pages, at["after"])
        number = at["n"]
        failed = at["failed"]
        with Site(self._home, self._crawl(), self._resolve, self._listed[0]) as site:
            for address in pages[begin:]:
                fields, problem, came = self._fetch_fields(site, address)
                number = number + 1
                failed = failed + (not came)
                where = _mask_credentials(address)
                position = {"after": address, "n": number, "done": number, "failed": failed}
                self._check_failed(failed, len(pages), where, problem)
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

    def _list_part(self, start: Cursor | None, stop: Cursor | None) -> list[str]:
        found = self._pages
        if stop is not None:
            found = found[: bisect_right(found, stop["after"])]
        if start is not None:
            found = found[bisect_right(found, start["after"]) :]
        return found

    def _check_failed(self, failed: int, pages: int, where: str, problem: str) -> None:
        if failed * _ONE_IN > pages:
            raise Refused(
                f"{failed:,} of the {pages:,} pages of {self._home} did not come, at "
                f"most one in {_ONE_IN} "
                f"may be left out; the last: {where}: {problem}. Deploy again when they do"
            )


def _mask_credentials(address: str) -> str:
    """Others write the sitemap, so a password in it is not shown."""
    return shorten_text(_CREDENTIALS.sub("//***@", address), LONGEST_PLACE)
