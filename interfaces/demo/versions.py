"""What the demo deploys: three versions of one index as files of records, with an index file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from qdrant_rollouts.adapters import private
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.interfaces.demo.texts import Text

ALIAS = "pydocs"
TEMPLATE = "{title}\n{text}"
#: Queries of the gate for every version. all-MiniLM-L6-v2 answers each with 0.55 or more, the login
#: page with 0.1.
QUERIES = (
    "how do I run coroutines concurrently",
    "make a temporary directory",
    "parse command line arguments",
    "read a compressed zip archive",
    "how does slicing work",
)
#: Of a hundred texts, how many version 1 contains, and how many of them are shorter than now.
_IN_FIRST = 80
_SHORT_IN_FIRST = 10
_LOGIN = ("Sign in", "Your session has expired. Sign in to continue reading.")


@dataclass(frozen=True, slots=True)
class Version:
    """``pages``: title and body by record id."""

    number: int
    pages: dict[str, tuple[str, str]]

    @property
    def file(self) -> str:
        return f"version-{self.number}.jsonl"

    @property
    def source(self) -> str:
        return f"jsonl:{self.file}"

    def unchanged_since(self, older: "Version") -> int:
        return sum(older.pages.get(id) == page for id, page in self.pages.items())

    def new_since(self, older: "Version") -> int:
        return len(self.pages.keys() - older.pages.keys())

    def write(self) -> None:
        """``version`` shows in a search result which version has answered."""
        records = (
            {"id": id, "title": title, "text": body, "version": self.number}
            for id, (title, body) in self.pages.items()
        )
        private.write_text(
            Path(self.file), "".join(json.dumps(record) + "\n" for record in records)
        )


def first_version(texts: Sequence[Text]) -> Version:
    """The documentation as it might have been earlier: some texts missing, some with only one
    paragraph."""
    early = {
        text.name: _first_paragraph(text.body) for text in texts if text.share < _SHORT_IN_FIRST
    }
    pages = {
        text.name: (text.name, early.get(text.name, text.body))
        for text in texts
        if text.share < _IN_FIRST
    }
    return Version(1, pages)


def second_version(texts: Sequence[Text]) -> Version:
    """The documentation as it is now."""
    return Version(2, {text.name: (text.name, text.body) for text in texts})


def damaged_version(texts: Sequence[Text]) -> Version:
    """What a crawler gets that is not signed in: the login page for each address. No record is
    missing or bad."""
    return Version(3, {text.name: _LOGIN for text in texts})


def write_index_file(embedding: EmbeddingSpec, lowest_score: float, latest: Version) -> None:
    index = {
        "source": latest.source,
        "embedding": {"model": embedding.model, "text": embedding.text},
        "validation": {"queries": list(QUERIES), "min_results": 5, "min_top_score": lowest_score},
        "soak": {"seconds": 3, "interval_seconds": 1},
    }
    text = yaml.safe_dump({"indexes": {ALIAS: index}}, sort_keys=False, allow_unicode=True)
    private.write_text(Path("rollouts.yaml"), text)


def _first_paragraph(body: str) -> str:
    return body.partition("\n\n")[0]
