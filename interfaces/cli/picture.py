"""A deployment as people see it: the tree of its steps, the gate's report, and its events."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.interfaces.cli.judgment import render_gate
from qdrant_rollouts.interfaces.cli.screen import (
    add_row,
    format_clock,
    format_span,
    make_table,
    printable_text,
    seconds_since,
    status_symbol,
)
from qdrant_rollouts.interfaces.cli.situation import render_situation

Seen = Mapping[str, Any]

_BAR = 24
_EVENTS = 15
#: If no worker has taken a new deployment for this long, a hint is shown.
_NOBODY_SECONDS = 10.0
_UNDER_WAY = {"running", "waiting"}


def render_tree(seen: Seen) -> RenderableType:
    """Returns the tree of steps; messages about the whole deployment are below it."""
    return Group(_tree_head(seen), _grid_of_steps(seen), *_tree_foot(seen))


def render_deployment(seen: Seen, *, every: bool = False) -> RenderableType:
    """Returns all that ``get_deployment_with_situation`` says."""
    return Group(
        _tree_head(seen),
        _grid_of_steps(seen),
        *_list_hints(seen, _list_deletions(seen)),
        render_report(seen, every=every),
    )


def render_report(seen: Seen, *, every: bool = False) -> RenderableType:
    """Returns what stands below the tree: the situation, the gate's report (with ``every`` check,
    if set) and the events."""
    parts = [
        render_situation(seen),
        *([render_gate(seen["gate"], every=every)] if seen["gate"] else []),
        _table_of_events(seen["events"]),
    ]
    return Group(*(Padding(part, (1, 0, 0, 0), expand=False) for part in parts))


def _grid_of_steps(seen: Seen) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for column in range(4):
        grid.add_column(no_wrap=column < 3, justify="right" if column == 2 else "left")
    steps = seen["steps"]
    for step in steps:
        branch = "└─ " if step is steps[-1] else "├─ "
        name = Text.assemble((branch, "dim"), status_symbol(step["status"]), f" {step_label(step)}")
        grid.add_row(
            name,
            Text(step["status"], style="dim"),
            Text(_step_duration(seen, step)),
            _step_detail(step),
        )
    return grid


def begun_steps(seen: Seen) -> list[Seen]:
    return [step for step in seen["steps"] if step["status"] != "pending"]


def current_step_label(seen: Seen) -> str:
    """Returns the name of the deployment's current step."""
    at = next(
        (step for step in seen["steps"] if step["status"] in {"running", "waiting", "failed"}), None
    )
    if at is None and seen["status"] != "live":
        at = next((step for step in seen["steps"] if step["status"] == "pending"), None)
    return step_label(at) if at else ""


def step_label(step: Seen) -> str:
    """Returns the step's name. A step that shares searches also shows its share."""
    share = step["arguments"].get("percentage")
    if share is None:
        return str(step["name"])
    return f"{step['name']} {'shadow' if step['arguments'].get('shadow') else f'{share:g} %'}"


def _tree_head(seen: Seen) -> Text:
    head = Text.assemble(
        status_symbol(seen["status"]), " ", (seen["alias"], "bold"), f"  {seen['status']}"
    )
    head.append(f"  {seen['strategy']} {seen['id']}\n", style="dim")
    moves = seen.get("kind", "rollout") == "rollout"
    return head.append(
        f"│  {seen['blue'] or 'nothing yet'} → {seen['green']}" if moves else f"│  {seen['green']}",
        "dim",
    )


def describe_decision(seen: Seen) -> str:
    """Returns the commands that end a pause. The message of an operator's pause begins with the
    word."""
    answers = ["promote", "retry", "abort"]
    if seen["message"].startswith("paused"):
        answers = ["resume", "abort"]
    *others, last = (f"`rollouts {answer} {seen['id']}`" for answer in answers)
    return f"it waits for you: {', '.join(others)} or {last}"


def _tree_foot(seen: Seen) -> list[Text]:
    """Returns what the situation says in more words."""
    lines = [seen["message"]] if seen["message"] else []
    if seen["requested"]:
        lines.append(f"{seen['requested']} was requested; it takes effect after the current turn")
    if seen.get("waits"):
        lines.append(f"{seen['waits']['text']}. Next: {seen['waits']['next']}")
    if seen["queue"]:
        lines.append(f"waits for a place: {seen['queue']['text']}")
    said = (text for text in _list_deletions(seen) if text not in seen["message"])
    return [Text(printable_text(line)) for line in lines] + _list_hints(seen, said)


def _list_deletions(seen: Seen) -> list[str]:
    return [deletion["text"] for deletion in seen.get("deletions", ())]


def _list_hints(seen: Seen, deletions: Iterable[str]) -> list[Text]:
    lines = list(deletions)
    if seen["status"] == Status.PAUSED and not seen["requested"]:
        lines.insert(0, describe_decision(seen))
    nobody = seen["status"] == "pending" and not seen["queue"]
    if nobody and seconds_since(seen["created_at"]) > _NOBODY_SECONDS:
        lines.insert(0, "no worker has taken it yet; `rollouts doctor` says whether anything runs")
    return [Text(printable_text(line)) for line in lines]


def _step_duration(seen: Seen, step: Seen) -> str:
    if not step["started_at"] or (step["finished_at"] is None and seen["finished_at"]):
        return ""
    return format_span(seconds_since(step["started_at"], step["finished_at"]))


def _step_detail(step: Seen) -> Text:
    progress = step["progress"]
    message = printable_text(step["message"])
    if step["status"] not in _UNDER_WAY or not progress or progress["done"] >= progress["size"]:
        return Text(message)
    detail = _progress_bar(progress["done"] / progress["size"])
    told = _progress_texts(progress)
    if not told or step["tries"] > 1 or progress["unit"] == "searches":
        told.append(message)
    return detail.append("  " + ", ".join(told))


def _progress_bar(share: float) -> Text:
    full = round(share * _BAR)
    return Text.assemble(("━" * full, "cyan"), ("─" * (_BAR - full), "dim"), f" {share:4.0%}")


def _progress_texts(progress: Seen) -> list[str]:
    """Returns how much is done, how fast, and how long the rest takes at that rate. Progress
    without a rate has no estimate."""
    if progress["unit"] == "searches":
        return [f"{progress['done']:,} of {progress['size']:,} searches"]
    rate = progress.get("rate")
    if not rate:
        return []
    done, unit = (
        (progress["records"], "records")
        if progress["unit"] == "source"
        else (progress["done"], "points")
    )
    left = None
    if progress["done"]:
        left = done * (progress["size"] / progress["done"] - 1) / rate
    eta = [f"{format_span(left)} left at {rate:,.0f}/s"] if left is not None else []
    return [f"{done:,} {unit}", *eta]


def _table_of_events(events: list[Seen]) -> RenderableType:
    rows = make_table("TIME", "EVENT", "ACTOR", "DETAIL")
    for event in events[-_EVENTS:]:
        add_row(rows, (format_clock(event["at"]), event["event"], event["actor"], event["detail"]))
    hidden = len(events) - _EVENTS
    if hidden > 0:
        return Group(rows, Text(f"{hidden} earlier events: --json has all", style="dim"))
    return rows
