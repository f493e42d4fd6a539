"""Reads files line by line from any position, and builds sources on that.

Reading cannot start in the middle of a ``.gz`` file: resuming decompresses and drops what was read
before. Prefer plain files if one file takes many turns.
"""

import gzip
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, count
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from qdrant_rollouts.adapters.own_files import OwnFiles, Watch
from qdrant_rollouts.adapters.sources.files import (
    File,
    check_unchanged,
    find_files,
    fingerprint_files,
    make_absolute,
    translate_errors,
)
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Cursor, Row

#: Bytes. A larger record could not be written: Qdrant refuses a larger request (qdrant-facts 5.7).
LONGEST_LINE = 32 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class BadLine(ValueError):
    """This line cannot be read, but the next one can."""


class Parsed(NamedTuple):
    """A record at ``line`` (from 1), or None and the reason."""

    line: int
    fields: dict[str, Any] | None
    problem: str = ""


class Lines:
    """The lines of one file, with their ends. ``line`` counts those taken; ``offset`` is where the
    next one begins (in bytes, decompressed). ``next`` raises BadLine for a line that is not UTF-8
    or longer than ``LONGEST_LINE``, and can continue; Refused for a file of UTF-16."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.line = 0
        self.offset = 0
        self._raw: IO[bytes] = file.path.open("rb")
        self._packed = file.path.suffix.lower() == ".gz"
        self._stream: Any = gzip.GzipFile(fileobj=self._raw) if self._packed else self._raw

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._raw.close()

    @property
    def done(self) -> int:
        """Bytes of the file on disk that were needed so far."""
        if self._packed:
            return self._raw.tell()
        return self.offset

    def skip_to(self, offset: int, line: int) -> None:
        if not self._packed:
            self._stream.seek(offset)
        else:
            while self.offset < offset and self._readline():
                pass  # line by line, as in reading: then ``done`` grows as it did the first time
        self.offset = offset
        self.line = line

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        raw = self._readline()
        if not raw:
            raise StopIteration
        self.line += 1
        if self.line == 1 and raw.startswith(_UTF_16):
            raise Refused(f"{self.file.name} is written in UTF-16; write it in UTF-8")
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            self._finish_line()
            raise BadLine(f"longer than {LONGEST_LINE} bytes")
        try:
            return (raw.removeprefix(_BOM) if self.line == 1 else raw).decode()
        except UnicodeDecodeError as error:
            at = f"at byte {error.start + 1} of the line"
            raise BadLine(f"not UTF-8: {error.reason} {at}; write the file in UTF-8") from None

    def _readline(self) -> bytes:
        raw: bytes = self._stream.readline(LONGEST_LINE)
        self.offset += len(raw)
        return raw

    def _finish_line(self) -> None:
        while (rest := self._readline()) and not rest.endswith(b"\n"):
            pass


class FileSource:
    """Files of one kind, one after the other. ``parse`` receives a file's lines and the (offset,
    line) to start after, (0, 0) at first; when it yields, the lines must be just after the record.

    Cursor: ``file`` (index), ``offset`` and ``line`` in it, ``n`` rows so far, ``done`` bytes on
    disk of all files, ``print`` the fingerprint that it belongs to.
    """

    collection: str | None = None

    def __init__(
        self,
        kind: str,
        patterns: str,
        roots: Sequence[Path],
        parse: Callable[[Lines, int, int], Iterator[Parsed]],
        own: OwnFiles,
        *,
        written: bool = False,
        by_line: bool = False,
    ) -> None:
        """``by_line``: each line is a record of its own, so reading can begin at any line."""
        self._kind = kind
        self._patterns = patterns
        self._roots = roots
        self._parse = parse
        self._watch = Watch(own)
        self._written = written
        self._by_line = by_line

    @property
    def address(self) -> str:
        return f"{self._kind}:{make_absolute(self._patterns, self._roots[0])}"

    @cached_property
    def _files(self) -> tuple[File, ...]:
        return find_files(self._patterns, self._roots, self._watch)

    @property
    def left_out(self) -> Sequence[str]:
        """Recorded while the files are looked up."""
        if not self._files:
            return ()
        return self._watch.left_out

    def check(self) -> None:
        """Opens every file and reads its first record, so that headers and permissions are checked
        before anything starts."""
        found = [next(self._parse_file(file, 0, 0), None) for file in self._files]
        if not any(found):
            raise Refused(
                f"{self._patterns} holds no record: "
                f"{', '.join(file.name for file in self._files)[:500]}"
            )

    def fingerprint(self) -> str:
        return fingerprint_files(self._files)

    def size(self) -> int:
        return sum(file.size for file in self._files)

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        """Raises Refused if the files are not those of the cursor, or change while they are
        read."""
        if cursor and cursor["print"] != self.fingerprint():
            raise Refused(
                f"{self._patterns} changed since it was read up to row {cursor['n']}; start again"
            )
        return _finish_at(self.size(), self._rows_of_files(cursor))

    def list_places(self, count: int) -> Sequence[Cursor]:
        """Where the first lines after some bytes begin. Compressed files are read from their
        beginning."""
        if not self._by_line or any(file.path.suffix.lower() == ".gz" for file in self._files):
            return ()
        mark = self.fingerprint()
        size = self.size()
        before = list(accumulate((file.size for file in self._files), initial=0))
        places = []
        for at in (size * part // (count + 1) for part in range(1, count + 1)):
            index = bisect_right(before, at) - 1
            offset = _find_line(self._files[index], at - before[index])
            position = {"file": index, "offset": offset, "line": 1, "n": 0}
            places.append({**position, "done": before[index] + offset, "print": mark})
        return places

    def _rows_of_files(self, cursor: Cursor | None) -> Iterator[Row]:
        at = cursor or {"file": 0, "offset": 0, "line": 0, "n": 0}
        numbers = count(at["n"] + 1)
        mark = self.fingerprint()
        before = list(accumulate((file.size for file in self._files), initial=0))
        for index, file in enumerate(self._files[at["file"] :], at["file"]):
            offset, line = (at["offset"], at["line"]) if index == at["file"] else (0, 0)
            for parsed, lines in self._parse_file(file, offset, line):
                position = {
                    "file": index,
                    "offset": lines.offset,
                    "line": lines.line,
                    "n": next(numbers),
                }
                done = before[index] + lines.done
                where = f"{file.name}:{parsed.line}"
                cursor = {**position, "done": done, "print": mark}
                yield Row(where, parsed.fields, cursor, parsed.problem, written=self._written)

    def _parse_file(self, file: File, offset: int, line: int) -> Iterator[tuple[Parsed, Lines]]:
        with translate_errors(file.name), Lines(file) as lines:
            for parsed in self._parse(lines, offset, line):
                yield parsed, lines
            check_unchanged(file)


def _find_line(file: File, offset: int) -> int:
    """Returns where the next line begins."""
    with translate_errors(file.name), file.path.open("rb") as opened:
        opened.seek(offset)
        opened.readline(LONGEST_LINE)
        return opened.tell()


def _finish_at(size: int, rows: Iterator[Row]) -> Iterator[Row]:
    """Yields the same rows; after the last one everything counts as done, including blank lines and
    the rest of a compressed file."""
    held: list[Row] = []
    for row in rows:
        yield from held
        held = [row]
    yield from (replace(row, cursor={**row.cursor, "done": size}) for row in held)
