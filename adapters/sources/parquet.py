"""``parquet:GLOB[,GLOB]``: the rows of Parquet files, one row group after the other; needs the extra ``parquet``."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from adapters.sources.files import File, absolute, find, fingerprint, must_be_as_found, translated
from adapters.sources.values import as_fields
from core.errors import Refused
from core.ports import Cursor, Row

_BATCH = 256


class ParquetSource:
    """Cursor: ``file`` and ``group`` (indexes), ``row`` (rows of that group so far), ``n`` and ``done`` (rows so far),
    ``print`` the fingerprint it belongs to. A row group is entered at its beginning: what was read of it is run over.
    """

    collection: str | None = None

    def __init__(self, patterns: str, roots: Sequence[Path]) -> None:
        self._patterns, self._roots = patterns, roots

    @property
    def address(self) -> str:
        return f"parquet:{absolute(self._patterns, self._roots[0])}"

    @cached_property
    def _files(self) -> tuple[File, ...]:
        return find(self._patterns, self._roots)

    @cached_property
    def _print(self) -> str:
        return fingerprint(self._files)

    @cached_property
    def _size(self) -> int:
        return sum(self._opened(file).metadata.num_rows for file in self._files)

    def check(self) -> None:
        for file in self._files:
            names = self._opened(file).schema_arrow.names
            if "id" not in names:
                raise Refused(f"{file.name} has the columns {', '.join(names)}; one must be named id")
        if not self._size:
            raise Refused(f"{self._patterns} holds no row: {', '.join(file.name for file in self._files)[:500]}")

    def fingerprint(self) -> str:
        return self._print

    def size(self) -> int:
        return self._size

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        """Raises Refused when the files are not those of the cursor, or change while they are read."""
        if cursor and cursor["print"] != self._print:
            raise Refused(f"{self._patterns} changed since it was read up to row {cursor['n']}; start again")
        return self._rows(cursor or {"file": 0, "group": 0, "row": 0, "n": 0})

    def _rows(self, at: Cursor) -> Iterator[Row]:
        number = at["n"]
        for index, file in enumerate(self._files[at["file"] :], at["file"]):
            resumed = index == at["file"]
            for group, row, fields in self._of(file, at["group"] if resumed else 0, at["row"] if resumed else 0):
                number += 1
                place = {"file": index, "group": group, "row": row, "n": number, "done": number}
                where = f"{file.name}, row group {group + 1}, row {row}"
                yield Row(where, as_fields(fields), {**place, "print": self._print}, written=True)

    def _of(self, file: File, group: int, row: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Group (from 0), row in it (from 1) and fields, behind the given ones."""
        opened = self._opened(file)
        for index in range(group, opened.num_row_groups):
            start = row if index == group else 0
            with _translated(file):
                batches = opened.iter_batches(_BATCH, row_groups=[index])
                rows = (fields for batch in batches for fields in batch.to_pylist())
                for number, fields in enumerate(islice(rows, start, None), start + 1):
                    yield index, number, fields
        must_be_as_found(file)

    def _opened(self, file: File) -> Any:
        try:
            library = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise Refused("parquet: needs pyarrow; install it with pip install 'qdrant-rollouts[parquet]'") from None
        with _translated(file):
            return library.ParquetFile(file.path)


@contextmanager
def _translated(file: File) -> Iterator[None]:
    """Arrow's errors for a damaged file are ValueErrors, or OSErrors without a number."""
    with translated(file.name):
        try:
            yield
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise Refused(f"{file.name} is no Parquet file that can be read: {error}") from error
