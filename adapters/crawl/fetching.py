"""One request to a site: to a checked address, at the site's pace, with limits for bytes and
seconds."""

import ssl
import threading
import time
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from types import TracebackType
from typing import Self

import httpx

from qdrant_rollouts.adapters.crawl.addresses import Resolve, check_port, resolve_address
from qdrant_rollouts.core.sanitize.quoting import shorten_text

AGENT = "qdrant-rollouts"
_TIMEOUT = 10.0
_PIECE_BYTES = 1 << 16
_RETRY_STATUSES = (408, 425, 429)


class BadPage(Exception):
    """This page cannot be read, however often it is requested."""


class FetchFailed(Exception):
    """This page could not be fetched now; it may be possible later. ``after``: seconds that the
    site asks to wait."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


@dataclass(frozen=True, slots=True)
class Answer:
    """``content`` raises BadPage for more than the allowed bytes, FetchFailed if it does not arrive
    in time."""

    url: httpx.URL
    status: int
    headers: httpx.Headers
    content: Iterator[bytes]

    @property
    def moved_to(self) -> str | None:
        return self.headers.get("location") if self.status in {301, 302, 303, 307, 308} else None


class SiteRateLimiter:
    """Keeps the requests to one site a number of seconds apart, for all threads and sources of this
    process."""

    _free_at: dict[str, float] = {}  # noqa: RUF012 - shared on purpose
    _lock = threading.Lock()
    _never = threading.Event()

    @classmethod
    def wait(cls, site: str, seconds: float) -> None:
        with cls._lock:
            now = time.monotonic()
            at = max(now, cls._free_at.get(site, now))
            cls._free_at[site] = at + seconds
        cls._never.wait(at - now)

    @classmethod
    def pause(cls, seconds: float) -> None:
        cls._never.wait(seconds)


class Fetcher:
    """``allowed`` are the sites in the index file. Proxies of the environment are ignored, because
    the connection is made to the checked address. Follows no redirect."""

    def __init__(self, allowed: Collection[str], resolve: Resolve) -> None:
        self._allowed = allowed
        self._client = httpx.Client(
            transport=_PinnedTransport(allowed, resolve),
            headers={"user-agent": f"{AGENT}/{version(AGENT)}", "accept-encoding": "gzip"},
            timeout=_TIMEOUT,
            follow_redirects=False,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    @contextmanager
    def open_answer(self, url: httpx.URL, most: int, until: float) -> Iterator[Answer]:
        """At most ``most`` bytes, unpacked, until the monotonic time ``until``. Raises FetchFailed
        if there is no answer, for server faults and if the site gets too many requests; Refused for
        an address that is not allowed."""
        check_port(url, self._allowed)
        try:
            with self._client.stream("GET", url) as answer:
                if answer.is_server_error or answer.status_code in _RETRY_STATUSES:
                    raise FetchFailed(
                        f"answered {answer.status_code}", _retry_after_seconds(answer)
                    )
                content = _unpack_pieces(
                    _unpack_pieces(_enforce_deadline(_raw_pieces(answer), until), most), most
                )
                yield Answer(url, answer.status_code, answer.headers, content)
        except httpx.HTTPError as error:
            raise FetchFailed(f"did not answer: {type(error).__name__}") from error


class _PinnedTransport(httpx.BaseTransport):
    """Looks a name up once for each request and connects to the address found; ``Host`` and TLS
    keep the name."""

    def __init__(self, allowed: Collection[str], resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._inner = httpx.HTTPTransport(verify=_load_authorities())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        address = resolve_address(request.url, self._allowed, self._resolve)
        request.extensions = {
            **request.extensions,
            "sni_hostname": request.url.raw_host.decode("ascii"),
        }
        request.url = request.url.copy_with(host=address)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


@cache
def _load_authorities() -> ssl.SSLContext:
    """Cached, because reading them takes as long as fetching some pages."""
    return httpx.create_ssl_context(trust_env=False)


def _raw_pieces(answer: httpx.Response) -> Iterator[bytes]:
    coding = answer.headers.get("content-encoding", "identity").lower()
    if coding not in {"identity", "gzip", "x-gzip"}:
        raise BadPage(f"is packed as {shorten_text(coding)}, but gzip was requested")
    return answer.iter_raw(_PIECE_BYTES)


def _enforce_deadline(pieces: Iterable[bytes], until: float) -> Iterator[bytes]:
    for piece in pieces:
        if time.monotonic() > until:
            raise FetchFailed("takes too long")
        yield piece


def _unpack_pieces(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    """Unpacks gzip, as a file or as transfer encoding; leaves everything else unchanged."""
    first = next(pieces, b"")
    packed = first.startswith(b"\x1f\x8b")
    total = 0
    for piece in _inflate_pieces(first, pieces) if packed else _prepend_piece(first, pieces):
        total += len(piece)
        if total > most:
            raise BadPage(f"is longer than {most:,} bytes")
        yield piece


def _prepend_piece(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


def _inflate_pieces(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """In pieces of a bounded size, however much a few bytes may expand to."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for piece in _prepend_piece(first, pieces):
            rest = piece
            while rest and not unpacker.eof:
                yield unpacker.decompress(rest, _PIECE_BYTES)
                rest = unpacker.unconsumed_tail
    except zlib.error as error:
        raise BadPage(f"is damaged: {error}") from error
    if not unpacker.eof:
        raise BadPage("is damaged: its gzip ends too early")


def _retry_after_seconds(answer: httpx.Response) -> float:
    """Returns the seconds of ``Retry-After``; a date is ignored."""
    said = answer.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said)
    return 0.0
