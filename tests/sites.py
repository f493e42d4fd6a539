"""A site on loopback: pages by path, which can be told to fail, to redirect and to hang."""

import gzip
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from qdrant_rollouts.core.config.crawl_spec import CrawlSpec


@dataclass(frozen=True)
class Page:
    content: bytes | str = b""
    status: int = 200
    type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    #: How often it answers 503 before it answers normally.
    busy: int = 0

    @property
    def body(self) -> bytes:
        return self.content.encode() if isinstance(self.content, str) else self.content


class Website:
    """``pages`` by path with query; ``asked`` counts requests by path; ``agents`` and ``hosts`` are
    the headers of requests."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.hosts: set[str] = set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self.server.server_port
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.crawl = CrawlSpec(allow=(self.host,), delay_seconds=0)

    def sitemap(self, *paths: str, name: str = "/sitemap.xml") -> str:
        """Lists these pages; returns the source that reads them."""
        self.pages[name] = Page(
            urlset([self.url + path if path.startswith("/") else path for path in paths])
        )
        return f"sitemap:{self.url}{name}"

    def redirect(self, path: str, to: str, status: int = 302) -> None:
        self.pages[path] = Page(status=status, headers={"location": to})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, *_: object) -> None:
                """Prints nothing."""

        return Handler

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked[request.path] += 1
        self.agents.add(request.headers["user-agent"])
        self.hosts.add(request.headers["host"])
        page = self.pages.get(request.path, Page("not here", 404))
        busy = self.asked[request.path] <= page.busy
        request.send_response(503 if busy else page.status)
        for name, value in {
            "content-type": page.type,
            "content-length": str(len(page.body)),
            **page.headers,
        }.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(page.body)


@contextmanager
def website() -> Iterator[Website]:
    site = Website()
    thread = threading.Thread(target=site.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.server.shutdown()
        site.server.server_close()
        thread.join()


def html(title: str, text: str) -> Page:
    return Page(
        f"<html><head><title>{title}</title></head><body><nav>Home</nav><main><p>{text}</p></main></body></html>"
    )


def urlset(urls: list[str], of: str = "urlset", each: str = "url") -> str:
    entries = "".join(
        f"<{each}><loc>\n {url.replace('&', '&amp;')} </loc></{each}>" for url in urls
    )
    return (
        f'<?xml version="1.0"?><{of} '
        f'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</{of}>'
    )


def packed(text: str) -> Page:
    return Page(gzip.compress(text.encode()), type="application/gzip")


def named(addresses: Mapping[str, list[str]]) -> Callable[..., list[tuple[object, ...]]]:
    """Looks names up, like ``socket.getaddrinfo``; each lookup of a name uses its next address,
    then the last one permanently. ``"a b"`` is a name with two."""
    left = {name: list(found) for name, found in addresses.items()}

    def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        found = left[host]
        now = found.pop(0) if len(found) > 1 else found[0]
        return [(2, 1, 6, "", (address, port)) for address in now.split()]

    return resolve
