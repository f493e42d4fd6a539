"""Checks the built site: ``python -m docs.check_links [FOLDER]`` lists each broken link.

MkDocs checks the links of the Markdown files. It does not warn of a link to a page that is left out
of the site, and it cannot see what a theme or a plug-in writes.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LINKS = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src"}


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        link = given.get(_LINKS.get(tag, ""))
        if link:
            self.links.append(link)
        self.anchors |= {given[key] or "" for key in ("id", "name") if given.get(key)}


def broken_links(site: Path) -> list[str]:
    """Returns ``PAGE: LINK`` for each link inside the site whose file or anchor does not exist."""
    files = sorted(site.rglob("*.html"))
    pages = {file.resolve(): _Page(file.read_text(encoding="utf-8")) for file in files}
    return [
        f"{file.relative_to(site.resolve())}: {link}"
        for file, page in pages.items()
        if file.name != "404.html"  # it is served at any address, so its links begin at the root
        for link in page.links
        if not _leads_somewhere(file, link, pages)
    ]


def _leads_somewhere(file: Path, link: str, pages: dict[Path, _Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if target.is_dir():
        target /= "index.html"
    if not parts.fragment or target not in pages:
        return target.exists()
    return unquote(parts.fragment) in pages[target].anchors


if __name__ == "__main__":
    broken = broken_links(Path(sys.argv[1] if len(sys.argv) > 1 else "site"))
    sys.exit("\n".join(f"leads nowhere: {link}" for link in broken) or None)
