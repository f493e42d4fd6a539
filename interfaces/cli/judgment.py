"""The gate's report at the terminal: what was checked, what made the difference, and the worst queries."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from interfaces.cli.screen import plain, row, table, word

Seen = Mapping[str, Any]


def gate(report: Seen) -> RenderableType:
    """What was not checked stands first, for it is what a table of passes hides."""
    warnings = [Text(f"⚠ {plain(warning)}", style="yellow") for warning in report["warnings"]]
    rows = table("GATE", "VALUE", "BOUND", "N", "VERDICT", "DETAIL")
    for check in report["checks"]:
        numbers = (_number(check["value"]), _number(check["bound"]), f"{check['n']:,}")
        row(rows, (check["name"], *numbers, _verdict(check), check["detail"]))
    return Group(*warnings, _head(report), rows, *_cause(report), *_worst(report))


def _head(report: Seen) -> Text:
    beside = f" beside {report['live']}" if report.get("live") else ""
    return Text.assemble(word(report["verdict"]), f"  {report['collection']}{beside}")


def _verdict(check: Seen) -> Text:
    if check.get("level") == "shown" and check["verdict"] == "pass":
        return Text("• shown", style="dim")
    return word(check["verdict"])


def _cause(report: Seen) -> list[RenderableType]:
    found = report.get("attribution")
    if not found:
        return []
    lost = ", ".join(f"{name} {value:+.4f}" for name, value in found["lost"].items())
    most = f"most by the {found['cause']}" if found["cause"] else "nothing is lost"
    return [Text(f"lost by {lost} ({found['measure']}, n={found['n']}): {most}")]


def _worst(report: Seen) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for worst in report.get("worst", []):
        parts.append(Padding(Text(f"worst: {plain(worst['query'])}  loss {worst['loss']:.3f}"), (1, 0, 0, 0)))
        parts.append(_side_by_side(worst["live"], worst["green"], set(worst["relevant"])))
    return parts


def _side_by_side(live: Sequence[Seen] | None, green: Sequence[Seen], relevant: set[str]) -> RenderableType:
    rows = table("", "LIVE", "NEW", cut=("LIVE", "NEW"))
    for rank in range(max(len(live or ()), len(green))):
        row(rows, (f"{rank + 1:2}", _answer(live, rank, relevant), _answer(green, rank, relevant)))
    return rows


def _answer(answers: Sequence[Seen] | None, rank: int, relevant: set[str]) -> Text:
    if answers is None or rank >= len(answers):
        return Text("")
    answer = answers[rank]
    mark = "* " if str(answer["id"]) in relevant else ""
    text = plain(f"{mark}{answer['score']:.3f}  {answer['record']}  {answer['text']}")
    return Text(text[:_WIDEST])


#: Two answers stand beside each other.
_WIDEST = 56


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
