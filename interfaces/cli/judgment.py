"""The gate's report at the terminal: what was checked, what made the difference, and the worst queries."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from qdrant_rollouts.interfaces.cli.screen import plain, row, table, word

Seen = Mapping[str, Any]


def gate(report: Seen, *, every: bool = False) -> RenderableType:
    """What was not checked stands first, for it is what a table of passes hides. Then what did not pass, in words with
    the figures behind. The rest is a line of names, and a table of all with ``every``."""
    warnings = [Text(f"⚠ {plain(warning)}", style="yellow") for warning in report["warnings"]]
    stopped = [check for check in report["checks"] if _stops(check)]
    stopped.sort(key=lambda check: check["verdict"] != "block")
    told = [part for check in stopped for part in _told(check)]
    rest = [_table(report["checks"])] if every else _folded(report["checks"])
    return Group(*warnings, _head(report), *told, *rest, *_cause(report), *_worst(report))


def _head(report: Seen) -> Text:
    beside = f" beside {report['live']}" if report.get("live") else ""
    return Text.assemble(word(report["verdict"]), f"  {report['collection']}{beside}")


def _stops(check: Seen) -> bool:
    return bool(check["verdict"] != "pass" and check.get("level") != "shown")


def _told(check: Seen) -> list[RenderableType]:
    """What was found, what it means, what to do, and the figures; reports of an older release have figures alone."""
    found = check.get("found") or check["detail"]
    figures = (
        f"{_number(check['value']) or 'unknown'} against {_number(check['bound']) or 'no bound'}, n={check['n']:,}"
    )
    if check["detail"] not in found:
        figures += f"; {check['detail']}"
    lines = [
        Text(plain(found)),
        *(Text(plain(check[key])) for key in ("means", "act") if check.get(key)),
        Text(plain(figures), style="dim"),
    ]
    head = Text.assemble(word(check["verdict"]), "  ", (check["name"], "bold"))
    return [head, *(Padding(line, (0, 0, 0, _INDENT)) for line in lines)]


#: Sentences stand below the name of their check.
_INDENT = 2


def _folded(checks: Sequence[Seen]) -> list[RenderableType]:
    passed = [check["name"] for check in checks if check["verdict"] == "pass" and check.get("level") != "shown"]
    shown = [f"{check['name']} {_number(check['value'])}".strip() for check in checks if check.get("level") == "shown"]
    lines = []
    if passed:
        lines.append(f"✔ {len(passed)} {'checks' if len(passed) > 1 else 'check'} passed: {', '.join(passed)}")
    if shown:
        lines.append(f"• {len(shown)} only shown: {', '.join(shown)}")
    return [
        *(Text(plain(line)) for line in lines),
        *([Text("all with their figures: --all", style="dim")] if lines else []),
    ]


def _table(checks: Sequence[Seen]) -> RenderableType:
    rows = table("GATE", "VALUE", "BOUND", "N", "VERDICT", "FOUND", "FIGURES")
    for check in checks:
        numbers = (_number(check["value"]), _number(check["bound"]), f"{check['n']:,}")
        found, detail = check.get("found") or "", check["detail"]
        row(rows, (check["name"], *numbers, _verdict(check), found if found != detail else "", detail))
    return rows


def _verdict(check: Seen) -> Text:
    if check.get("level") == "shown" and check["verdict"] == "pass":
        return Text("• shown", style="dim")
    return word(check["verdict"])


def _cause(report: Seen) -> list[RenderableType]:
    found = report.get("attribution")
    if not found:
        return []
    lost = ", ".join(f"{name} {value:+.4f}" for name, value in found["lost"].items())
    figures = f"({lost}; {found['measure']}, n={found['n']})"
    if not found["cause"]:
        return [Text(f"Beside live, neither index nor data nor model stands out as what lost answers {figures}")]
    return [Text(f"Answers were lost most by the {found['cause']} {figures}")]


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
