"""HTML as a record: the text that a reader sees, one line for each block, and the page's title.

Rule: a page is what the HTML standard's tree construction makes of it, so tags that the standard
makes optional (``<head>``, ``<body>``, ``</p>``) are present. Scripts, styles and navigation are
left out. Everything else stays, because nobody can tell in general which part of a page is its
content. A page with ``<main>`` says so itself.
"""

import re
from collections import Counter
from pathlib import Path
from resource import getpagesize
from typing import Any

from turbohtml import Document, Element, IncrementalParser, Node, Text

_UNSEEN_ELEMENTS = {"iframe", "nav", "noembed", "noframes", "script", "style", "svg", "template"}
_INLINE_ELEMENTS = {
    *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "dfn", "em", "font", "i", "img"),
    *("ins", "kbd", "label", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup"),
    *("time", "tt", "u", "var", "wbr"),
}
_VOID_ELEMENTS = "area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr"
#: A self-closing tag of XHTML, which HTML reads as an open tag.
_SELF_CLOSED = re.compile(
    rf"<(?!(?:{_VOID_ELEMENTS})[\s/])([a-z][a-z0-9]*)"
    r"""((?:\s+[^\s"'<>/=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'))?)*)\s*/>""",
    re.IGNORECASE,
)
_NOSCRIPT = re.compile(r"(</?)noscript(?=[\s/>])", re.IGNORECASE)
#: Characters that are parsed at a time.
_PIECE_LENGTH = 1 << 13
#: Bytes of memory that parsing a page may use.
_MOST_MEMORY = 1 << 30


def read_html(content: str) -> dict[str, Any]:
    """``text``, and ``title`` if there is one. Raises ValueError for a page that fills memory."""
    page = _Page()
    html = content
    if content.lstrip().startswith("<?xml"):
        html = _as_html(content)
    page.walk(_parse_html(html))
    title = next(filter(None, map(_join_line, (*page.titles, *page.headings))), "")
    return {
        **({"title": title} if title else {}),
        "text": _tidy_text(page.main) or _tidy_text(page.body),
    }


def read_xhtml(content: str) -> dict[str, Any]:
    return read_html(_as_html(content))


def _as_html(content: str) -> str:
    """Rewrites XHTML as HTML; in HTML ``<script/>`` makes the rest of the page a script."""
    return _SELF_CLOSED.sub(r"<\1\2></\1>", content)


def _parse_html(content: str) -> Document:
    """By the standard's rules, elements that are left open, such as ``<b>``, are opened again in
    each block, so a few bytes can become gigabytes; the parser has no limit for that.

    The parser reads the content of ``<noscript>`` as markup, like a browser without scripts, and
    outside ``<head>`` as a part of the page; ``<iframe>`` contains text that no reader sees.
    """
    html = _NOSCRIPT.sub(r"\1iframe", content)
    parser = IncrementalParser(positions=False)
    before = _memory_in_use()
    for start in range(0, len(html), _PIECE_LENGTH):
        parser.feed(html[start : start + _PIECE_LENGTH])
        if _memory_in_use() - before > _MOST_MEMORY:
            raise ValueError(f"takes more than {_MOST_MEMORY:,} bytes of memory to read")
    return parser.close()


def _memory_in_use() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * getpagesize()


class _Page:
    """``main`` and ``body``: pieces of text and line ends, of ``<main>`` and of the whole page."""

    def __init__(self) -> None:
        self.main: list[str] = []
        self.body: list[str] = []
        self.titles: list[str] = []
        self.headings: list[str] = []
        self._open: Counter[str] = Counter()

    def walk(self, document: Document) -> None:
        """Visits every node in order, without recursion; an element's tag is on the stack for its
        end."""
        pile: list[Node | str] = [document]
        while pile:
            node = pile.pop()
            if isinstance(node, str):
                self._close_element(node)
            elif isinstance(node, Text):
                self._add_text_node(node.data)
            elif not isinstance(node, Element):
                pile.extend(reversed(node.children))
            elif node.tag not in _UNSEEN_ELEMENTS:
                self._open_element(node)
                pile.append(node.tag)
                pile.extend(reversed(node.children))

    def _open_element(self, element: Element) -> None:
        if element.tag == "title":
            self.titles.append("")
        if element.tag == "h1":
            self.headings.append("")
        self._open[element.tag] += 1
        self._break_line(element.tag)

    def _close_element(self, tag: str) -> None:
        self._open[tag] -= 1
        self._break_line(tag)

    def _add_text_node(self, text: str) -> None:
        if self._open["title"]:
            self.titles[-1] += text
        else:
            self._add_text(text if self._open["pre"] else re.sub(r"\s+", " ", text))

    def _break_line(self, tag: str) -> None:
        if tag not in _INLINE_ELEMENTS:
            self._add_text("\n")

    def _add_text(self, text: str) -> None:
        self.body.append(text)
        if self._open["main"]:
            self.main.append(text)
        if self._open["h1"]:
            self.headings[-1] += text


def _join_line(text: str) -> str:
    return " ".join(text.split())


def _tidy_text(pieces: list[str]) -> str:
    """Removes blank lines and space at the ends of lines; the indents of ``<pre>`` are removed
    too."""
    return re.sub(r" ?\n\s*", "\n", re.sub(r"[^\S\n]+", " ", "".join(pieces))).strip()
