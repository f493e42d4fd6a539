"""``diff``, ``adopt``, ``keep``: what has changed in an index, and what stays of it."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.collections import comparing
from qdrant_rollouts.core.collections.deletion import retention_policy as keeping
from qdrant_rollouts.core.deployments.commands import adoption
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_for_reading, open_services


def show_differences(alias: str, v1: str, v2: str, sample: int, as_json: bool) -> int:
    with open_for_reading(store=True) as house:
        seen = comparing.diff_versions(house.services, alias, v1, v2, sample)
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
        screen.add_row(rows, (name, f"{told['count']:,}", f"{told['of']:,}", ", ".join(map(str, told["examples"]))))
    out.print(rows)
    out.print(Text("all records were compared" if content["complete"] else "of a sample of the records", "dim"))


def adopt_alias(alias: str, collection: str | None, trust: bool, reason: str, as_json: bool) -> int:
    with open_services(needs="store") as house:
        answer = adoption.adopt_collection(
            house.services, alias, actor=actor(), reason=reason, collection=collection, trust=trust
        )
    if as_json:
        screen.print_json(answer)
        return DONE
    agreed = answer["agreed"]
    told = f", {agreed['alike']} of {agreed['of']} records agree" if agreed else ""
    model = f"made with {answer['model']}{told}" if answer["model"] else "no model is declared for it"
    screen.make_console().print(Text(f"{answer['collection']} is version {answer['number']} of {alias}; {model}"))
    return DONE


def keep_collection(collection: str, reason: str, as_json: bool) -> int:
    with open_services(needs="rows") as house:
        answer = keeping.keep_collection(house.services, collection, actor=actor(), reason=reason)
    if as_json:
        screen.print_json(answer)
    else:
        screen.make_console().print(Text(f"{collection} is kept"))
    return DONE
