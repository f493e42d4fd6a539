"""The plan of a deployment at the terminal: what would be done, what it takes, and how right the
last plans were."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from qdrant_rollouts.core.answers.plans import Compared, Errors, Figure, Plan, Room
from qdrant_rollouts.core.collections.room import in_words
from qdrant_rollouts.core.deployments.commands import planning
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading

_LABEL = 10


def show_plan(alias: str, request: Mapping[str, Any], as_json: bool) -> int:
    """Plans a deployment and prints the plan. Nothing is opened for writing."""
    with open_for_reading(store=True) as context:
        plan = planning.plan_deployment(context.services, alias, **request)
    if as_json:
        screen.print_json(plan)
    else:
        screen.make_console().print(render_plan(plan))
    return DONE


def render_plan(plan: Plan) -> RenderableType:
    return Group(
        Text(screen.printable_text(f"{plan['alias']}: {plan['why']}")),
        *(_render_line(label, words) for label, words in _list_lines(plan)),
        *(Text(screen.printable_text(f"⚠ {one}"), style="yellow") for one in plan["warnings"]),
        *_render_errors(plan["errors"]),
        Text("nothing was changed", style="dim"),
    )


def _render_line(label: str, words: str) -> Text:
    return Text(screen.printable_text(f"  {label:{_LABEL}}{words}"))


def _list_lines(plan: Plan) -> Iterator[tuple[str, str]]:
    if plan["unchanged"]:
        yield "rebuild", f"would build nothing: {plan['unchanged']}"
    yield "source", plan["source"] or "none"
    yield "steps", " → ".join(plan["steps"])
    yield "records", _describe_figure(plan["records"], _count)
    if plan["changes"]["value"] is not None:
        yield "changes", _describe_figure(plan["changes"], _count)
    yield "texts", _describe_figure(plan["texts"], _count)
    yield "tokens", _describe_figure(plan["tokens"], _count)
    yield "time", _describe_figure(plan["seconds"], _duration)
    yield "watch", _describe_figure(plan["watching"], _duration)
    yield "workers", ", ".join(plan["workers"]["names"]) or plan["workers"]["note"]
    if plan["slices"] > 1:
        yield "slices", f"at most {plan['slices']} at once, each by a worker"
    yield "disk", _describe_room(plan["disk"])
    yield "memory", _describe_room(plan["memory"])
    yield "cost", _describe_figure(plan["cost"], _price)


def _describe_figure(figure: Figure, write: Callable[[float], str]) -> str:
    if figure["value"] is None:
        return f"not known: {figure['source'].removeprefix('not known: ')}"
    return f"{_with_ends(figure, write)} ({figure['source']})"


def _with_ends(figure: Figure, write: Callable[[float], str]) -> str:
    assert figure["value"] is not None
    low = figure["low"]
    high = figure["high"]
    told = write(figure["value"])
    if low == high:
        return told
    if high is None:
        return f"about {told}, at least {write(low)}" if low else f"about {told}"
    return f"about {told}, {write(low or 0.0)} to {write(high)}"


def _describe_room(room: Room) -> str:
    free = "how much is free is not known"
    if room["free"] is not None:
        free = f"at most {in_words(room['free'])} free"
    return f"{_describe_figure(room['needed'], in_words)}; {free}"


def _render_errors(errors: Errors) -> Iterator[RenderableType]:
    """Shows how far the last plans were off."""
    if not errors["plans"]:
        yield Text("  no plan of this index could be compared yet", style="dim")
        return
    rows = screen.make_table("PLAN OF", "WAY", "RECORDS", "TEXTS", "SECONDS")
    for one in errors["plans"]:
        counts = [_describe_error(one[unit], _count) for unit in ("records", "texts")]
        seconds = _describe_error(one["seconds"], _seconds)
        screen.add_row(rows, (one["deployment_id"], one["way"], *counts, seconds))
    yield Padding(rows, (1, 0, 0, 0), expand=False)


def _describe_error(compared: Compared, write: Callable[[float], str]) -> str:
    took = write(compared["took"])
    if compared["planned"] is None:
        return f"{took}, not planned"
    planned = write(compared["planned"])
    if took == planned:
        return f"{took}, as planned"
    told = f"{took} of {planned} planned"
    if compared["error"] is None:
        return told
    return f"{told}, {compared['error'] * 100:+,.0f} %"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _duration(seconds: float) -> str:
    if seconds >= 90:
        return f"{seconds / 60:,.1f} min"
    return f"{seconds:,.1f} s"


def _seconds(seconds: float) -> str:
    """A plan need not be right to parts of a second."""
    return f"{seconds:,.0f}" if seconds >= 1 else "less than 1"


def _price(amount: float) -> str:
    return f"{amount:,.4f}"
