"""How a database says when a row has changed: its clock, and the condition that people declare.

Rule: all times are the database's own, never this machine's.
"""

import re
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from qdrant_rollouts.core.config.index_file.changed import SINCE
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.sanitize.quoting import shorten_text

#: Before every row. A row that has not changed since then is never found.
_LONG_AGO = "1900-01-01 00:00:00"
#: A transaction writes the time of its begin into its rows and may commit much later. So the time
#: is that of the oldest open transaction, as far as this user may see them (``pg_read_all_stats``).
_POSTGRES_NOW = """
    SELECT least(clock_timestamp(),
        (SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database()
            AND backend_type NOT IN ('autovacuum worker', 'walsender')),
        (SELECT min(prepared) FROM pg_prepared_xacts WHERE database = current_database()))
"""
_NOW = {"postgresql": _POSTGRES_NOW, "sqlite": "SELECT strftime('%Y-%m-%d %H:%M:%S', 'now')"}
#: PostgreSQL compares these with a time by the time zone of the session (``pg_type.dat``).
_WITHOUT_ZONE = {1082: "date", 1114: "timestamp"}


def read_clock(connection: Connection, margin: float) -> str:
    """Returns the database's time ``margin`` seconds ago, in ISO 8601."""
    found: Any = connection.scalar(
        text(_NOW.get(connection.dialect.name, "SELECT CURRENT_TIMESTAMP"))
    )
    now = found if isinstance(found, datetime) else datetime.fromisoformat(str(found))
    return (now - timedelta(seconds=margin)).isoformat(" ")


def write_since(connection: Connection, since: str | None = None) -> Any:
    """Returns the parameter ``:since`` for this database; without a time, one before every row.
    SQLite has only texts, which are compared as such."""
    told = since or _LONG_AGO
    if connection.dialect.name == "sqlite":
        return told.partition(".")[0]
    value = datetime.fromisoformat(told)
    if connection.dialect.name == "postgresql" and value.tzinfo is None:
        return value.astimezone()
    return value


def write_condition(where: str) -> str:
    """Returns the condition with ``:since`` as its only parameter. SQLAlchemy would read its other
    colons as parameters too."""
    parts = [part.replace(":", "\\:") for part in SINCE.split(where)]
    return "(\n" + ":since".join(parts) + "\n)"


def check_zones(columns: Any, where: str) -> None:
    """``columns``: the description of the query's columns by PostgreSQL's driver. Raises Refused if
    the condition compares a column whose values have no time zone."""
    if "at time zone" in where.lower():
        return
    for column in columns:
        kind = _WITHOUT_ZONE.get(column[1])
        if kind and re.search(rf"\b{re.escape(column[0])}\b", where):
            raise Refused(
                f"column {shorten_text(column[0])} is a {kind} without a time zone, and :since has "
                f"one; say which: {shorten_text(column[0])} AT TIME ZONE 'UTC' > :since"
            )
