"""One request to a site: to a checked address, at the site's pace, bounded in bytes and in seconds."""

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
    """This page cannot be read, whenever it is asked for."""


class FetchFailed(Exception):
    """This page did not come; it may another time. ``after``: seconds that the site asks to wait."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


@dataclass(frozen=True, slots=True)
class Answer:
    """``content`` raises BadPage for more than was asked for, FetchFailed when it does not come in time."""

    url: httpx.URL
    status: int
    headers: httpx.Headers
    content: Iterator[bytes]

    @property
    def moved_to(self) -> str | None:
        return self.headers.get("location") if self.status in {301, 302, 303, 307, 308} else None


class SiteRateLimiter:
    """Requests to one site are so many seconds apart, of whichever thread and source of this process they are."""

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
    """``allowed`` are the sites the index file names. Proxies of the environment are passed by: the connection is made
    to the address that was checked. Follows no redirect."""

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
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @contextmanager
    def open_answer(self, url: httpx.URL, most: int, until: float) -> Iterator[Answer]:
        """At most ``most`` bytes, unpacked, by the monotonic time ``until``. Raises FetchFailed for silence, for server
        faults and for a site that is asked too much; Refused for an address that is not allowed."""
        check_port(url, self._allowed)
        try:
            with self._client.stream("GET", url) as answer:
                if answer.is_server_error or answer.status_code in _RETRY_STATUSES:
                    raise FetchFailed(f"answered {answer.status_code}", _retry_after_seconds(answer))
                content = _unpack_pieces(_unpack_pieces(_enforce_deadline(_raw_pieces(answer), until), most), most)
                yield Answer(url, answer.status_code, answer.headers, content)
        except httpx.HTTPError as error:
            raise FetchFailed(f"did not answer: {type(error).__name__}") from error


class _PinnedTransport(httpx.BaseTransport):
    """Looks a name up once for each request and connects to what was found; the name stays in ``Host`` and in TLS."""

    def __init__(self, allowed: Collection[str], resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._inner = httpx.HTTPTransport(verify=_load_authorities())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        address = resolve_address(request.url, self._allowed, self._resolve)
        request.extensions = {**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")}
        request.url = request.url.copy_with(host=address)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


@cache
def _load_authorities() -> ssl.SSLContext:
    """Reading them takes as long as some pages."""
    return httpx.create_ssl_context(trust_env=False)


def _raw_pieces(answer: httpx.Response) -> Iterator[bytes]:
    coding = answer.headers.get("content-encoding", "identity").lower()
    if coding not in {"identity", "gzip", "x-gzip"}:
        raise BadPage(f"is packed as {shorten_text(coding)}, and gzip was asked for")
    return answer.iter_raw(_PIECE_BYTES)


def _enforce_deadline(pieces: Iterable[bytes], until: float) -> Iterator[bytes]:
    for piece in pieces:
        if time.monotonic() > until:
            raise FetchFailed("takes too long")
        yield piece


def _unpack_pieces(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    """What is gzip, unpacked, be it a file or the way it was sent; everything else as it is."""
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
    """In pieces of a bounded size, however much a few bytes may become."""
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
    """Seconds of ``Retry-After``; a date is taken for no wish."""
    said = answer.headers.get("retry-after", "").strip()
    return float(said) if said.isascii() and said.isdigit() else 0.0
