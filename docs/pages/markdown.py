"""Writes Markdown from Python: docstrings, tables, and the rows of tables in pages written by
hand."""

import inspect
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]


def told(thing: Any) -> str:
    """Returns a docstring as Markdown; nothing that a class inherits."""
    return inspect.cleandoc(thing.__doc__ or "").replace("``", "`")


def lines(text: str) -> str:
    """Returns it as one line, for the cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def first_sentence(text: str) -> str:
    return re.split(r"(?<=[.?])\s", lines(text), maxsplit=1)[0]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in cells)


def joined(*parts: str) -> str:
    """Blocks with an empty line between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def fenced(language: str, code: str) -> str:
    return f"```{language}\n{code.strip()}\n```"


def value(found: Any) -> str:
    """Returns a default as the documents write it."""
    if found is None:
        return "none"
    if found == "":
        return "empty"
    return f"`{found if isinstance(found, str | Path) else json.dumps(found, default=str)}`"


def rows(page: str, title: str) -> list[list[str]]:
    """Returns the rows of the table whose first column has this title, in a page under
    ``docs/``."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = text.split(f"| {title} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in found]
