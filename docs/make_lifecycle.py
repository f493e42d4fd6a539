"""Draws ``docs/lifecycle.md`` from the transition tables: ``python -m docs.make_lifecycle``."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qdrant_rollouts.core.lifecycle import (
    DELETION_TRANSITIONS,
    DELIVERY_TRANSITIONS,
    EXPERIMENT_TRANSITIONS,
    FINAL,
    SLICE_TRANSITIONS,
    TRANSITIONS,
    DeletionStatus,
    DeliveryStatus,
    ExperimentStatus,
    SliceStatus,
    Status,
)

PAGE = Path(__file__).with_name("lifecycle.md")

_HEAD = """# The life of a deployment

`python -m docs.make_lifecycle` draws this page from the tables in
`core/lifecycle.py`; a test fails when it is stale. The engine moves a deployment by
itself. `pause`, `resume`, `promote`, `promote_full`, `retry`, `abort` and `abort_keep`
are requests of an operator, which take effect between turns.
"""


Transitions = Mapping[tuple[Any, Any], str]


def page() -> str:
    return "\n".join(
        [
            _HEAD,
            *_draw(TRANSITIONS, Status.PENDING, FINAL),
            *_section(
                "an experiment", EXPERIMENT_TRANSITIONS, ExperimentStatus.DRAFT, ExperimentStatus
            ),
            *_section("a deletion", DELETION_TRANSITIONS, DeletionStatus.SCHEDULED, DeletionStatus),
            *_section(
                "the delivery of an alert",
                DELIVERY_TRANSITIONS,
                DeliveryStatus.WAITING,
                DeliveryStatus,
            ),
            *_section("a slice of the source", SLICE_TRANSITIONS, SliceStatus.FILLING, SliceStatus),
        ]
    )


def _section(of: str, table: Transitions, first: str, statuses: Iterable[str]) -> list[str]:
    left = {origin for origin, _ in table}
    return [
        f"## The life of {of}",
        "",
        *_draw(table, first, [status for status in statuses if status not in left]),
    ]


def _draw(table: Transitions, first: str, final: Iterable[str]) -> list[str]:
    edges = [f"    {origin} --> {target}: {event}" for (origin, event), target in table.items()]
    ends = [f"    {status} --> [*]" for status in sorted(final)]
    rows = [f"| {origin} | {event} | {target} |" for (origin, event), target in table.items()]
    drawn = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *edges, *ends, "```", ""]
    return [*drawn, "| from | event | to |", "|---|---|---|", *rows, ""]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
