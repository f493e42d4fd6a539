"""Which part of a list a page shows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """``first`` and ``last`` are the numbers of the rows on this page, from 1, of all that were
    ``found``."""

    page: int
    pages: int
    first: int
    last: int
    found: int


def find_place(page: int, found: int, size: int) -> Place:
    """``size``: rows on a page. In place of a page beyond the last one, because the list became
    shorter, it returns the last one."""
    pages = max(1, -(-found // size))
    page = min(page, pages)
    begins = (page - 1) * size
    return Place(page, pages, min(begins + 1, found), min(begins + size, found), found)
