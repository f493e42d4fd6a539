"""``versions``, ``diff``, ``adopt``, ``keep``, ``gc``: what an index was, what stays of it and what goes."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from core import adoption, collecting, comparing, keeping, lineage
from core.naming import shell_word
from interfaces.cli import screen
from interfaces.cli.running import DONE, actor, opened


def versions(alias: str, as_json: bool) -> int:
    with opened() as house:
        seen = lineage.versions(house.services, alias)
    if as_json:
        screen.emit(seen)
        return DONE
    rows = screen.table("", "NUMBER", "COLLECTION", "STATE", "POINTS", "MODEL", "GATE", "MADE", "BY")
    for row in seen["versions"]:
        screen.row(rows, _line(row))
    out = screen.console()
    out.print(rows)
    screen.print_deletions({"text": row["deletion"]} for row in seen["versions"] if row.get("deletion"))
    if any(row["number"] is None for row in seen["versions"]):
        out.print(
            Text(
                f"the live collection was made by somebody else; `rollouts adopt {shell_word(alias)}` takes it on",
                "dim",
            )
        )
    return DONE


def _line(row: Mapping[str, Any]) -> tuple[object, ...]:
    mark = Text("→", "green") if row["live"] else ""
    state = screen.word(row["state"])
    if row["state"] == "deletion due":
        state.append(f" in {screen.span(screen.seconds_until(row['delete_after']))}")
    made = screen.age(screen.seconds_since(row["created_at"])) if "created_at" in row else ""
    points, gate = row.get("points"), row.get("gate") or {}
    told = (row["number"], row["collection"], state, "" if points is None else f"{points:,}", row.get("model"))
    return (mark, *told, gate.get("verdict"), made, row.get("actor"))


def diff(alias: str, v1: str, v2: str, sample: int, as_json: bool) -> int:
    with opened() as house:
        seen = comparing.diff(house.services, alias, v1, v2, sample)
    if as_json:
        screen.emit(seen)
        return DONE
    out = screen.console()
    out.print(Text(f"{seen['from']['collection']} → {seen['to']['collection']}"))
    rows = screen.table("WHAT", "BEFORE", "AFTER", wrap=True)
    for name, (before, after) in {**seen["model"], **seen["counts"]}.items():
        screen.row(rows, (name, before, after))
    out.print(rows)
    for line in seen["schema"] or ["settings: the same"]:
        out.print(Text(screen.plain(line)))
    _print_content(seen)
    return DONE


def _print_content(seen: Mapping[str, Any]) -> None:
    out, content = screen.console(), seen["content"]
    if content is None:
        out.print(Text(f"records cannot be compared: {', '.join(seen['gone'])} is gone"))
        return
    rows = screen.table("RECORDS", "COUNT", "OF", "EXAMPLES")
    for name in ("added", "removed", "changed"):
        told = content[name]
        screen.row(rows, (name, f"{told['count']:,}", f"{told['of']:,}", ", ".join(map(str, told["examples"]))))
    out.print(rows)
    out.print(Text("all records were compared" if content["complete"] else "of a sample of the records", "dim"))


def adopt(alias: str, collection: str | None, trust: bool, reason: str, as_json: bool) -> int:
    with opened() as house:
        answer = adoption.adopt(house.services, alias, actor=actor(), reason=reason, collection=collection, trust=trust)
    if as_json:
        screen.emit(answer)
        return DONE
    agreed = answer["agreed"]
    told = f", {agreed['alike']} of {agreed['of']} records agree" if agreed else ""
    model = f"made with {answer['model']}{told}" if answer["model"] else "no model is declared for it"
    screen.console().print(Text(f"{answer['collection']} is version {answer['number']} of {alias}; {model}"))
    return DONE


def keep(collection: str, reason: str, as_json: bool) -> int:
    with opened() as house:
        answer = keeping.keep(house.services, collection, actor=actor(), reason=reason)
    if as_json:
        screen.emit(answer)
    else:
        screen.console().print(Text(f"{collection} is kept"))
    return DONE


def gc(dry_run: bool, orphans: bool, reason: str, as_json: bool) -> int:
    with opened() as house:
        answer = collecting.collect(house.services, actor=actor(), reason=reason, dry_run=dry_run, orphans=orphans)
    if as_json:
        screen.emit(answer)
        return DONE
    would = "would be " if dry_run else ""
    _print(f"{would}written down, kept no longer", answer["over"], "delete_after", "reason", "keep")
    _print(f"due, {would}deleted if nothing uses it", answer["due"], "reason", "waits_for", "used_by", "keep")
    _print(f"left over, {would}deleted", answer["leftovers"], "points", "run", "backup", "used_by", "deletion")
    _print("orphans: no row here knows them", answer["orphans"], "points", "deployment", "used_by", "deletion")
    _print("kept, though it was replaced", answer["kept"], "reason", "next")
    for line in answer["deleted"]:
        screen.console().print(Text(screen.plain(line)))
    if not any(answer[part] for part in ("over", "due", "leftovers", "orphans", "kept")):
        screen.console().print(Text("nothing to collect"))
    return DONE


def _print(title: str, found: Sequence[Mapping[str, Any]], *columns: str) -> None:
    if not found:
        return
    rows = screen.table("COLLECTION", *(column.replace("_", " ").upper() for column in columns))
    for one in found:
        cells = (one[column] for column in columns)
        screen.row(rows, (one["collection"], *("; ".join(cell) if isinstance(cell, list) else cell for cell in cells)))
    screen.console().print(Text(title, "dim"), rows, sep="\n")
