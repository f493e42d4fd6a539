"""A sitemap (sitemaps.org protocol 0.9) or an index of them, read while it arrives."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from core.errors import Refused
from core.quoting import cut

#: Characters; the protocol allows 2,048.
_LONGEST = 8192
_DEEPEST = 16
_PATHS: dict[tuple[str, ...], str] = {("urlset", "url", "loc"): "pages", ("sitemapindex", "sitemap", "loc"): "sitemaps"}


@dataclass(slots=True)
class Listing:
    """Addresses as they are written, space around them left out."""

    pages: list[str] = field(default_factory=list)
    sitemaps: list[str] = field(default_factory=list)


def read(name: str, pieces: Iterable[bytes], most: int) -> Listing:
    """Raises Refused for what is no sitemap, and for more than ``most`` addresses."""
    reader = _Reader(name, most)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.opened
    parser.EndElementHandler = reader.closed
    parser.CharacterDataHandler = reader.said
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        for piece in pieces:
            parser.Parse(piece)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise Refused(f"{name} is no sitemap: {error}") from error
    return reader.found


class _Reader:
    def __init__(self, name: str, most: int) -> None:
        self.found = Listing()
        self._name, self._most = name, most
        self._path: list[str] = []
        self._text = ""

    def doctype(self, *_: Any) -> None:
        """Entities could make a few bytes gigabytes, or name a file."""
        raise Refused(f"{self._name} has a document type, which no sitemap needs; it is not read")

    def opened(self, name: str, _: Any) -> None:
        self._path.append(name.rpartition(" ")[2])
        self._text = ""
        if len(self._path) > _DEEPEST:
            raise Refused(f"{self._name} is no sitemap: it is nested deeper than {_DEEPEST} elements")
        if self._path[0] not in {"urlset", "sitemapindex"}:
            raise Refused(f"{self._name} is no sitemap: it begins with <{cut(self._path[0])}>")

    def said(self, text: str) -> None:
        if tuple(self._path) in _PATHS:
            self._text += text
            if len(self._text) > _LONGEST:
                raise Refused(f"{self._name} has an address of more than {_LONGEST:,} characters")

    def closed(self, _: str) -> None:
        kind = _PATHS.get(tuple(self._path))
        self._path.pop()
        if kind is None:
            return
        listed: list[str] = getattr(self.found, kind)
        listed.append(self._text.strip())
        if len(listed) > self._most:
            raise Refused(
                f"{self._name} lists more than {self._most:,} {kind}; name one of its sitemaps, or raise "
                "crawl.max_pages in the index file"
            )
