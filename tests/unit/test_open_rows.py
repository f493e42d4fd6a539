"""The rows that a turn reads by windows: when they are opened, and when they are at their end."""

import time
from collections.abc import Iterator

import pytest

from qdrant_rollouts.core.deployments.steps.reading import OpenRows
from qdrant_rollouts.core.errors import Limited
from qdrant_rollouts.core.ports import Cursor, Row


class Numbers:
    """A hundred rows. ``limited``: before which rows its rate limit allows no more, once each.
    ``slow``: how many seconds it needs to the first row."""

    def __init__(self, *limited: int, slow: float = 0.0) -> None:
        self.limited = set(limited)
        self.slow = slow
        self.opened: list[int] = []

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        after = int(cursor["done"]) if cursor else 0
        self.opened.append(after)
        time.sleep(self.slow)
        for number in range(after + 1, 101):
            if number in self.limited:
                self.limited.remove(number)
                raise Limited("no more reads for now")
            yield Row(f"row {number}", {"id": number}, {"done": number})


def read(rows: OpenRows, source: Numbers, after: int, most: int) -> tuple[list[int], bool]:
    rows.go_to({"done": after} if after else None, source.read)
    window, more = rows.read_window(most, 60)
    return [row.cursor["done"] for row in window], more


def test_rows_are_opened_once_for_all_windows() -> None:
    source, rows = Numbers(), OpenRows()
    assert read(rows, source, 0, 60) == ([*range(1, 61)], True)
    assert read(rows, source, 60, 60) == ([*range(61, 101)], False)
    assert source.opened == [0]


def test_what_of_a_window_was_not_taken_is_given_again() -> None:
    source, rows = Numbers(), OpenRows()
    read(rows, source, 0, 20)
    assert read(rows, source, 7, 2) == ([8, 9], True)
    assert read(rows, source, 8, 20) == ([*range(9, 29)], True)
    assert read(rows, source, 8, 1) == ([9], True)
    assert source.opened == [0]


def test_another_place_is_opened_anew() -> None:
    source, rows = Numbers(), OpenRows()
    read(rows, source, 0, 20)
    assert read(rows, source, 50, 2) == ([51, 52], True)
    assert source.opened == [0, 50]


@pytest.mark.parametrize("before", [31, 41], ids=["in a window", "between two windows"])
def test_a_rate_limit_is_never_the_end(before: int) -> None:
    source, rows = Numbers(before), OpenRows()
    seen: list[int] = []
    refused = 0
    more = True
    while more:
        try:
            window, more = read(rows, source, len(seen), 20)
        except Limited:
            refused += 1
            continue
        assert window or not more
        seen += window
    assert seen == [*range(1, 101)]
    assert source.opened == [0, before - 1]
    assert refused == (before == 41)


def test_an_error_opens_the_rows_again() -> None:
    source, rows = Numbers(), OpenRows()

    def fail(cursor: Cursor | None) -> Iterator[Row]:
        yield from list(source.read(cursor))[:3]
        raise OSError("gone")

    rows.go_to(None, fail)
    with pytest.raises(OSError, match="gone"):
        rows.read_window(5, 60)
    assert read(rows, source, 3, 2) == ([4, 5], True)


def test_the_time_of_a_window_begins_at_its_first_row() -> None:
    source, rows = Numbers(slow=0.1), OpenRows()
    rows.go_to(None, source.read)
    window, _ = rows.read_window(50, 0.05)
    assert len(window) > 1
