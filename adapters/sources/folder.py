"""``dir:FOLDER``: the documents in a folder and its subfolders: Markdown, plain text and HTML.

A record has ``id`` and ``path`` (the file's path in the folder, with ``/``), ``title`` and
``text``, and the fields of front matter, whose ``id`` is called ``front_matter_id``; ``id_field``
of the index names a field that is the id instead. Files with other endings are skipped. Each file
is read as a whole, one at a time.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from qdrant_rollouts.adapters.own_files import OwnFiles, Watch
from qdrant_rollouts.adapters.sources import markdown
from qdrant_rollouts.adapters.sources.documents import (
    Read,
    read_document,
    read_html_file,
    read_plain,
)
from qdrant_rollouts.adapters.sources.files import (
    File,
    check_unchanged,
    find_below,
    fingerprint_files,
    translate_errors,
)
from qdrant_rollouts.adapters.sources.lines import LONGEST_LINE
from qdrant_rollouts.core.config.id_fields import FRONT_MATTER_ID
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Cursor, Row, SizeUnit

#: The reader for a file's ending. A reader raises ValueError for what it cannot read.
READERS: dict[str, Read] = {
    ".md": markdown.read_markdown,
    ".markdown": markdown.read_markdown,
    ".txt": read_plain,
    ".html": read_html_file,
    ".htm": read_html_file,
}


class FolderSource:
    """Cursor: ``n`` and ``done`` (files so far), ``print`` the fingerprint that it belongs to."""

    collection: str | None = None
    size_unit: SizeUnit = "rows"
    least_part = 100

    def __init__(self, folder: str, roots: Sequence[Path], own: OwnFiles) -> None:
        self._folder = folder
        self._roots = roots
        self._watch = Watch(own)

    @property
    def address(self) -> str:
        return f"dir:{self._roots[0].absolute() / self._folder}"

    @cached_property
    def _files(self) -> tuple[File, ...]:
        return find_below(self._folder, self._roots, READERS, self._watch)

    @property
    def left_out(self) -> Sequence[str]:
        """Recorded while the files are looked up."""
        if not self._files:
            return ()
        return self._watch.left_out

    def check(self) -> None:
        if not self._files:
            raise Refused(
                f"{self._folder} holds no document; expected files that end in {', '.join(READERS)}"
            )
        for file in self._files:
            with translate_errors(file.name), file.path.open("rb"):
                pass

    @cached_property
    def _print(self) -> str:
        return fingerprint_files(self._files)

    def fingerprint(self) -> str:
        return self._print

    def size(self) -> int:
        return len(self._files)

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        """Raises Refused if the files are not those of the cursor, or change while they are
        read."""
        if cursor and cursor["print"] != self._print:
            raise Refused(
                f"{self._folder} changed since it was read up to file {cursor['n']}; start again"
            )
        return self._rows_of_documents(cursor["n"] if cursor else 0)

    def split(self, parts: int) -> Sequence[Cursor]:
        numbers = {self.size() * part // parts for part in range(1, parts)} - {0}
        return [self._go_behind(number) for number in sorted(numbers)]

    def find_place(self, cursor: Cursor) -> int:
        return int(cursor["n"])

    def list_places(self, fractions: Sequence[float]) -> Sequence[Cursor]:
        numbers = {int(self.size() * one) for one in fractions}
        return [self._go_behind(number) for number in sorted(numbers)]

    def _go_behind(self, number: int) -> Cursor:
        return {"n": number, "done": number, "print": self._print}

    def _rows_of_documents(self, after: int) -> Iterator[Row]:
        for number, file in enumerate(self._files[after:], after + 1):
            fields, problem = _read_file(file)
            yield Row(f"{self._folder}/{file.name}", fields, self._go_behind(number), problem)


def _read_file(file: File) -> tuple[dict[str, Any] | None, str]:
    with translate_errors(file.name), file.path.open("rb") as opened:
        content = opened.read(LONGEST_LINE + 1)
        check_unchanged(file)
    if len(content) > LONGEST_LINE:
        return None, f"longer than {LONGEST_LINE} bytes"
    read = READERS[file.path.suffix.lower()]
    try:
        found = read_document(read, content, "" if read is read_html_file else "UTF-8")
    except ValueError as error:
        return None, str(error)
    if "id" in found:
        found[FRONT_MATTER_ID] = found.pop("id")
    return {"title": Path(file.name).stem, **found, "id": file.name, "path": file.name}, ""
