"""The plan of an experiment at the terminal: what each metric needs, where that is known from, and what to do next."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from qdrant_rollouts.interfaces import figures
from qdrant_rollouts.interfaces.cli.screen import plain, row, table

Seen = Mapping[str, Any]

_LEGEND = (
    "FIXED TEST: users of control and treatment that one test at the end needs. N*: of both, where one looks at any "
    "time, as an experiment does. IN … DAYS: the effect that is found in the longest time it may last. Power 80 %."
)


def full(seen: Seen) -> RenderableType:
    parts = [_answer(seen), _coming(seen), _table(seen), *_unknown(seen)]
    return Group(*(part if part is parts[0] else Padding(part, (1, 0, 0, 0), expand=False) for part in parts))


def _answer(seen: Seen) -> RenderableType:
    """In one sentence, and what to do with it."""
    lacking = ", ".join(seen["missing"])
    if seen["n_star"] is None:
        return Text(f"? {plain(seen['alias'])}: nothing can be planned; not known: {lacking}", style="yellow")
    users = f"{seen['n_star']:,} users, control and treatment together"
    if seen["days"] is None:
        told = Text(f"? {plain(seen['alias'])}: {users}; how many days that takes is not known", style="yellow")
    elif max(seen["days"], seen["min_days"]) > seen["max_days"]:
        took = f"about {figures.days(seen['days'])}, more than the {seen['max_days']:g} it may last"
        told = Text(f"✖ {plain(seen['alias'])}: {users}: {took}", style="red")
    else:
        least = f", and at least {seen['min_days']:g} days" if seen["days"] < seen["min_days"] else ""
        told = Text(f"✔ {plain(seen['alias'])}: {users}: about {figures.days(seen['days'])}{least}", style="green")
    without = [Text(f"  without what is not known: {lacking}", style="yellow")] if lacking else []
    create = f"  then: rollouts experiment create NAME … --option n_star={seen['n_star']}"
    return Group(told, *without, Text(create, style="dim"))


def _coming(seen: Seen) -> RenderableType:
    if seen["users_per_day"] is None:
        return Text(f"users a day: not known: {plain(seen['users_from'])}")
    told = f"{figures.count(seen['users_per_day'])} new users a day ({plain(seen['users_from'])})"
    taking = f"{figures.points(seen['coverage'])} of them take part: {figures.count(seen['taking_part_per_day'])} a day"
    return Text(f"{told}; {taking}")


def _table(seen: Seen) -> RenderableType:
    rows = table("METRIC", "NOW", "TO FIND", "FIXED TEST", "N*", "DAYS", f"IN {seen['max_days']:g} DAYS")
    sources: dict[str, list[str]] = {}
    for metric in seen["metrics"]:
        if not metric["missing"]:
            sources.setdefault(metric["from"], []).append(metric["name"])
            row(rows, (_two(metric["name"], f"  {metric['role']}"), *_needs(metric)))
    if not sources:
        return Text("no metric is known")
    told = [Text(plain(f"{', '.join(names)}: from {source}")) for source, names in sources.items()]
    return Group(rows, *told, Text(_LEGEND, style="dim"))


def _needs(metric: Seen) -> Iterator[str | Text]:
    unit, users, days = figures.unit(metric), metric["users"], metric["days"]
    yield unit.value(metric["control"])
    yield _effect(metric, metric["effect"])
    yield f"{users['control']:,} + {users['treatment']:,}"
    yield f"{metric['n_star']:,}"
    yield "" if days is None else figures.days(days)
    if metric["fixed"] is not None:
        first, second = (_effect(metric, metric[key]) for key in ("fixed", "sequential"))
        yield _two(f"fixed test {first}", f"any time {second}")


def _two(first: str, second: str) -> Text:
    return Text.assemble(plain(first), (f"\n{second}", "dim"))


def _effect(metric: Seen, effect: float) -> str:
    """A plan's effect is in the metric's unit; people think of it as they gave it."""
    if metric["relative"]:
        return figures.percent(effect / abs(metric["control"]), "")
    return figures.unit(metric).change(effect).removeprefix("+")


def _unknown(seen: Seen) -> list[RenderableType]:
    lacking = [metric for metric in seen["metrics"] if metric["missing"]]
    if not lacking:
        return []
    rows = table("NOT KNOWN", "ROLE", "WHY")
    for metric in lacking:
        row(rows, (metric["name"], metric["role"], metric["missing"]))
    return [rows]
