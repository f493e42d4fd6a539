"""How things look at the terminal: consoles, words for times, symbols. A symbol never stands for itself alone: the word
is beside it, and colour only repeats what both say."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.times import as_text

#: A pipe has no width; lines are cut for nobody there.
_PIPE_WIDTH = 240

SYMBOLS = {
    "pending": ("·", "dim"),
    "running": ("◌", "cyan"),
    "waiting": ("◷", "cyan"),
    "paused": ("॥", "yellow"),
    "done": ("✔", "green"),
    "live": ("✔", "green"),
    "failed": ("✖", "red"),
    "rolled_back": ("✖", "red"),
    "needs_operator": ("✖", "red"),
    "rolling_back": ("↶", "yellow"),
    "undone": ("↶", "yellow"),
    "skipped": ("-", "dim"),
    "pass": ("✔", "green"),
    "block": ("✖", "red"),
    "inconclusive": ("?", "yellow"),
    "ok": ("✔", "green"),
    "warn": ("⚠", "yellow"),
    "fail": ("✖", "red"),
    "scheduled": ("◷", "cyan"),
    "deleting": ("◌", "cyan"),
    "deleted": ("✔", "green"),
    "cancelled": ("-", "dim"),
    "kept": ("•", "green"),
    "retained": ("•", "green"),
    "deletion due": ("◷", "yellow"),
    "gone": ("-", "dim"),
    "building": ("◌", "cyan"),
    "draft": ("·", "dim"),
    "stopped": ("-", "dim"),
    "decided": ("•", "green"),
    "due": ("◷", "cyan"),
    "unchanged": ("✔", "green"),
    "on": ("✔", "green"),
    "off": ("-", "dim"),
}


def console(*, err: bool = False) -> Console:
    made = Console(stderr=err, highlight=False, emoji=False, markup=False)
    if not made.is_terminal:
        made.width = _PIPE_WIDTH
    return made


def note(text: str) -> None:
    """A sentence to the person, on stderr."""
    click.echo(plain(text, keep="\n"), err=True)


def emit(content: Any) -> None:
    """The one JSON document of ``--json``."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, default=as_text))


def plain(text: object, keep: str = "") -> str:
    """``text`` without characters that steer a terminal: records and server answers are other people's."""
    return "".join(char if char.isprintable() or char in keep else " " for char in str(text))


def print_deletions(told: Iterable[Mapping[str, Any]]) -> None:
    """What will be deleted, when, and the command that keeps it: whole, for a person may paste it."""
    for one in told:
        console().print(Text(plain(one["text"])), soft_wrap=True)


def symbol(status: str) -> Text:
    sign, style = SYMBOLS[status]
    return Text(sign, style=style)


def word(status: str) -> Text:
    sign, style = SYMBOLS[status]
    return Text(f"{sign} {status}", style=style)


def table(*titles: str, wrap: bool = False, shrink: Sequence[str] = ()) -> Table:
    """Columns as wide as they need. What a line has no room for is taken from the last column and those named in
    ``shrink``, which are cut, or with ``wrap`` go on in the next line."""
    made = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for title in titles:
        made.add_column(
            title, no_wrap=title != titles[-1] and title not in shrink, overflow="fold" if wrap else "ellipsis"
        )
    return made


def row(into: Table, cells: Iterable[Text | object]) -> None:
    into.add_row(*(_cell(cell, into.columns[-1].overflow) for cell in cells))


def _cell(cell: Text | object, overflow: str) -> Text:
    text = cell if isinstance(cell, Text) else Text(plain("" if cell is None else cell))
    text.no_wrap = overflow != "fold"
    return text


# --- times --------------------------------------------------------------------------------------------------------


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def seconds_since(begun: str, ended: str | None = None) -> float:
    """Seconds from ``begun`` to ``ended``, or to this machine's now; never below zero, whatever the clocks say."""
    return max(0.0, ((moment(ended) if ended else datetime.now(UTC)) - moment(begun)).total_seconds())


def seconds_until(due: str) -> float:
    return max(0.0, (moment(due) - datetime.now(UTC)).total_seconds())


def span(seconds: float) -> str:
    """A length of time in the two largest units that matter."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 60:
        return f"{int(minutes)} min {int(seconds % 60):02d} s"
    return f"{int(hours)} h {int(minutes % 60):02d} min" if hours < 48 else f"{int(hours / 24)} days"


def age(seconds: float) -> str:
    """A length of time in one unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def clock(text: str) -> str:
    return f"{moment(text).astimezone():%H:%M:%S}"
