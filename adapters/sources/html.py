"""HTML as a record: the text that a reader sees, one line for each block, and the page's title.

Scripts, styles and navigation are left out; everything else stays, be it wanted or not: which part of a page is its
matter nobody can tell in general. A page with ``<main>`` says so itself.
"""

import re
from html.parser import HTMLParser
from typing import Any

from core.quoting import error_text

_UNSEEN = {"head", "iframe", "nav", "noscript", "script", "style", "svg", "template"}
_INLINE = {
    *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "dfn", "em", "font", "i", "img", "ins", "kbd", "label"),
    *("mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
}


def read(content: str) -> dict[str, Any]:
    """``text``, and ``title`` where there is one. Raises ValueError for what Python's parser gives up on."""
    page = _Page()
    try:
        page.feed(content)
        page.close()
    except AssertionError as error:  # how it answers a malformed <![…
        raise ValueError(f"not HTML: {error_text(error)}") from None
    title = _line("".join(page.title)) or _line("".join(page.heading))
    return {**({"title": title} if title else {}), "text": _text(page.main) or _text(page.body)}


class _Page(HTMLParser):
    """``main`` and ``body`` are pieces of text and line ends, those of ``<main>`` and of the whole page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.main: list[str] = []
        self.body: list[str] = []
        self.title: list[str] = []
        self.heading: list[str] = []
        self._open: dict[str, int] = {}
        self._headed = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body":  # it ends a <head> that was not closed
            self._open.pop("head", None)
        self._open[tag] = self._open.get(tag, 0) + 1
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        self._open[tag] = max(0, self._open.get(tag, 0) - 1)
        self._headed = self._headed or tag == "h1"
        self._break(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._is_open("title") and not self._is_open("svg"):
            self.title.append(data)
        elif not any(map(self._is_open, _UNSEEN)):
            self._add(data if self._is_open("pre") else re.sub(r"\s+", " ", data))
            if self._is_open("h1") and not self._headed:
                self.heading.append(data)

    def _is_open(self, tag: str) -> bool:
        return self._open.get(tag, 0) > 0

    def _break(self, tag: str) -> None:
        if tag not in _INLINE:
            self._add("\n")

    def _add(self, text: str) -> None:
        self.body.append(text)
        if self._is_open("main"):
            self.main.append(text)


def _line(text: str) -> str:
    return " ".join(text.split())


def _text(pieces: list[str]) -> str:
    """Without blank lines and without space at the ends of lines; the indents of ``<pre>`` go too."""
    return re.sub(r" ?\n\s*", "\n", re.sub(r"[^\S\n]+", " ", "".join(pieces))).strip()
