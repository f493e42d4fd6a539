"""A sitemap (sitemaps.org protocol 0.9) or a sitemap index, read while it arrives.

It is XML, or text with one address per line. White space and a byte order mark before the XML
declaration are ignored, and so is a document type that declares no entities.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from xml.parsers import expat

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.sanitize.quoting import shorten_text

#: Characters; the protocol allows 2,048.
_LONGEST_ADDRESS = 8192
_DEEPEST_NESTING = 16
#: Feeds list only the newest pages, so all older ones would look deleted.
_FEEDS = {"rss", "feed", "RDF"}
#: What is skipped before the first letter, however often it occurs.
_LEADING_SPACE = re.compile(rb"\A(?:[ \t\r\n]|\xef\xbb\xbf)+")
_PATHS: dict[tuple[str, ...], str] = {
    ("urlset", "url", "loc"): "pages",
    ("sitemapindex", "sitemap", "loc"): "sitemaps",
}


@dataclass(slots=True)
class Listing:
    """Addresses as written, without surrounding space."""

    pages: list[str] = field(default_factory=list)
    sitemaps: list[str] = field(default_factory=list)


def read_sitemap(name: str, pieces: Iterable[bytes], most: int) -> Listing:
    """Raises Refused for a file that is not a sitemap, and for more than ``most`` addresses."""
    reader = _SitemapReader(name, most)
    begun = _strip_beginning(pieces)
    first = next(begun, b"")
    if not first or first.startswith((b"<", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        _read_xml(reader, name, chain([first], begun))
    else:
        _read_lines(reader, name, chain([first], begun))
    return reader.found


def _strip_beginning(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Removes byte order marks and white space at the beginning, in any order."""
    held = b""
    found = False
    for piece in pieces:
        held += piece
        if not found:
            held = _LEADING_SPACE.sub(b"", held)
            found = len(held) >= len(codecs.BOM_UTF8)
        if found:
            yield held
            held = b""
    if held:
        yield held


def _read_xml(reader: "_SitemapReader", name: str, pieces: Iterable[bytes]) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.opened
    parser.EndElementHandler = reader.closed
    parser.CharacterDataHandler = reader.said
    parser.EntityDeclHandler = reader.refuse_entities
    parser.SkippedEntityHandler = reader.refuse_entities
    try:
        for piece in pieces:
            parser.Parse(piece)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise Refused(f"{name} is not a sitemap: {error}") from error
    # expat supports no multi-byte encodings except Unicode's
    except (ValueError, LookupError) as error:
        raise Refused(
            f"{name} is written in characters that are not read here ({error}); write it in UTF-8"
        ) from error


def _read_lines(reader: "_SitemapReader", name: str, pieces: Iterable[bytes]) -> None:
    try:
        for number, line in enumerate(_split_lines(pieces), 1):
            reader.line(number, line.strip())
    except UnicodeDecodeError as error:
        raise Refused(f"{name} is not a sitemap: neither XML nor UTF-8: {error.reason}") from error


def _split_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Does not wait for the end of a line that is longer than any address."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + decoder.decode(piece).replace("\r", "\n")).split("\n")
        yield from lines
        if len(rest) > _LONGEST_ADDRESS:
            yield rest
    yield rest + decoder.decode(b"", final=True)


class _SitemapReader:
    def __init__(self, name: str, most: int) -> None:
        self.found = Listing()
        self._name = name
        self._most = most
        self._path: list[str] = []
        self._text = ""

    def refuse_entities(self, *_: Any) -> None:
        """Entities could turn a few bytes into gigabytes, or name a file. An entity that is
        skipped, because an external document type may declare it, would leave a hole in an address.
        """
        raise Refused(
            f"{self._name} has a document type with entities, which no sitemap needs; it is not "
            "read: "
            "write & as &amp; and every other letter as itself"
        )

    def line(self, number: int, text: str) -> None:
        self.check_length(text)
        if text and not text.lower().startswith(("http://", "https://")):
            raise Refused(
                f"{self._name} is not a sitemap: it is not XML, and its line {number} is not an "
                "address; "
                "expected <urlset>, <sitemapindex>, or http(s)://HOST/PATH in each line"
            )
        if text:
            self._add_address("pages", text)

    def check_length(self, text: str) -> None:
        if len(text) > _LONGEST_ADDRESS:
            raise Refused(
                f"{self._name} has an address of more than {_LONGEST_ADDRESS:,} characters"
            )

    def opened(self, name: str, _: Any) -> None:
        self._path.append(name.rpartition(" ")[2])
        self._text = ""
        if len(self._path) > _DEEPEST_NESTING:
            raise Refused(
                f"{self._name} is not a sitemap: it is nested deeper than {_DEEPEST_NESTING} "
                "elements"
            )
        if self._path[0] in _FEEDS:
            raise Refused(
                f"{self._name} is a feed (<{self._path[0]}>), which lists the newest pages alone; "
                "name "
                "the sitemap, whose address often stands in robots.txt"
            )
        if self._path[0] not in {"urlset", "sitemapindex"}:
            raise Refused(
                f"{self._name} is not a sitemap: it begins with <{shorten_text(self._path[0])}>"
            )

    def said(self, text: str) -> None:
        if tuple(self._path) in _PATHS:
            self._text += text
            self.check_length(self._text)

    def closed(self, _: str) -> None:
        kind = _PATHS.get(tuple(self._path))
        self._path.pop()
        if kind is not None:
            self._add_address(kind, self._text.strip())

    def _add_address(self, kind: str, address: str) -> None:
        listed: list[str] = getattr(self.found, kind)
        listed.append(address)
        if len(listed) > self._most:
            raise Refused(
                f"{self._name} lists more than {self._most:,} {kind}; name one of its sitemaps, or "
                "raise "
                "crawl.max_pages in the index file"
            )
