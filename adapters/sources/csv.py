"""``csv:GLOB[,GLOB]``: CSV files with commas and a header row that names ``id``; quoted cells may
contain line ends; ``.gz`` files too.

Space around the names of the header is removed. If it follows the header's commas, space after
every comma and around ids is removed too.

CSV has no types: every cell is a string, except for an ``id`` written as a canonical decimal
integer (no leading zeros, within int64), which becomes an integer, so that the same data as JSONL
gives the same points.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from qdrant_rollouts.adapters.own_files import OwnFiles
from qdrant_rollouts.adapters.sources.lines import LONGEST_LINE, BadLine, FileSource, Lines, Parsed
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.sanitize.quoting import (
    describe_header,
    error_text,
    look_like_names,
    quote_value,
)

#: Other separators between columns.
_MARKS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_NAME = re.compile(r"[^\W\d][\w .-]{0,39}")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")

# The library's limit of 128 KiB per cell is for the whole process; sources may contain long texts.
csv.field_size_limit(LONGEST_LINE)


def csv_files(patterns: str, roots: Sequence[Path], own: OwnFiles) -> FileSource:
    return FileSource("csv", patterns, roots, _parse_csv, own, written=True)


def _parse_csv(lines: Lines, offset: int, line: int) -> Iterator[Parsed]:
    header, spaced = _read_header(lines)
    if offset:
        lines.skip_to(offset, line)
    # The reader takes a line only when the record needs it, so ``lines`` is always just after the
    # last record.
    reader = csv.reader(lines, strict=True, skipinitialspace=spaced)
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
            yield _parse_record(first, header, cells, spaced=spaced)


def _read_header(lines: Lines) -> tuple[list[str], bool]:
    """Returns the names, without surrounding space, and whether space follows the commas: then it
    does in the records too, and is not part of a cell.

    Raises Refused unless the names are different, not empty, and include ``id``. None for an empty
    file.
    """
    try:
        first = next((line for line in lines if line.strip()), "")
        _check_commas(lines, first)
        spaced = any(name.startswith(" ") for name in next(csv.reader([first]), [])[1:])
        header = next(csv.reader(chain([first], lines), strict=True, skipinitialspace=spaced), [])
    except (csv.Error, BadLine) as error:
        raise Refused(
            f"{_describe_place(lines)}: the header is not CSV: "
            f"{error_text(error)}{_advise_line_ends(error)}"
        ) from error
    names = [name.strip() for name in header]
    if first and (fault := _describe_header_fault(names)):
        raise Refused(f"{_describe_place(lines)}: the header has {fault}")
    return names, spaced


def _check_commas(lines: Lines, line: str) -> None:
    """Raises Refused for a header that names ``id`` with another separator between the names."""
    found = [word for mark, word in _MARKS.items() if _names_id(line, mark)]
    if found and not _names_id(line, ","):
        said = f"no id: its columns are separated by {found[0]}; write commas"
        raise Refused(f"{_describe_place(lines)}: the header has {said}")


def _names_id(line: str, mark: str) -> bool:
    return mark in line and "id" in [name.strip().strip('"') for name in line.split(mark)]


def _describe_place(lines: Lines) -> str:
    return f"{lines.file.name}:{lines.line}"


def _advise_line_ends(error: Exception) -> str:
    if "new-line character" in str(error):
        return "; end lines with LF or CR LF"
    return ""


def _describe_header_fault(names: list[str]) -> str:
    """Shows nothing of a first line that is not a header: a file that is not a table may contain
    anything there."""
    expected = "expected different names, id among them, with commas between them"
    twice = sorted({name for name in names if names.count(name) > 1 and name})
    known = describe_header([name for name in names if name])
    if twice:
        return (
            f"{f'column {quote_value(twice[0])}' if look_like_names(names) else 'a column'} twice: "
            f"{known}; {expected}"
        )
    if "" in names:
        place = f"column {names.index('') + 1} of {len(names)}"
        return f"an empty name, in {place}: {known}; {expected}"
    if "id" in names:
        return ""
    return f"no id: {known}; {expected}"


def _parse_record(line: int, header: list[str], cells: list[str], *, spaced: bool) -> Parsed:
    if len(cells) != len(header):
        return Parsed(line, None, f"has {len(cells)} cells; the header names {len(header)} columns")
    fields: dict[str, Any] = dict(zip(header, cells, strict=True))
    if spaced:  # aligned columns also have space before the comma
        fields["id"] = fields["id"].strip()
    if _INTEGER.fullmatch(fields["id"]) and -(2**63) <= int(fields["id"]) < 2**63:
        fields["id"] = int(fields["id"])
    return Parsed(line, fields)
