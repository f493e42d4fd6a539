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
from qdrant_rollouts.adapters.sources.places import read_between
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Cursor, Row, SizeUnit

#: Bytes. A larger record could not be written: Qdrant refuses a larger request (qdrant-facts 5.7).
LONGEST_LINE = 32 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def is_packed(file: File) -> bool:
    return file.path.suffix.lower() == ".gz"


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
        self._packed = is_packed(file)
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
        begins = self.offset == len(raw)
        if begins and raw.startswith(_UTF_16):
            raise Refused(f"{self.file.name} is written in UTF-16; write it in UTF-8")
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            self._finish_line()
            raise BadLine(f"longer than {LONGEST_LINE} bytes")
        try:
            return (raw.removeprefix(_BOM) if begins else raw).decode()
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
    disk of all files, ``print`` the fingerprint that it belongs to. ``base``: the byte of the file
    from which on lines are counted, if that is not its beginning.
    """

    collection: str | None = None
    least_part = 256 * 1024

    def __init__(
        self,
        kind: str,
        patterns: str,
        roots: Sequence[Path],
        parse: Callable[[Lines, int, int], Iterator[Parsed]],
        own: OwnFiles,
        *,
        written: bool = False,
        cut_at_lines: bool = False,
    ) -> None:
        """``cut_at_lines``: a record ends with its line, so a file can be read from the middle."""
        self._kind = kind
        self._patterns = patterns
        self._roots = roots
        self._parse = parse
        self._watch = Watch(own)
        self._written = written
        self._cut_at_lines = cut_at_lines

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

    @property
    def size_unit(self) -> SizeUnit:
        """A compressed file is read in blocks."""
        return "blocks" if any(map(is_packed, self._files)) else "shares"

    def check(self) -> None:
        """Opens every file and reads its first record, so that headers and permissions are checked
        before anything starts."""
        found = [next(self._parse_file(file, 0, 0), None) for file in self._files]
        if not any(found):
            names = ", ".join(file.name for file in self._files)[:500]
            which = "" if names == str(self._patterns) else f" ({names})"
            raise Refused(f"{self._patterns} holds no record{which}; name files that hold some")

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

    def split(self, parts: int) -> Sequence[Cursor]:
        """Cuts at line ends or, where a record may contain line ends or a file is compressed,
        between files."""
        size = self.size()
        return self._cut_at([size * part // parts for part in range(1, parts)])

    def list_places(self, fractions: Sequence[float]) -> Sequence[Cursor]:
        """Ends of lines; none if the files can only be cut between them."""
        if not self._cut_at_lines or self.size_unit == "blocks":
            return ()
        size = self.size()
        return self._cut_at([int(size * one) for one in fractions])

    def _cut_at(self, wanted: Sequence[int]) -> Sequence[Cursor]:
        """Returns the first cut at or after each of these bytes, counted over all files."""
        before = list(accumulate((file.size for file in self._files), initial=0))
        cuts = sorted({self._find_cut(before, byte) for byte in wanted})
        mark = self.fingerprint()
        return [
            {
                "file": index,
                "offset": offset,
                "line": 0,
                "base": offset,
                "n": 0,
                "done": before[index] + offset,
                "print": mark,
            }
            for index, offset in cuts
            if (0, 0) < (index, offset) < (len(self._files), 0)
        ]

    def read_part(
        self, cursor: Cursor | None, start: Cursor | None, stop: Cursor | None
    ) -> Iterator[Row]:
        return read_between(self, cursor, start, stop)

    def find_place(self, cursor: Cursor) -> tuple[int, int]:
        return cursor["file"], cursor["offset"]

    def _find_cut(self, before: Sequence[int], byte: int) -> tuple[int, int]:
        """Returns the file and the offset in it of the first cut at or after ``byte``, counted over
        all files."""
        index = bisect_right(before, byte) - 1
        file = self._files[index]
        within = byte - before[index]
        if within == 0:
            return index, 0
        if self._cut_at_lines and not is_packed(file):
            with translate_errors(file.name), file.path.open("rb") as opened:
                opened.seek(within - 1)
                while (line := opened.readline(LONGEST_LINE)) and not line.endswith(b"\n"):
                    pass
                if opened.tell() < file.size:
                    return index, opened.tell()
        return index + 1, 0

    def _rows_of_files(self, cursor: Cursor | None) -> Iterator[Row]:
        at = cursor or {"file": 0, "offset": 0, "line": 0, "n": 0}
        numbers = count(at["n"] + 1)
        mark = self.fingerprint()
        before = list(accumulate((file.size for file in self._files), initial=0))
        for index, file in enumerate(self._files[at["file"] :], at["file"]):
            is_first = index == at["file"]
            offset, line = (at["offset"], at["line"]) if is_first else (0, 0)
            base = at.get("base", 0) if is_first else 0
            for parsed, lines in self._parse_file(file, offset, line):
                position = {
                    "file": index,
                    "offset": lines.offset,
                    "line": lines.line,
                    **({"base": base} if base else {}),
                    "n": next(numbers),
                }
                done = before[index] + lines.done
                where = f"{file.name}:{parsed.line}"
                if base:
                    where = f"{file.name}, line {parsed.line:,} after byte {base:,}"
                cursor = {**position, "done": done, "print": mark}
                yield Row(where, parsed.fields, cursor, parsed.problem, written=self._written)

    def _parse_file(self, file: File, offset: int, line: int) -> Iterator[tuple[Parsed, Lines]]:
        with translate_errors(file.name), Lines(file) as lines:
            for parsed in self._parse(lines, offset, line):
                yield parsed, lines
            check_unchanged(file)


def _finish_at(size: int, rows: Iterator[Row]) -> Iterator[Row]:
    """Yields the same rows; after the last one everything counts as done, including blank lines and
    the rest of a compressed file."""
    held: list[Row] = []
    for row in rows:
        yield from held
        held = [row]
    yield from (replace(row, cursor={**row.cursor, "done": size}) for row in held)
