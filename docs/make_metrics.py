"""Writes the code's descriptions of metrics into ``docs/metrics.md``: ``python -m
docs.make_metrics``."""

from pathlib import Path

from qdrant_rollouts.interfaces.http.metrics import METRICS

PAGE = Path(__file__).with_name("metrics.md")

_BEGIN = "<!-- drawn by python -m docs.make_metrics; a test fails when it is stale -->"
_END = "<!-- until here -->"


def page(text: str) -> str:
    """Returns ``text`` with the table that the code has now."""
    before, rest = text.split(_BEGIN)
    return f"{before}{_BEGIN}\n\n{_table()}\n\n{_END}{rest.split(_END)[1]}"


def _table() -> str:
    rows = [
        f"| `{metric.sampled}` | {metric.kind} | "
        f"{', '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |"
        for metric in METRICS
    ]
    return "\n".join(["| metric | kind | labels | what it says |", "|---|---|---|---|", *rows])


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
