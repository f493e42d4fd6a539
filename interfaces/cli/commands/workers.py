"""``rollouts workers``."""

from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from qdrant_rollouts.core.deployments import unclaimed
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb

Seen = Mapping[str, Any]


@click.command()
@json_option
@verb
def show_workers(as_json: bool) -> int:
    """Shows what each worker does, and which turns wait and why.

    A due turn waits because no worker takes its queue, because all its workers are busy, or because
    messages are lost.
    """
    with open_for_reading() as context:
        found = unclaimed.list_workers_and_waits(context.services)
    if as_json:
        screen.print_json(found)
        return DONE
    titles = ("NAME", "QUEUES", "STATE", "SEEN", "CLOCK", "MESSAGES", "VERSION", "DOES")
    rows = screen.make_table(*titles, drop=("MESSAGES", "VERSION", "QUEUES"))
    for one in found["workers"]:
        seen = f"{screen.format_age(one['seen_seconds'])} ago"
        names = (one["name"], ", ".join(one["queues"]))
        screen.add_row(
            rows,
            (*names, _state(one), seen, _clock(one), _messages(one), one["version"], _does(one)),
        )
    out = screen.make_console()
    out.print(
        rows
        if found["workers"]
        else Text("no worker has said yet that it is there; `rollouts doctor` looks")
    )
    for waiting in found["waiting"]:
        out.print(
            Text(screen.printable_text(f"{waiting['text']}. Next: {waiting['next']}")),
            soft_wrap=True,
        )
    return DONE


def _state(one: Seen) -> Text:
    if not one["answers"]:
        return Text("✖ silent", style="red")
    if not one["concurrency"]:
        return Text("✔ there", style="green")
    busy = f"{len(one['busy'])} of {one['concurrency']} busy"
    if one["busy"]:
        return Text(f"◌ {busy}", style="cyan")
    return Text(f"✔ {busy}", style="green")


def _clock(one: Seen) -> Text:
    words = f"{round(one['clock_offset_seconds'], 1) + 0:+.1f} s"
    if one["clock_is_off"]:
        return Text(f"⚠ {words}", style="yellow")
    return Text(words)


def _messages(one: Seen) -> str:
    if one["discarded"]:
        return f"{one['received']:,}, {one['discarded']:,} discarded"
    return f"{one['received']:,}"


def _does(one: Seen) -> str:
    return "; ".join(
        f"{_task(busy)} for {screen.format_span(busy['seconds'])}" for busy in one["busy"]
    )


def _task(busy: Seen) -> str:
    return (
        f"{busy['task'].removeprefix('deployments.')} of {busy['alias']}"
        if busy["alias"]
        else busy["task"]
    )
