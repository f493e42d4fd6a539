"""``csv:GLOB[,GLOB]``: commas and a header row that names ``id``; quoted cells may hold line ends; ``.gz`` too.

CSV knows no types: every cell is a string, but for an ``id`` written as a canonical decimal integer
(no leading zeros, within int64), which becomes an integer, so that the same data as JSONL gives the
same points.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adapters.own_files import OwnFiles
from adapters.sources.lines import LONGEST, BadLine, FileSource, Lines, Parsed
from core.errors import Refused
from core.quoting import are_names, header_names, quoted

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")

# The library's limit of 128 KiB per cell is for the whole process; long texts are what sources are made of.
csv.field_size_limit(LONGEST)


def csv_files(patterns: str, roots: Sequence[Path], own: OwnFiles) -> FileSource:
    return FileSource("csv", patterns, roots, _parse, own, written=True)


def _parse(lines: Lines, offset: int, line: int) -> Iterator[Parsed]:
    header = _header(lines)
    if offset:
        lines.skip_to(offset, line)
    # The reader takes a line only when the record needs it, so ``lines`` always stands behind the last record.
    reader = csv.reader(lines, strict=True)
    while True:
        first = lines.line + 1
        try:
            cells = next(reader, None)
        except (csv.Error, BadLine) as error:
            yield Parsed(first, None, f"not CSV: {error}")
            continue
        if cells is None:
            return
        if len(cells) > 1 or "".join(cells).strip():  # else a blank line
            yield _record(first, header, cells)


def _header(lines: Lines) -> list[str]:
    """Raises Refused unless the names are different, not empty, and ``id`` is among them. None for an empty file."""
    try:
        header = next(csv.reader(lines, strict=True), [])
    except (csv.Error, BadLine) as error:
        raise Refused(f"{lines.file.name}:1: the header is not CSV: {error}") from error
    twice = {name for name in header if header.count(name) > 1}
    if header and (twice or "" in header or "id" not in header):
        raise Refused(
            f"{lines.file.name}:1: the header has {_fault(header, twice)}: {header_names([*filter(None, header)])}; "
            "expected different names, id among them"
        )
    return header


def _fault(header: list[str], twice: set[str]) -> str:
    if twice:
        return f"{quoted(sorted(twice))} twice" if are_names(header) else "a name twice"
    return "an empty name" if "" in header else "no id"


def _record(line: int, header: list[str], cells: list[str]) -> Parsed:
    if len(cells) != len(header):
        return Parsed(line, None, f"has {len(cells)} cells; the header names {len(header)} columns")
    fields: dict[str, Any] = dict(zip(header, cells, strict=True))
    if _INTEGER.fullmatch(fields["id"]) and -(2**63) <= int(fields["id"]) < 2**63:
        fields["id"] = int(fields["id"])
    return Parsed(line, fields)
