"""Where records come from. A source is written ``KIND:WHERE``; a new kind is one file and one line
in ``SOURCES``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qdrant_rollouts.adapters.own_files import OwnFiles
from qdrant_rollouts.adapters.sources.backup import BackupSource
from qdrant_rollouts.adapters.sources.collection import CollectionSource
from qdrant_rollouts.adapters.sources.csv import csv_files
from qdrant_rollouts.adapters.sources.folder import FolderSource
from qdrant_rollouts.adapters.sources.function import FunctionSource
from qdrant_rollouts.adapters.sources.jsonl import jsonl_files
from qdrant_rollouts.adapters.sources.parquet import ParquetSource
from qdrant_rollouts.adapters.sources.sitemap import SitemapSource
from qdrant_rollouts.adapters.sources.sql import SqlSource
from qdrant_rollouts.core.config.crawl_spec import CrawlSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Shelf, Source, VectorStore
from qdrant_rollouts.core.sanitize.quoting import LONGEST_PLACE, quote_value

#: How sites are read, according to the current index file.
Crawl = Callable[[], CrawlSpec]


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What sources need besides their own text."""

    roots: Sequence[Path]
    store: VectorStore
    crawl: Crawl
    shelf: Shelf | None
    own: OwnFiles


Factory = Callable[[str, SourceContext], Source]

SOURCES: dict[str, Factory] = {
    "jsonl": lambda where, given: jsonl_files(where, given.roots, given.own),
    "csv": lambda where, given: csv_files(where, given.roots, given.own),
    "dir": lambda where, given: FolderSource(where, given.roots, given.own),
    "parquet": lambda where, given: ParquetSource(where, given.roots, given.own),
    "sql": lambda where, given: SqlSource(where, given.own),
    "sitemap": lambda where, given: SitemapSource(where, given.crawl),
    "python": lambda where, given: FunctionSource(where),
    "collection": lambda where, given: CollectionSource(where, given.store),
    "backup": lambda where, given: BackupSource(where, given.store, given.shelf),
}

#: Without settings there is no state of this program; files that it recognises by name still count.
_NO_OWN_FILES = OwnFiles()


def open_source(
    text: str,
    roots: Sequence[Path],
    store: VectorStore,
    crawl: Crawl = CrawlSpec,
    shelf: Shelf | None = None,
    own: OwnFiles = _NO_OWN_FILES,
) -> Source:
    """Returns the source that ``text`` names. Nothing is read yet; ``check`` does that.

    Files must be under one of ``roots`` and not be one of ``own``; relative patterns start at the
    first root. Raises Refused for an unknown kind.
    """
    kind, colon, where = text.partition(":")
    known = ", ".join(f"{name}:" for name in SOURCES)
    if "://" in text and kind not in {"sql", "sitemap"}:
        raise Refused(
            f"source {quote_value(text, LONGEST_PLACE)} is a URL; records are read from local "
            "files, tables and "
            f"collections ({known})"
        )
    if not colon or kind not in SOURCES:
        raise Refused(
            f"source {quote_value(text, LONGEST_PLACE)} has no known kind; expected one of {known} "
            "as in "
            "jsonl:docs/*.jsonl"
        )
    if not where.strip():
        raise Refused(f"source {quote_value(text, LONGEST_PLACE)} names nothing after {kind}:")
    if kind != "collection":
        where = where.strip()
    return SOURCES[kind](where, SourceContext(roots, store, crawl, shelf, own))
