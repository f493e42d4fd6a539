"""How psycopg reads values, so that a value that Python has no type for makes one bad record.

Python's dates end at the years 1 and 9999 and have no infinity, its times end before 24:00, and its
durations have no months. psycopg fails the whole query for a date or time that does not fit.
"""

from typing import Any, cast

from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.errors import DataError
from psycopg.types import datetime as times
from psycopg.types.json import JsonbLoader, JsonLoader
from psycopg.types.string import TextLoader
from sqlalchemy import Connection

from qdrant_rollouts.adapters.sources.values import Unreadable
from qdrant_rollouts.core.sanitize.quoting import error_text, quote_value

_LOADERS: dict[str, type[Loader]] = {
    "date": times.DateLoader,
    "time": times.TimeLoader,
    "timetz": times.TimetzLoader,
    "timestamp": times.TimestampLoader,
    "timestamptz": times.TimestamptzLoader,
    "json": JsonLoader,
    "jsonb": JsonbLoader,
}
#: Read as PostgreSQL writes them: ``[2026-01-01,infinity)``; ``P1M`` by the style set below.
_AS_TEXT = ("interval", *(f"{kind}{form}" for kind in ("int4", "int8", "num", "date", "ts", "tstz")
                          for form in ("range", "multirange")))  # fmt: skip


def read_every_value(connection: Connection) -> None:
    """For the current transaction on ``connection``; nothing is left in a pooler's session."""
    connection.exec_driver_sql("SET LOCAL intervalstyle = 'iso_8601'")
    adapters = cast(Any, connection.connection.driver_connection).adapters
    for name, loader in _LOADERS.items():
        adapters.register_loader(name, _make_forgiving(loader))
    for name in _AS_TEXT:
        adapters.register_loader(name, TextLoader)


def _make_forgiving(loader: type[Loader]) -> type[Loader]:
    class Forgiving(loader):  # type: ignore[misc, valid-type]
        def load(self, data: Buffer) -> Any:
            try:
                return super().load(data)
            except (DataError, ValueError, OverflowError, RecursionError) as error:
                shown = bytes(data[:40]).decode(errors="replace")
                why = f"is {quote_value(shown)}, which cannot be read: {error_text(error)}"
                return Unreadable(f"{why}; select it as text, CAST(… AS TEXT)")

    return Forgiving
