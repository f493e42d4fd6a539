"""What came of records that an application has written."""

from typing_extensions import TypedDict  # pydantic needs typing_extensions before Python 3.12


class Written(TypedDict):
    """How many points were written and how many deleted. ``not_found`` are ids as they were given
    that the index does not have."""

    alias: str
    written: int
    deleted: int
    not_found: list[int | str]
