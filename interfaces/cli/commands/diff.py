"""``rollouts diff``."""

from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from qdrant_rollouts.core import defaults
from qdrant_rollouts.core.collections import comparing
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@click.argument("alias")
@click.argument("v1")
@click.argument("v2")
@click.option(
    "--sample",
    type=click.IntRange(1, 100_000),
    default=defaults.COMPARED,
    show_default=True,
    help="Records to compare.",
)
@json_option
@verb
def show_differences(alias: str, v1: str, v2: str, sample: int, as_json: bool) -> int:
    """Shows how version V2 of ALIAS differs from V1.

    V1 and V2 are numbers or collections, or `live` for what serves. Settings, model and counts are
    compared, and a sample of the records. The sample is the same each time.
    """
    with open_for_reading(store=True) as context:
        seen = comparing.diff_versions(context.services, alias, v1, v2, sample)
    if as_json:
        screen.print_json(seen)
        return DONE
    out = screen.make_console()
    out.print(Text(f"{seen['from']['collection']} → {seen['to']['collection']}"))
    rows = screen.make_table("WHAT", "BEFORE", "AFTER")
    for name, (before, after) in {**seen["model"], **seen["counts"]}.items():
        screen.add_row(rows, (name, before, after))
    out.print(rows)
    for line in seen["schema"] or ["settings: the same"]:
        out.print(Text(screen.printable_text(line)))
    _print_content(seen)
    return DONE


def _print_content(seen: Mapping[str, Any]) -> None:
    out = screen.make_console()
    content = seen["content"]
    if content is None:
        out.print(Text(f"records cannot be compared: {', '.join(seen['gone'])} is gone"))
        return
    rows = screen.make_table("RECORDS", "COUNT", "OF", "EXAMPLES")
    for name in ("added", "removed", "changed"):
        told = content[name]
        screen.add_row(
            rows,
            (name, f"{told['count']:,}", f"{told['of']:,}", ", ".join(map(str, told["examples"]))),
        )
    out.print(rows)
    out.print(
        Text(
            "all records were compared" if content["complete"] else "of a sample of the records",
            "dim",
        )
    )
