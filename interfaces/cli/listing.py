"""A table that fits its terminal, whatever its cells contain.

Rule: nothing that the next command needs is ever cut. If the columns are wider than the terminal,
the least important ones are left out and named below the table, and long cells continue in the next
line.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.text import Text

#: The least width that a column keeps before another column is left out: the last column has words
#: that can continue in the next line, the others have names.
_WORDS = 32
_NAMES = 32
#: The space between two columns, and before words that are printed below their row.
_GAP = 2
_INDENT = 4


class Listing:
    """``drop`` names columns; the first one is left out first. A cell of a column in ``cut`` has
    only one line, and is cut if it is longer."""

    def __init__(self, titles: Sequence[str], drop: Sequence[str], cut: Sequence[str]) -> None:
        self._titles = tuple(titles)
        self._drop = tuple(drop)
        self._cut = frozenset(cut)
        self._rows: list[tuple[Text, ...]] = []

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def add(self, cells: Sequence[Text]) -> None:
        self._rows.append(tuple(cells))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        most = min(options.max_width, _total_width(self._natural_widths().values()))
        return Measurement(most, most)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        widths, below = self._choose_widths(options.max_width)
        yield self._render_row(console, [Text(title, "dim") for title in self._titles], widths)
        yield Text("─" * min(options.max_width, max(_total_width(widths.values()), below)))
        for row in self._rows:
            yield self._render_row(console, row, widths)
            if below and row[-1].plain:
                yield from _indent_lines(
                    list(row[-1].wrap(console, below - _INDENT, overflow="fold"))
                )
        missed = (
            set(range(len(self._titles) - bool(below))) - set(widths) - set(self._empty_columns())
        )
        if missed:
            left_out = ", ".join(self._titles[place] for place in sorted(missed))
            yield Text(f"no room for {left_out}; --json has all", style="dim")

    def _render_row(self, console: Console, row: Sequence[Text], widths: Mapping[int, int]) -> Text:
        """Renders one row. It has as many lines as its highest cell."""
        cells = [
            self._wrap_cell(console, row[place], place, width) for place, width in widths.items()
        ]
        lines = []
        for number in range(max(map(len, cells))):
            line = Text(no_wrap=True)
            for cell, width in zip(cells, widths.values(), strict=True):
                part = cell[number] if number < len(cell) else Text()
                line.append_text(part).append(" " * (width - part.cell_len + _GAP))
            line.rstrip()
            lines.append(line)
        return Text("\n").join(lines)

    def _wrap_cell(self, console: Console, text: Text, place: int, width: int) -> Sequence[Text]:
        if self._titles[place] not in self._cut:
            return list(text.wrap(console, width, overflow="fold"))
        text = text.copy()
        text.truncate(width, overflow="ellipsis")
        return [text]

    def _choose_widths(self, room: int) -> tuple[dict[int, int], int]:
        """Returns the width of each shown column by its position. If the last column has too little
        room beside the others, its words are printed below each row, and the second value is their
        width; else it is 0."""
        naturals = self._natural_widths()
        last = max(naturals)
        least = {at: min(width, _WORDS if at == last else _NAMES) for at, width in naturals.items()}
        beside = self._drop_columns(least, room)
        movable = len(beside) > 1 and last in beside and self._titles[last] not in self._cut
        if movable and _total_width(beside.values()) > room:
            least.pop(last)
            return _grow_columns(self._drop_columns(least, room), naturals, room), room
        return _grow_columns(beside, naturals, room), 0

    def _drop_columns(self, least: Mapping[int, int], room: int) -> dict[int, int]:
        """Returns the widths without the columns that are left out to make room, as far as that is
        possible."""
        kept = dict(least)
        for place in (*self._empty_columns(), *map(self._titles.index, self._drop)):
            if _total_width(kept.values()) <= room:
                break
            kept.pop(place, None)
        return kept

    def _natural_widths(self) -> dict[int, int]:
        """Returns the width that each column would need."""
        return {
            place: max((cell_len(title), *(_text_width(row[place]) for row in self._rows)))
            for place, title in enumerate(self._titles)
        }

    def _empty_columns(self) -> list[int]:
        """Returns the positions of columns without content."""
        places = range(1, len(self._titles))
        return [place for place in places if not any(row[place].plain for row in self._rows)]


def _grow_columns(
    least: Mapping[int, int], naturals: Mapping[int, int], room: int
) -> dict[int, int]:
    """Shares the remaining room: the first columns get it first, because they have names."""
    for most in range(_NAMES, 0, -1):  # the widest columns shrink first
        if _total_width(least.values()) <= room:
            break
        least = {at: min(width, most) for at, width in least.items()}
    free = room - _total_width(least.values())
    widths = {}
    for at, width in least.items():
        more = max(0, min(free, naturals[at] - width))
        free -= more
        widths[at] = width + more
    return widths


def _indent_lines(lines: Sequence[Text]) -> Iterator[Text]:
    for line in lines:
        line.rstrip()
        yield Text(" " * _INDENT).append_text(line)


def _text_width(text: Text) -> int:
    return max((cell_len(line) for line in text.plain.split("\n")), default=0)


def _total_width(widths: Collection[int]) -> int:
    return sum(widths) + _GAP * max(0, len(widths) - 1)
