"""What a person asked of the list of indexes, and which names that leaves, in which order.

Rule: everything here is a function of plain values, so a link that somebody shares shows the same.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from qdrant_rollouts.core.operations.choices import check_choice
from qdrant_rollouts.core.operations.views.overview.ranking import ATTENTION

#: Indexes on a page of the list.
PAGE_SIZE = 25
#: The states that the list can be narrowed to, with their words. An index may have several.
STATES = {
    "attention": "needs attention",
    "running": "running or paused",
    "serves": "serves",
    "unbuilt": "not built",
}
#: The orders, with their words. ``attention`` is the order of the ranks.
SORTS = {
    "attention": "attention first",
    "name": "name",
    "since": "serving since",
    "points": "points",
    "last": "last rebuild",
    "next": "next rebuild",
}
#: The value that switches groups on.
BY_PREFIX = "prefix"
#: Orders in which the largest value comes first: the newest, the most points.
_LARGEST_FIRST = ("since", "points", "last")
_PREFIX = re.compile(r"([^-_./:]+)[-_./:]")


@dataclass(frozen=True, slots=True)
class HomeChoice:
    """``text`` is looked for in the name, the live collection and the model. ``state`` is empty for
    all. Raises Malformed for an unknown value."""

    text: str = ""
    state: str = ""
    sort: str = "attention"
    group: str = ""
    page: int = 1

    def __post_init__(self) -> None:
        for name, value, known in (
            ("state", self.state, ("", *STATES)),
            ("sort", self.sort, tuple(SORTS)),
            ("group", self.group, ("", BY_PREFIX)),
        ):
            check_choice(name, value, known)

    @property
    def narrows(self) -> bool:
        """Whether it leaves out any index, or begins later than at the first one."""
        return bool(self.text or self.state or self.page > 1)


@dataclass(frozen=True, slots=True)
class LightRow:
    """The few values of an index that the list is narrowed and ordered by. ``value`` is that of the
    chosen order, None if it is not known."""

    alias: str
    rank: int
    running: bool
    collection: str | None = None
    model: str = ""
    value: str | int | None = None

    def is_in(self, state: str) -> bool:
        found = {
            "attention": self.rank >= ATTENTION,
            "running": self.running,
            "serves": self.collection is not None,
            "unbuilt": self.collection is None,
        }
        return found[state]

    def contains(self, text: str) -> bool:
        wanted = text.casefold()
        places = (self.alias, self.collection or "", self.model)
        return any(wanted in one.casefold() for one in places)


def count_states(rows: Iterable[LightRow]) -> dict[str, int]:
    listed = list(rows)
    return {state: sum(row.is_in(state) for row in listed) for state in STATES}


@dataclass(frozen=True, slots=True)
class Group:
    """The indexes whose names begin alike. Without a prefix it is a single one."""

    prefix: str
    rows: list[LightRow] = field(default_factory=list)


def order_rows(rows: Iterable[LightRow], sort: str) -> list[LightRow]:
    """Returns the rows in the chosen order. Rows of equal values are in the order of their names,
    and those whose value is not known come last."""
    by_name = sorted(rows, key=lambda row: row.alias)
    if sort == "name":
        return by_name
    if sort == "attention":
        return sorted(by_name, key=lambda row: -row.rank)
    known = [row for row in by_name if row.value is not None]
    ordered = sorted(known, key=_read_value, reverse=sort in _LARGEST_FIRST)
    return [*ordered, *(row for row in by_name if row.value is None)]


def group_rows(rows: Sequence[LightRow]) -> list[Group]:
    """Puts the indexes of one prefix together, where the first of them stands. A prefix that only
    one index has makes no group."""
    groups: dict[str, Group] = {}
    for row in rows:
        prefix = find_prefix(row.alias)
        key = f"prefix {prefix}" if prefix else f"name {row.alias}"
        groups.setdefault(key, Group(prefix)).rows.append(row)
    return [group if len(group.rows) > 1 else Group("", group.rows) for group in groups.values()]


def find_prefix(alias: str) -> str:
    """Returns the name up to its first ``-``, ``_``, ``.``, ``/`` or ``:``; empty if it has
    none."""
    found = _PREFIX.match(alias)
    return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbours on one page. ``prefix`` is that of their group; ``continues``: the group has begun
    on the page before. ``counts`` are those of the whole group."""

    aliases: list[str]
    prefix: str = ""
    size: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    continues: bool = False


def cut_page(groups: Sequence[Group], page: int) -> list[Block]:
    """Returns the blocks of one page."""
    begins = (page - 1) * PAGE_SIZE
    ends = begins + PAGE_SIZE
    blocks: list[Block] = []
    at = 0
    for group in groups:
        shown = group.rows[max(0, begins - at) : max(0, ends - at)]
        if shown and group.prefix:
            blocks.append(_build_block(group, shown, continues=at < begins))
        elif shown and blocks and not blocks[-1].prefix:
            blocks[-1].aliases.extend(row.alias for row in shown)
        elif shown:
            blocks.append(Block([row.alias for row in shown]))
        at += len(group.rows)
    return blocks


def _build_block(group: Group, shown: Sequence[LightRow], *, continues: bool) -> Block:
    return Block(
        [row.alias for row in shown],
        group.prefix,
        len(group.rows),
        count_states(group.rows),
        continues,
    )


def _read_value(row: LightRow) -> str | int:
    assert row.value is not None
    return row.value
