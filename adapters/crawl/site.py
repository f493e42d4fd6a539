"""One site: the pages that it lists, what its robots.txt allows, and its pages.

Rule: a page is gone if the site says so (404, 410). A page that could not be fetched is not gone:
it is a fault of that page only while the rest of the site answers.
"""

import re
import time
from collections.abc import Callable
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from qdrant_rollouts.adapters.crawl import listing, robots
from qdrant_rollouts.adapters.crawl.addresses import Resolve, check_port, parse_address
from qdrant_rollouts.adapters.crawl.fetching import (
    AGENT,
    Answer,
    BadPage,
    Fetcher,
    FetchFailed,
    SiteRateLimiter,
)
from qdrant_rollouts.adapters.crawl.robots import Robots
from qdrant_rollouts.adapters.sources import html, markdown
from qdrant_rollouts.adapters.sources.documents import Read, read_document, read_plain
from qdrant_rollouts.core.config.crawl_spec import LONGEST_DELAY, CrawlSpec
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.sanitize.quoting import LONGEST_PLACE, shorten_text

#: Seconds. For a page with its redirects and retries, and for all sitemaps together: each is part
#: of one turn.
PAGE_SECONDS = 25.0
LIST_SECONDS = 40.0
#: How many requests at the site's pace a page has time for.
_REQUESTS = 3.5
_PAGE_BYTES = 5 * 2**20
_ROBOTS_BYTES = 2**19
#: The protocol's own limit for a sitemap, unpacked.
_SITEMAP_BYTES = 50 * 2**20
_MOST_REDIRECTS = 5
#: Between tries of a failed request, this many times the site's pace is waited.
_RETRY_WAITS = (1, 2)

READERS: dict[str, Read] = {
    "text/html": html.read_html,
    "application/xhtml+xml": html.read_xhtml,
    "text/markdown": markdown.read_markdown,
    "text/plain": read_plain,
}
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([\w-]+)", re.IGNORECASE)

Found = TypeVar("Found")


class PageGone(Exception):
    """The site says that there is no such page."""


