"""``python:MODULE:CALLABLE``: the records that your own function returns; never taken from a
request, because it is code.

It is called again for each turn and each look of the gate, and must return the same records in the
same order: a turn skips those that were read before. Every worker must be able to import the
module, and only new processes see a changed one.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.errors import AppError, Refused
from qdrant_rollouts.core.ports import Cursor, Row, SizeUnit
from qdrant_rollouts.core.sanitize.quoting import error_text, quote_value


class FunctionSource:
    """Cursor: ``n`` and ``done`` (records so far), ``id`` of the last one if it has one."""

    collection: str | None = None
    left_out: Sequence[str] = ()
    size_unit: SizeUnit = "rows"

    def __init__(self, where: str) -> None:
        self._module, _, self._name = where.partition(":")
        if not all(part.isidentifier() for part in (*self._module.split("."), self._name)):
            raise Refused(
                f"source python:{where} names no function; expected python:MODULE:CALLABLE"
            )

    @property
    def address(self) -> str:
        return f"python:{self._module}:{self._name}"

    def check(self) -> None:
        try:
            first = next(self.read(None), None)
        except AppError:
            raise
        except Exception as error:
            raise Refused(
                f"{self.address} failed at its first record: {type(error).__name__}: "
                f"{error_text(error)}"
            ) from error
        if first is None:
            raise Refused(f"{self.address} gives no record")

    def fingerprint(self) -> None:
        return None

    def size(self) -> int:
        return 0

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        """Raises Refused if the record at the cursor is not the same as before; the function's own
        errors pass through."""
        read = cursor["n"] if cursor else 0
        for number, record in enumerate(self._call_function(), 1):
            row = self._row_of_record(number, record)
            if number > read:
                yield row
            elif cursor and number == read and row.cursor["id"] != cursor["id"]:
                raise Refused(
                    f"{row.where} was {quote_value(cursor['id'])} before; the function must give "
                    "the same records again"
                )

    def _call_function(self) -> Iterator[Any]:
        records = self._import_function()()
        if not hasattr(records, "__iter__") or isinstance(records, str | bytes | Mapping):
            raise Refused(
                f"{self.address} gives a {type(records).__name__}; expected records one after the "
                "other"
            )
        return iter(records)

    def _import_function(self) -> Callable[[], Any]:
        try:
            found: Callable[[], Any] | None = getattr(
                importlib.import_module(self._module), self._name, None
            )
        except ImportError as error:
            raise Refused(
                f"{self.address} cannot be imported: {error_text(error)}; it must be installed or "
                "on PYTHONPATH"
            ) from error
        if found is None or not callable(found):
            raise Refused(f"{self.address}: the module has no function {self._name}")
        return found

    def _row_of_record(self, number: int, record: Any) -> Row:
        where = f"{self.address}, record {number}"
        if not isinstance(record, Mapping):
            problem = f"is a {type(record).__name__}; expected a mapping of fields"
            return Row(where, None, {"n": number, "done": number, "id": None}, problem)
        id = record.get("id")
        known = None
        if isinstance(id, int | str):
            known = id
        return Row(where, dict(record), {"n": number, "done": number, "id": known})
