"""How output looks at the terminal: consoles, words for times, the colours of symbols."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from qdrant_rollouts.core.times import as_text
from qdrant_rollouts.interfaces import symbols
from qdrant_rollouts.interfaces.cli.listing import Listing
from qdrant_rollouts.interfaces.symbols import Tone

#: A pipe has no width unless ``COLUMNS`` sets one, so a row there is always one line. Log lines are
#: padded to the width, so the log has a smaller one.
_PIPE_WIDTH = 10_000
_LOG_WIDTH = 240

#: Tone -> colour.
STYLES: Mapping[Tone, str] = {
    Tone.GOOD: "green",
    Tone.BAD: "red",
    Tone.WARN: "yellow",
    Tone.CALM: "cyan",
    Tone.SOFT: "dim",
}


def make_console(*, err: bool = False) -> Console:
    made = Console(stderr=err, highlight=False, emoji=False, markup=False)
    said = os.environ.get("COLUMNS", "")
    if not (said.isdigit() and int(said)):
        pipe = _LOG_WIDTH if err else _PIPE_WIDTH
        made.width = shutil.get_terminal_size().columns if made.is_terminal else pipe
    return made


def print_note(text: str) -> None:
    """Prints a message to the person, on stderr."""
    click.echo(printable_text(text, keep="\n"), err=True)


def print_answer(answer: Mapping[str, Any], words: str, as_json: bool) -> None:
    """Prints the answer of a short command, as JSON or in words."""
    if as_json:
        print_json(answer)
    else:
        make_console().print(Text(words))


def print_json(content: Any) -> None:
    """Prints the one JSON document of ``--json``."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, default=as_text))


def printable_text(text: object, keep: str = "") -> str:
    """Returns ``text`` without characters that control a terminal, because records and server
    answers come from others."""
    return "".join(char if char.isprintable() or char in keep else " " for char in str(text))


def print_deletions(told: Iterable[Mapping[str, Any]]) -> None:
    """Prints what will be deleted, when, and the command that keeps it. The line is never cut, so
    that a person can copy the command."""
    for one in told:
        make_console().print(Text(printable_text(one["text"])), soft_wrap=True)


def status_symbol(status: str) -> Text:
    sign, tone = symbols.status_symbol(status)
    return Text(sign, style=STYLES[tone])


def status_text(status: str) -> Text:
    sign, tone = symbols.status_symbol(status)
    return Text(f"{sign} {status}", style=STYLES[tone])


def make_table(*titles: str, drop: Sequence[str] = (), cut: Sequence[str] = ()) -> Listing:
    """Makes a table. If a line has no room for all columns, those of ``drop`` are left out in that
    order, and long cells continue in the next line; a column of ``cut`` is cut instead."""
    return Listing(titles, drop, cut)


def add_row(into: Listing, cells: Iterable[Text | object]) -> None:
    into.add([_make_cell(cell) for cell in cells])


def _make_cell(cell: Text | object) -> Text:
    if isinstance(cell, Text):
        return cell
    return Text(printable_text("" if cell is None else cell))


# --- times ----------------------------------------------------------------------------------------


def parse_moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def seconds_since(begun: str, ended: str | None = None) -> float:
    """Returns the seconds from ``begun`` to ``ended``, or to this machine's present time; never
    less than zero, even if the clocks differ."""
    return max(
        0.0,
        (
            (parse_moment(ended) if ended else datetime.now(UTC)) - parse_moment(begun)
        ).total_seconds(),
    )


def seconds_until(due: str) -> float:
    return max(0.0, (parse_moment(due) - datetime.now(UTC)).total_seconds())


def format_span(seconds: float) -> str:
    """Returns a duration in its two largest units."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    hours = seconds / 3600
    if minutes < 60:
        return f"{int(minutes)} min {int(seconds % 60):02d} s"
    if hours < 48:
        return f"{int(hours)} h {int(minutes % 60):02d} min"
    return f"{int(hours / 24)} days"


def format_age(seconds: float) -> str:
    """Returns a duration in one unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def format_clock(text: str) -> str:
    return f"{parse_moment(text).astimezone():%H:%M:%S}"
