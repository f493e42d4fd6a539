"""Converts the bytes of a document to fields: determines the character set, and checks that it
gives text."""

import codecs
import re
from collections.abc import Callable
from typing import Any

from qdrant_rollouts.adapters.sources import html, markdown

Read = Callable[[str], dict[str, Any]]

_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_DECLARED_CHARSET = re.compile(
    rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w-]{1,40})"
    rb"|^\s*<\?xml[^>]{0,100}encoding\s*=\s*[\"']([\w-]{1,40})",
    re.IGNORECASE,
)
#: Where a page declares its character set (WHATWG).
_HEAD_BYTES = 1024
#: Character sets of the web; Python has others that are only slow.
_CHARSETS = re.compile(
    r"utf-8|utf-16(-[bl]e)?|cp(125\d|866|874|932|949)|iso8859-\d+|koi8-[ru]|shift_jis|euc_(jp|kr)"
    r"|iso2022_jp|gb.+|big5|tis-620|ascii"
)
#: What a name means on the web (WHATWG, Encoding): mostly a superset of the named character set.
_MEANT_CHARSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}


def read_plain(text: str) -> dict[str, Any]:
    return {"text": text.strip()}


def read_html_file(content: str) -> dict[str, Any]:
    """A page in a folder may be input for a site generator; then it begins with front matter, like
    Markdown."""
    front, page = markdown.split_front_matter(content)
    if not front.get("title"):
        front.pop("title", None)
    found = html.read_html(page)
    return {**found, **front, "text": found["text"]}


#: Readers of pages, which may declare their own character set.
_HTML_READERS = (html.read_html, html.read_xhtml, read_html_file)


def read_document(read: Read, content: bytes, declared: str = "") -> dict[str, Any]:
    """Returns the result of ``read``. ``declared`` is the character set that the sender names;
    without one a page may name its own, and the default is UTF-8. Raises ValueError for bytes that
    do not fit the character set, and for a document that is not empty and gives no text."""
    if not declared and read in _HTML_READERS:
        declared = _find_charset(content)
    fields = read(_decode_content(content, declared or "utf-8"))
    if content.strip() and not fields["text"]:
        raise ValueError(
            f"holds {len(content):,} bytes and no text that a reader sees, only scripts, markup, "
            "navigation or front matter; take it out of the source, or give it text"
        )
    return fields


def _find_charset(content: bytes) -> str:
    found = _DECLARED_CHARSET.search(content[:_HEAD_BYTES])
    name = ""
    if found:
        name = (found[1] or found[2]).decode()
    # If these letters can be read byte by byte, the document is not UTF-16.
    if name.lower().startswith("utf-16"):
        return "utf-8"
    return name


def _decode_content(content: bytes, name: str) -> str:
    """The first bytes decide the encoding, else the declared name does."""
    for mark, codec in _BOMS.items():
        if content.startswith(mark) and content != mark:
            return _decode_characters(content[len(mark) :], codec, codec)
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        codec = ""
    if not _CHARSETS.fullmatch(codec):
        raise ValueError(f"is written in {name}, which is not known; write it in UTF-8")
    return _decode_characters(content, _MEANT_CHARSETS.get(codec, codec), name)


def _decode_characters(content: bytes, codec: str, name: str) -> str:
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        raise ValueError(f"is not {name}: {error.reason} at byte {error.start + 1}") from error
