"""Draws ``docs/lifecycle.md`` from the transition table: ``python -m docs.make_lifecycle``."""

from pathlib import Path

from qdrant_rollouts.core.lifecycle import FINAL, TRANSITIONS, Status

PAGE = Path(__file__).with_name("lifecycle.md")

_HEAD = """# The life of a deployment

`python -m docs.make_lifecycle` draws this page from `TRANSITIONS` in
`core/lifecycle.py`; a test fails when it is stale. The engine moves a deployment by
itself. `pause`, `resume`, `promote`, `promote_full`, `retry`, `abort` and `abort_keep`
are requests of an operator, which take effect between turns.
"""


def page() -> str:
    return "\n".join([_HEAD, *_diagram(), "", *_table(), ""])


def _diagram() -> list[str]:
    edges = [f"    {origin} --> {target}: {event}" for (origin, event), target in TRANSITIONS.items()]
    ends = [f"    {status} --> [*]" for status in Status if status in FINAL]
    return ["```mermaid", "stateDiagram-v2", f"    [*] --> {Status.PENDING}", *edges, *ends, "```"]


def _table() -> list[str]:
    rows = [f"| {origin} | {event} | {target} |" for (origin, event), target in TRANSITIONS.items()]
    return ["| from | event | to |", "|---|---|---|", *rows]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
