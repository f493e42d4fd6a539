"""``jsonl:GLOB[,GLOB]``: one JSON object per line, UTF-8, ``.gz`` files too; blank lines are
skipped."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from qdrant_rollouts.adapters.own_files import OwnFiles
from qdrant_rollouts.adapters.sources.lines import BadLine, FileSource, Lines, Parsed
from qdrant_rollouts.core.sanitize.quoting import error_text


def jsonl_files(patterns: str, roots: Sequence[Path], own: OwnFiles) -> FileSource:
    return FileSource("jsonl", patterns, roots, _parse_json_lines, own, cut_at_lines=True)


def _parse_json_lines(lines: Lines, offset: int, line: int) -> Iterator[Parsed]:
    lines.skip_to(offset, line)
    while True:
        try:
            text = next(lines, None)
        except BadLine as bad:
            yield Parsed(lines.line, None, str(bad))
            continue
        if text is None:
            return
        if text.strip(" \t\r\n"):
            yield _parse_line(lines.line, text)


def _parse_line(line: int, text: str) -> Parsed:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        said = f"not JSON: {error.msg} at column {error.colno}"
        return Parsed(line, None, f"{said}{_advise_on_layout(text)}")
    # a number of thousands of digits, or thousands of brackets
    except (ValueError, RecursionError) as error:
        return Parsed(line, None, f"not readable as JSON: {error_text(error)}")
    if not isinstance(value, dict):
        found = type(value).__name__
        return Parsed(line, None, f"is a JSON {found}; expected an object in each line")
    return Parsed(line, value)


def _advise_on_layout(text: str) -> str:
    """Recognises the files of people who mean a list of objects."""
    bare = text.strip()
    if bare.startswith("{") and bare.endswith("},"):
        return "; write no comma after the object"
    if bare in {"[", "]", "{", "}", "},"}:
        return "; write each object in one line, and no list around them"
    return ""
