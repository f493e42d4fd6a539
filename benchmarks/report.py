"""The tables: on the terminal while it goes on, as a page of the documentation when it is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.results import Result

_HEADS = ("what", "found", "against", "ratio", "bound", "")
_VERDICTS = {True: "ok", False: "MISSED", None: ""}


@dataclass(frozen=True, slots=True)
class Report:
    """One benchmark that was run; ``load`` of the machine just before, ``about`` what is measured
    and how."""

    name: str
    about: str
    load: float
    results: Sequence[Result]

    @property
    def missed(self) -> bool:
        return any(result.ok is False for result in self.results)


def show_facts(console: Console, facts: Mapping[str, str]) -> None:
    for name, value in facts.items():
        console.print(f"{name:10} {value}", highlight=False)


def show(console: Console, report: Report) -> None:
    table = Table(
        *_HEADS, title=f"{report.name}, load before {report.load:.1f}", title_justify="left"
    )
    for result in report.results:
        table.add_row(*_cells(result))
    console.print(table)


def page(command: str, date: str, facts: Mapping[str, str], reports: Sequence[Report]) -> str:
    """Markdown. ``date`` is the day of the run in UTC."""
    head = [
        "# Benchmarks",
        "",
        f"Figures of one run of `{command}` on {date}, which wrote this page; `make bench` shows "
        "the same tables.",
        "",
        *[f"- {name}: {value}" for name, value in facts.items()],
        "",
        "A ratio is the median over pairs of runs that took turns; speeds are medians, lowest and "
        "highest beside them.",
        "Load is the machine's just before: beyond its cores, others were at work too.",
    ]
    return "\n".join(head + [line for report in reports for line in _section(report)]) + "\n"


def _section(report: Report) -> list[str]:
    rows = [_HEADS, ("---",) * len(_HEADS), *map(_cells, report.results)]
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    return [
        "",
        f"## {report.name}",
        "",
        report.about,
        "",
        f"Load before: {report.load:.1f}.",
        "",
        *lines,
    ]


def _cells(result: Result) -> tuple[str, ...]:
    ratio = f"{result.ratio:.2f}" if result.ratio is not None else ""
    return result.name, result.value, result.baseline, ratio, result.bound, _VERDICTS[result.ok]
