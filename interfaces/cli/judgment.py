"""The gate's report at the terminal: what was checked, what decided the verdict, and the worst
queries."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from qdrant_rollouts.interfaces.cli.screen import add_row, make_table, printable_text, status_text

Seen = Mapping[str, Any]


def render_gate(report: Seen, *, every: bool = False) -> RenderableType:
    """Renders the report. What was not checked comes first, because a list of passed checks would
    hide it. Then the checks that did not pass are explained. The others are one line of names;
    ``every`` adds a table of all checks."""
    warnings = [
        Text(f"⚠ {printable_text(warning)}", style="yellow") for warning in report["warnings"]
    ]
    stopped = [check for check in report["checks"] if _did_not_pass(check)]
    stopped.sort(key=lambda check: check["verdict"] != "block")
    told = [part for check in stopped for part in _explain_check(check)]
    rest = [_table_of_checks(report["checks"])] if every else _summarize_rest(report["checks"])
    return Group(
        *warnings,
        _verdict_line(report),
        *told,
        *rest,
        *_explain_loss(report),
        *_worst_queries(report),
    )


def _verdict_line(report: Seen) -> Text:
    beside = ""
    if report.get("live"):
        beside = f" beside {report['live']}"
    return Text.assemble(status_text(report["verdict"]), f"  {report['collection']}{beside}")


def _did_not_pass(check: Seen) -> bool:
    return bool(check["verdict"] != "pass" and check.get("level") != "shown")


def _explain_check(check: Seen) -> list[RenderableType]:
    """Explains a check: what was found, what it means, what to do, and the figures. Reports of
    older releases have only figures."""
    found = check.get("found") or check["detail"]
    figures = (
        f"{_format_number(check['value']) or 'unknown'} against "
        f"{_format_number(check['bound']) or 'no bound'}, n={check['n']:,}"
    )
    if check["detail"] not in found:
        figures += f"; {check['detail']}"
    lines = [
        Text(printable_text(found)),
        *(Text(printable_text(check[key])) for key in ("means", "act") if check.get(key)),
        Text(printable_text(figures), style="dim"),
    ]
    head = Text.assemble(status_text(check["verdict"]), "  ", (check["name"], "bold"))
    return [head, *(Padding(line, (0, 0, 0, _INDENT)) for line in lines)]


#: The indent of sentences below the name of their check.
_INDENT = 2


def _summarize_rest(checks: Sequence[Seen]) -> list[RenderableType]:
    passed = [
        check["name"]
        for check in checks
        if check["verdict"] == "pass" and check.get("level") != "shown"
    ]
    shown = [
        f"{check['name']} {_format_number(check['value'])}".strip()
        for check in checks
        if check.get("level") == "shown"
    ]
    lines = []
    if passed:
        lines.append(
            f"✔ {len(passed)} {'checks' if len(passed) > 1 else 'check'} passed: "
            f"{', '.join(passed)}"
        )
    if shown:
        lines.append(f"• {len(shown)} only shown: {', '.join(shown)}")
    return [
        *(Text(printable_text(line)) for line in lines),
        *([Text("all with their figures: --all", style="dim")] if lines else []),
    ]


def _table_of_checks(checks: Sequence[Seen]) -> RenderableType:
    rows = make_table("GATE", "VALUE", "BOUND", "N", "VERDICT", "FOUND", "FIGURES")
    for check in checks:
        numbers = (
            _format_number(check["value"]),
            _format_number(check["bound"]),
            f"{check['n']:,}",
        )
        found = check.get("found") or ""
        detail = check["detail"]
        add_row(
            rows,
            (
                check["name"],
                *numbers,
                _verdict_cell(check),
                found if found != detail else "",
                detail,
            ),
        )
    return rows


def _verdict_cell(check: Seen) -> Text:
    if check.get("level") == "shown" and check["verdict"] == "pass":
        return Text("• shown", style="dim")
    return status_text(check["verdict"])


def _explain_loss(report: Seen) -> list[RenderableType]:
    found = report.get("attribution")
    if not found:
        return []
    lost = ", ".join(f"{name} {value:+.4f}" for name, value in found["lost"].items())
    figures = f"({lost}; {found['measure']}, n={found['n']})"
    if not found["cause"]:
        return [
            Text(
                "Compared with live, neither index nor data nor model stands out as the cause of "
                f"lost answers {figures}"
            )
        ]
    return [Text(f"Most answers were lost because of the {found['cause']} {figures}")]


def _worst_queries(report: Seen) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for worst in report.get("worst", []):
        parts.append(
            Padding(
                Text(f"worst: {printable_text(worst['query'])}  loss {worst['loss']:.3f}"),
                (1, 0, 0, 0),
            )
        )
        parts.append(_compare_answers(worst["live"], worst["green"], set(worst["relevant"])))
    return parts


def _compare_answers(
    live: Sequence[Seen] | None, green: Sequence[Seen], relevant: set[str]
) -> RenderableType:
    rows = make_table("", "LIVE", "NEW", cut=("LIVE", "NEW"))
    for rank in range(max(len(live or ()), len(green))):
        add_row(
            rows,
            (
                f"{rank + 1:2}",
                _answer_cell(live, rank, relevant),
                _answer_cell(green, rank, relevant),
            ),
        )
    return rows


def _answer_cell(answers: Sequence[Seen] | None, rank: int, relevant: set[str]) -> Text:
    if answers is None or rank >= len(answers):
        return Text("")
    answer = answers[rank]
    mark = ""
    if str(answer["id"]) in relevant:
        mark = "* "
    text = printable_text(f"{mark}{answer['score']:.3f}  {answer['record']}  {answer['text']}")
    return Text(text[:_WIDEST_ANSWER])


#: The greatest width of an answer: two answers are side by side.
_WIDEST_ANSWER = 56


def _format_number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}"
