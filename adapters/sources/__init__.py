"""Where records come from. A source is written ``KIND:WHERE``; a new kind is one file and one line in ``SOURCES``."""

from collections.abc import Callable, Sequence
from pathlib import Path

from adapters.sources.backup import BackupSource
from adapters.sources.collection import CollectionSource
from adapters.sources.csv import csv_files
from adapters.sources.folder import FolderSource
from adapters.sources.function import FunctionSource
from adapters.sources.jsonl import jsonl_files
from adapters.sources.parquet import ParquetSource
from adapters.sources.sitemap import SitemapSource
from adapters.sources.sql import SqlSource
from core.crawl_spec import CrawlSpec
from core.errors import Refused
from core.ports import Shelf, Source, VectorStore

#: How sites are read, as the index file says now.
Crawl = Callable[[], CrawlSpec]
Factory = Callable[[str, Sequence[Path], VectorStore, Crawl, Shelf | None], Source]

SOURCES: dict[str, Factory] = {
    "jsonl": lambda where, roots, store, crawl, shelf: jsonl_files(where, roots),
    "csv": lambda where, roots, store, crawl, shelf: csv_files(where, roots),
    "dir": lambda where, roots, store, crawl, shelf: FolderSource(where, roots),
    "parquet": lambda where, roots, store, crawl, shelf: ParquetSource(where, roots),
    "sql": lambda where, roots, store, crawl, shelf: SqlSource(where),
    "sitemap": lambda where, roots, store, crawl, shelf: SitemapSource(where, crawl),
    "python": lambda where, roots, store, crawl, shelf: FunctionSource(where),
    "collection": lambda where, roots, store, crawl, shelf: CollectionSource(where, store),
    "backup": lambda where, roots, store, crawl, shelf: BackupSource(where, store, shelf),
}


def open_source(
    text: str, roots: Sequence[Path], store: VectorStore, crawl: Crawl = CrawlSpec, shelf: Shelf | None = None
) -> Source:
    """The source that ``text`` names; nothing is looked at yet, ``check`` does that.

    Files must lie under one of ``roots``; relative patterns start at the first. Raises Refused for an unknown kind.
    """
    kind, colon, where = text.partition(":")
    known = ", ".join(f"{name}:" for name in SOURCES)
    if "://" in text and kind not in {"sql", "sitemap"}:
        raise Refused(f"source {text!r} is a URL; records are read from local files, tables and collections ({known})")
    if not colon or kind not in SOURCES:
        raise Refused(f"source {text!r} has no known kind; expected one of {known} as in jsonl:docs/*.jsonl")
    if not where.strip():
        raise Refused(f"source {text!r} names nothing after {kind}:")
    where = where if kind == "collection" else where.strip()
    return SOURCES[kind](where, roots, store, crawl, shelf)
