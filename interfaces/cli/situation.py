"""What the page of a deployment says first, at the terminal: what happens now, since when, until
when, and what is needed of the person."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from qdrant_rollouts.interfaces.cli.screen import (
    STYLES,
    format_span,
    parse_moment,
    printable_text,
    seconds_since,
    seconds_until,
)
from qdrant_rollouts.interfaces.symbols import Tone

_STYLES = {
    "good": STYLES[Tone.GOOD],
    "bad": STYLES[Tone.BAD],
    "warn": STYLES[Tone.WARN],
    "calm": STYLES[Tone.CALM],
}


def render_situation(seen: Mapping[str, Any]) -> Table:
    """``seen`` is the answer of ``get_deployment_with_situation``."""
    situation = seen["situation"]
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in _list_rows(situation):
        style = _STYLES.get(situation["tone"], "") if name == "now" else ""
        grid.add_row(Text(name, style="dim"), Text(printable_text(text), style=style))
    return grid


def _list_rows(situation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "now", f"{situation['now']}."
    yield (
        "since",
        "; ".join(f"{one['what']} {_describe_moment(one['at'])}" for one in situation["since"]),
    )
    if situation["ended"]:
        yield "ended", _describe_moment(situation["ended"])
    elif situation["low"]:
        yield "until", _describe_end(situation["low"], situation["high"])
    else:
        yield "until", situation["until"]
    yield "needed", f"{situation['needed']}."
    if situation["advice"]:
        yield "next", situation["advice"]
    if situation["back"]:
        kept = ""
        if situation["kept_until"]:
            kept = f": until {_describe_moment(situation['kept_until'])}"
        yield "back", f"{situation['back']}{kept}."


def _describe_moment(at: str) -> str:
    return f"{parse_moment(at).astimezone():%Y-%m-%d %H:%M:%S} ({_describe_distance(at)})"


def _describe_distance(at: str) -> str:
    left = seconds_until(at)
    if left > 0:
        return f"in {format_span(left)}"
    return f"{format_span(seconds_since(at))} ago"


def _describe_end(low: str, high: str) -> str:
    soonest = format_span(seconds_until(low))
    latest = format_span(seconds_until(high))
    if soonest == latest:
        return f"it ends in about {latest}"
    return f"it ends in {soonest} to {latest}"