class Site:
    """``home`` is the address of its sitemap. ``resolve`` looks names up, like
    ``socket.getaddrinfo``. ``known`` is its robots.txt, if it was read already."""

    def __init__(
        self, home: httpx.URL, spec: CrawlSpec, resolve: Resolve, known: Robots | None = None
    ) -> None:
        self._home = home
        self._spec = spec
        self._known = known
        self._fetcher = Fetcher(spec.allow, resolve)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._fetcher.__exit__(kind, error, trace)

    def pages(self) -> list[str]:
        """Returns the addresses of all pages, each once, in order. Raises Refused for a file that
        is not a sitemap or may not be read, Unavailable if one cannot be fetched: none is left out.
        """
        until = time.monotonic() + LIST_SECONDS
        top = self._fetch_listing(self._home, until)
        found = set(top.pages)
        for address in sorted(set(top.sitemaps)):
            self._check_time(until)
            found.update(self._fetch_listing(parse_address(address), until).pages)
            self._check_count(len(found))
        return sorted(found)

    def page(self, address: str) -> tuple[str, dict[str, Any]]:
        """Returns the final address of the page, and its fields. Raises BadPage if it cannot be
        read, PageGone, FetchFailed for a page that could not be fetched although the site answers,
        Unavailable if the site does not answer."""
        try:
            return self._fetch_patiently(address)
        except FetchFailed as failed:
            self._check_site_answers()
            raise FetchFailed(f"{failed}, {len(_RETRY_WAITS) + 1} times") from failed

    def _fetch_patiently(self, address: str) -> tuple[str, dict[str, Any]]:
        until = time.monotonic() + max(PAGE_SECONDS, _REQUESTS * self._delay)
        url = _parse_page_address(address)
        for wait in _RETRY_WAITS:
            try:
                return self._follow_redirects(url, _PAGE_BYTES, until, _read_page)
            except FetchFailed as failed:
                pause = max(wait * self._delay, failed.after)
                if time.monotonic() + pause > until:
                    raise
            SiteRateLimiter.pause(pause)
        return self._follow_redirects(url, _PAGE_BYTES, until, _read_page)

    def _check_site_answers(self) -> None:
        """Requesting robots.txt is the cheapest request."""
        try:
            self._fetch_robots()
        except FetchFailed as failed:
            raise Unavailable(f"{self._home.host} does not answer: robots.txt {failed}") from failed

    def _fetch_listing(self, url: httpx.URL, until: float) -> listing.Listing:
        name = str(url)

        def read(answer: Answer) -> listing.Listing:
            if answer.status != 200:
                raise Refused(f"{name} answered {answer.status}; expected a sitemap")
            return listing.read_sitemap(name, answer.content, self._spec.max_pages)

        try:
            found = self._follow_redirects(url, _SITEMAP_BYTES, until, read)
        except BadPage as bad:
            raise Refused(f"{name} {bad}") from bad
        except FetchFailed as failed:
            raise Unavailable(f"{name} {failed}") from failed
        if found.sitemaps and url != self._home:
            raise Refused(f"{name} is an index of sitemaps within another; name one of them")
        return found

    def _check_time(self, until: float) -> None:
        if time.monotonic() > until:
            raise Refused(
                f"the sitemaps of {self._home} take longer than {LIST_SECONDS:g} s, "
                f"{self._delay:g} s from one to the "
                "next; name one of them"
            )

    def _check_count(self, count: int) -> None:
        if count > self._spec.max_pages:
            raise Refused(
                f"{self._home} lists more than {self._spec.max_pages:,} pages; name one of its "
                "sitemaps, or raise "
                "crawl.max_pages in the index file"
            )

    def _follow_redirects(
        self, url: httpx.URL, most: int, until: float, read: Callable[[Answer], Found]
    ) -> Found:
        """Every hop is checked like the first address."""
        seen: list[httpx.URL] = []
        while len(seen) <= _MOST_REDIRECTS:
            self._check_allowed(url)
            if url in seen:
                raise BadPage(
                    f"redirects in a circle, by way of {shorten_text(str(url), LONGEST_PLACE)}"
                )
            seen.append(url)
            SiteRateLimiter.wait(self._home.host, self._delay)
            with self._fetcher.open_answer(url, most, until) as answer:
                if answer.moved_to is None:
                    return read(answer)
                url = _redirect_target(url, answer.moved_to)
        raise BadPage(f"redirects more than {_MOST_REDIRECTS} times")

    def _check_allowed(self, url: httpx.URL) -> None:
        self._check_on_site(url)
        if not self.robots.allows(url.raw_path.decode("ascii")):
            raise BadPage(
                f"is not for {AGENT}: robots.txt of {url.host} disallows "
                f"{shorten_text(url.path, LONGEST_PLACE)}"
            )

    @property
    def _delay(self) -> float:
        return max(self._spec.delay_seconds, self.robots.delay)

    @cached_property
    def robots(self) -> Robots:
        """Raises Refused for a pace that is too slow, Unavailable if robots.txt cannot be
        fetched."""
        if self._known is not None:
            return self._known
        check_port(self._home, self._spec.allow)
        try:
            found = self._fetch_robots()
        except FetchFailed as failed:
            raise Unavailable(
                f"robots.txt of {self._home.host} {failed}; without it nothing is read"
            ) from failed
        if found.delay > LONGEST_DELAY:
            raise Refused(
                f"robots.txt of {self._home.host} asks for {found.delay:g} s between two pages; "
                "more than "
                f"{LONGEST_DELAY:g} are not waited for: have the site write a group there, "
                f"'User-agent: {AGENT}' with 'Crawl-delay: {LONGEST_DELAY:g}', or take another "
                "source"
            )
        return found

    def _fetch_robots(self) -> Robots:
        """A missing robots.txt (4xx) allows everything; one that cannot be fetched allows nothing
        (RFC 9309, 2.3.1)."""
        url = self._home.copy_with(raw_path=b"/robots.txt")
        until = time.monotonic() + PAGE_SECONDS
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                SiteRateLimiter.wait(self._home.host, self._spec.delay_seconds)
                with self._fetcher.open_answer(url, _ROBOTS_BYTES, until) as answer:
                    if answer.moved_to is None:
                        return _robots_from_answer(answer)
                    url = self._check_on_site(_redirect_target(url, answer.moved_to))
        except BadPage as bad:
            raise Refused(
                f"robots.txt of {self._home.host} {bad}; without it nothing is read"
            ) from bad
        raise Refused(
            f"robots.txt of {self._home.host} redirects more than {_MOST_REDIRECTS} times; without "
            "it nothing is read"
        )

    def _check_on_site(self, url: httpx.URL) -> httpx.URL:
        """Returns the address, if it is on this site and on an allowed port. Raises BadPage."""
        if url.host != self._home.host:
            raise BadPage(f"leads to {url.host}, another site than {self._home.host}")
        try:
            check_port(url, self._spec.allow)
        except Refused as refused:
            raise BadPage(str(refused)) from refused
        return url


def _parse_page_address(text: str) -> httpx.URL:
    try:
        return parse_address(text)
    except Refused as refused:
        raise BadPage(str(refused)) from refused


def _redirect_target(url: httpx.URL, location: str) -> httpx.URL:
    try:
        return parse_address(str(url.join(location)))
    except Refused as refused:
        raise BadPage(f"redirects to an invalid address: {refused}") from refused
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise BadPage("redirects to something that is not an address") from None


def _robots_from_answer(answer: Answer) -> Robots:
    if answer.status != 200:
        return Robots()
    return robots.parse_robots(b"".join(answer.content).decode(errors="replace"), AGENT)


def _read_page(answer: Answer) -> tuple[str, dict[str, Any]]:
    if answer.status in {404, 410}:
        raise PageGone
    if answer.status != 200:
        raise BadPage(f"answered {answer.status}")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in READERS:
        raise BadPage(
            f"is {shorten_text(kind) or 'of no declared type'}; expected one of "
            f"{', '.join(READERS)}"
        )
    said = _CHARSET.search(answer.headers.get("content-type", ""))
    content = b"".join(answer.content)
    try:
        return str(answer.url), read_document(READERS[kind], content, said[1] if said else "")
    except ValueError as error:
        raise BadPage(str(error)) from error
