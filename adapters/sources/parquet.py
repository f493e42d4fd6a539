"""``parquet:GLOB[,GLOB]``: the rows of Parquet files, one row group after the other.

Needs the extra ``parquet``. Timestamps in the old INT96 format are read with microseconds: as
nanoseconds, dates such as 9999-12-31 would silently become others.
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from qdrant_rollouts.adapters.own_files import OwnFiles, Watch
from qdrant_rollouts.adapters.sources.files import (
    File,
    check_unchanged,
    find_files,
    fingerprint_files,
    make_absolute,
    translate_errors,
)
from qdrant_rollouts.adapters.sources.values import make_row
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Cursor, Row, SizeUnit
from qdrant_rollouts.core.sanitize.quoting import describe_columns, error_text

_BATCH = 256


class ParquetSource:
    """Cursor: ``file`` and ``group`` (indexes), ``row`` (rows of that group so far), ``n`` and
    ``done`` (rows so far), ``print`` the fingerprint that it belongs to. Reading starts at the
    beginning of a row group and skips its rows that were read."""

    collection: str | None = None
    size_unit: SizeUnit = "rows"
    least_part = 1000

    def __init__(self, patterns: str, roots: Sequence[Path], own: OwnFiles) -> None:
        self._patterns = patterns
        self._roots = roots
        self._watch = Watch(own)

    @property
    def address(self) -> str:
        return f"parquet:{make_absolute(self._patterns, self._roots[0])}"

    @cached_property
    def _files(self) -> tuple[File, ...]:
        return find_files(self._patterns, self._roots, self._watch)

    @property
    def left_out(self) -> Sequence[str]:
        """Recorded while the files are looked up."""
        if not self._files:
            return ()
        return self._watch.left_out

    @cached_property
    def _print(self) -> str:
        return fingerprint_files(self._files)

    @cached_property
    def _size(self) -> int:
        return sum(self._open_parquet(file).metadata.num_rows for file in self._files)

    def check(self) -> None:
        for file in self._files:
            with _translate_arrow_errors(file):
                names = self._open_parquet(file).schema_arrow.names
            if "id" not in names:
                raise Refused(
                    f"{file.name} has the columns {describe_columns(names)}; one must be named id"
                )
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise Refused(
                    f"{file.name} has more than one column {describe_columns(twice)}; rename all "
                    "but one"
                )
        if not self._size:
            raise Refused(
                f"{self._patterns} holds no row: "
                f"{', '.join(file.name for file in self._files)[:500]}"
            )

    def fingerprint(self) -> str:
        return self._print

    def size(self) -> int:
        return self._size

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        """Raises Refused if the files are not those of the cursor, or change while they are
        read."""
        if cursor and cursor["print"] != self._print:
            raise Refused(
                f"{self._patterns} changed since it was read up to row {cursor['n']}; start again"
            )
        return self._rows_of_groups(cursor or {"file": 0, "group": 0, "row": 0, "n": 0})

    def split(self, parts: int) -> Sequence[Cursor]:
        """Cuts between row groups, as near to equal parts as these allow."""
        starts = self._list_groups()
        cuts = set()
        for part in range(1, parts):
            wanted = self._size * part / parts
            cuts.add(min(starts, key=lambda start: abs(start[2] - wanted)))
        return [
            {"file": file, "group": group, "row": 0, "n": rows, "done": rows, "print": self._print}
            for file, group, rows in sorted(cuts)
            if 0 < rows < self._size
        ]

    def find_place(self, cursor: Cursor) -> tuple[int, int, int]:
        return cursor["file"], cursor["group"], cursor["row"]

    def _list_groups(self) -> list[tuple[int, int, int]]:
        """Returns file and group (from 0) of each row group, and how many rows are before it."""
        found = []
        rows = 0
        for index, file in enumerate(self._files):
            about = self._open_parquet(file).metadata
            for group in range(about.num_row_groups):
                found.append((index, group, rows))
                rows += about.row_group(group).num_rows
        return found

    def _rows_of_groups(self, at: Cursor) -> Iterator[Row]:
        number = at["n"]
        for index, file in enumerate(self._files[at["file"] :], at["file"]):
            begin = (0, 0)
            if index == at["file"]:
                begin = (at["group"], at["row"])
            for group, row, columns in self._read_groups(file, *begin):
                number += 1
                place = {"file": index, "group": group, "row": row, "n": number, "done": number}
                where = f"{file.name}, row group {group + 1}, row {row}"
                yield make_row(where, columns, {**place, "print": self._print})

    def _read_groups(
        self, file: File, group: int, row: int
    ) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Yields group (from 0), row in it (from 1) and values by column, after the given ones."""
        opened = self._open_parquet(file)
        for index in range(group, opened.num_row_groups):
            start = row if index == group else 0
            with _translate_arrow_errors(file):
                batches = opened.iter_batches(_BATCH, row_groups=[index])
                rows = (columns for batch in batches for columns in _rows_of_batch(batch))
                for number, columns in enumerate(islice(rows, start, None), start + 1):
                    yield index, number, columns
        check_unchanged(file)

    def _open_parquet(self, file: File) -> Any:
        try:
            library = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise Refused(
                "parquet: needs pyarrow; install it with pip install 'qdrant-rollouts[parquet]'"
            ) from None
        with _translate_arrow_errors(file):
            return library.ParquetFile(file.path, coerce_int96_timestamp_unit="us")


def _rows_of_batch(batch: Any) -> Iterator[dict[str, Any]]:
    """Values by column. ``adapters.sources.arrow`` needs pyarrow, which is an extra."""
    read_column = importlib.import_module("qdrant_rollouts.adapters.sources.arrow").read_column
    columns = [read_column(column) for column in batch.columns]
    for values in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, values, strict=True))


@contextmanager
def _translate_arrow_errors(file: File) -> Iterator[None]:
    """Arrow's errors for a damaged file are ValueErrors, or OSErrors without a number; for what it
    does not support, such as a codec, NotImplementedErrors."""
    with translate_errors(file.name):
        try:
            yield
        except (ValueError, OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise Refused(
                f"{file.name} is no Parquet file that can be read: {error_text(error)}"
            ) from error
