"""The plan of an experiment at the terminal: what each metric needs, what this is based on, and
what to do next."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from qdrant_rollouts.interfaces import figures
from qdrant_rollouts.interfaces.cli.screen import add_row, make_table, printable_text

Seen = Mapping[str, Any]

_LEGEND = (
    "FIXED TEST: users of control and treatment that one test at the end needs. N*: of both, where "
    "one may look at any time, as in an experiment. IN … DAYS: the effect that can be found in the "
    "longest time that it may last. Power 80 %."
)


def render_plan(seen: Seen) -> RenderableType:
    parts = [
        _plan_sentence(seen),
        _describe_traffic(seen),
        _table_of_needs(seen),
        *_table_of_unknown(seen),
    ]
    return Group(
        *(part if part is parts[0] else Padding(part, (1, 0, 0, 0), expand=False) for part in parts)
    )


def _plan_sentence(seen: Seen) -> RenderableType:
    """Summarizes the plan in one sentence, and says what to do next."""
    lacking = ", ".join(seen["missing"])
    if seen["n_star"] is None:
        return Text(
            f"? {printable_text(seen['alias'])}: nothing can be planned; not known: {lacking}",
            style="yellow",
        )
    users = f"{seen['n_star']:,} users, control and treatment together"
    if seen["days"] is None:
        told = Text(
            f"? {printable_text(seen['alias'])}: {users}; how many days that takes is not known",
            style="yellow",
        )
    elif max(seen["days"], seen["min_days"]) > seen["max_days"]:
        took = f"about {figures.days(seen['days'])}, more than the {seen['max_days']:g} it may last"
        told = Text(f"✖ {printable_text(seen['alias'])}: {users}: {took}", style="red")
    else:
        least = ""
        if seen["days"] < seen["min_days"]:
            least = f", and at least {seen['min_days']:g} days"
        told = Text(
            f"✔ {printable_text(seen['alias'])}: {users}: about "
            f"{figures.days(seen['days'])}{least}",
            style="green",
        )
    without = [Text(f"  without what is not known: {lacking}", style="yellow")] if lacking else []
    create = f"  then: rollouts experiment create NAME … --option n_star={seen['n_star']}"
    return Group(told, *without, Text(create, style="dim"))


def _describe_traffic(seen: Seen) -> RenderableType:
    if seen["users_per_day"] is None:
        return Text(f"users a day: not known: {printable_text(seen['users_from'])}")
    told = (
        f"{figures.format_count(seen['users_per_day'])} new users a day "
        f"({printable_text(seen['users_from'])})"
    )
    share = figures.format_basis_points(seen["coverage"])
    users = figures.format_count(seen["taking_part_per_day"])
    taking = f"{share} of them take part: {users} a day"
    return Text(f"{told}; {taking}")


def _table_of_needs(seen: Seen) -> RenderableType:
    rows = make_table(
        "METRIC", "NOW", "TO FIND", "FIXED TEST", "N*", "DAYS", f"IN {seen['max_days']:g} DAYS"
    )
    sources: dict[str, list[str]] = {}
    for metric in seen["metrics"]:
        if not metric["missing"]:
            sources.setdefault(metric["from"], []).append(metric["name"])
            add_row(
                rows, (_two_lines(metric["name"], f"  {metric['role']}"), *_needs_of_metric(metric))
            )
    if not sources:
        return Text("no metric is known")
    told = [
        Text(printable_text(f"{', '.join(names)}: from {source}"))
        for source, names in sources.items()
    ]
    return Group(rows, *told, Text(_LEGEND, style="dim"))


def _needs_of_metric(metric: Seen) -> Iterator[str | Text]:
    unit = figures.unit_of_metric(metric)
    users = metric["users"]
    days = metric["days"]
    yield unit.value(metric["control"])
    yield _effect_text(metric, metric["effect"])
    yield f"{users['control']:,} + {users['treatment']:,}"
    yield f"{metric['n_star']:,}"
    yield "" if days is None else figures.days(days)
    if metric["fixed"] is not None:
        first, second = (_effect_text(metric, metric[key]) for key in ("fixed", "sequential"))
        yield _two_lines(f"fixed test {first}", f"any time {second}")


def _two_lines(first: str, second: str) -> Text:
    return Text.assemble(printable_text(first), (f"\n{second}", "dim"))


def _effect_text(metric: Seen, effect: float) -> str:
    """Returns the effect in the form in which the person gave it. The plan has it in the metric's
    unit."""
    if metric["relative"]:
        return figures.format_percent(effect / abs(metric["control"]), "")
    return figures.unit_of_metric(metric).change(effect).removeprefix("+")


def _table_of_unknown(seen: Seen) -> list[RenderableType]:
    lacking = [metric for metric in seen["metrics"] if metric["missing"]]
    if not lacking:
        return []
    rows = make_table("NOT KNOWN", "ROLE", "WHY")
    for metric in lacking:
        add_row(rows, (metric["name"], metric["role"], metric["missing"]))
    return [rows]
