"""``sql:VARIABLE:SELECT …``: the rows of a database query, by ascending ``id``.

The database's URL is only in the environment variable: not in addresses, events or errors. Reading
continues after the last id, so nothing is kept in the database between two turns. A table may
change while it is read, and a fingerprint would need reading all of it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, TextClause, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from qdrant_rollouts.adapters.database import connect_arguments, sqlite_file, sqlite_files
from qdrant_rollouts.adapters.environment import read_secret
from qdrant_rollouts.adapters.own_files import OwnFiles
from qdrant_rollouts.adapters.sources import postgres, sql_changes
from qdrant_rollouts.adapters.sources.values import make_row
from qdrant_rollouts.core.database.faults import explain_error, find_meaning
from qdrant_rollouts.core.errors import Misconfigured, Refused, Unavailable, is_connection_lost
from qdrant_rollouts.core.ports import Cursor, Row, SizeUnit
from qdrant_rollouts.core.sanitize import hosts
from qdrant_rollouts.core.sanitize.quoting import describe_columns, error_text, shorten_text

_PAGE_ROWS = 1000
#: Nothing that is read here needs to write; the first statement of a transaction says so, if the
#: database supports it.
_READ_ONLY = {"postgresql": "SET TRANSACTION READ ONLY", "sqlite": "PRAGMA query_only = ON"}
#: A text of a row and a parameter are compared by the collation of the column, as rows are ordered.
_COMPARES_TEXTS = {"postgresql", "sqlite"}
#: SQLite also calls a mistake in a query an operational error.
_SQLITE_ERROR = 1


class SqlSource:
    """Cursor: ``after`` (the last id), ``same`` (rows with that id so far), ``n`` and ``done``
    (rows so far)."""

    collection: str | None = None
    left_out: Sequence[str] = ()
    size_unit: SizeUnit = "rows"
    least_part = 1000

    def __init__(self, where: str, own: OwnFiles) -> None:
        self._own = own
        self._variable, _, query = (part.strip() for part in where.partition(":"))
        self._query = query.rstrip("; \n\t")
        if not self._query.lower().startswith(("select", "with")):
            # The value is not shown: it may be a URL with a password.
            raise Refused(
                "a source sql: has no query; expected sql:VARIABLE:SELECT …, the URL is in the "
                "variable"
            )

    @property
    def address(self) -> str:
        return f"sql:{self._variable}:{self._query}"

    @property
    def _name(self) -> str:
        return f"database {self._variable}"

    def check(self) -> None:
        with self._connect_database() as connection:
            columns = list(connection.execute(self._wrap_query("q.*", "WHERE 1 = 0")).keys())
            if "id" not in columns:
                raise Refused(
                    f"{self._name}: the query gives {describe_columns(columns)}; one column must "
                    "be named id"
                )
            without = connection.scalar(self._wrap_query("count(*) - count(q.id)"))
            kinds = self._list_kinds_of_ids(connection)
        if not self.size():
            raise Refused(
                f"{self._name}: the query gives no row; change its condition, or fill the table"
            )
        if without:
            raise Refused(
                f"{self._name}: {without:,} rows have no id (NULL); leave them out, WHERE id IS "
                "NOT NULL"
            )

        if len(kinds) > 1:
            raise Refused(
                f"{self._name}: ids are of different types ({', '.join(kinds)}), which the "
                "database does not compare as it orders them; select one: CAST(id AS TEXT) AS id"
            )

    def _list_kinds_of_ids(self, connection: Connection) -> Sequence[str]:
        """Only a column of SQLite can hold several types."""
        if connection.dialect.name != "sqlite":
            return ()
        found = connection.scalars(
            self._wrap_query("DISTINCT typeof(q.id)", "WHERE q.id IS NOT NULL")
        )
        return sorted(found)

    def fingerprint(self) -> None:
        return None

    def size(self) -> int:
        return self._size

    @cached_property
    def _size(self) -> int:
        with self._connect_database() as connection:
            return int(connection.scalar(self._wrap_query("count(*)")) or 0)

    def split(self, parts: int) -> Sequence[Cursor]:
        """Cuts at the quantiles of the ids, in the order of the database. Only the databases that
        are known compare a text of a row with a parameter by the rules of their order."""
        cuts = self.list_places([part / parts for part in range(1, parts)])
        known: set[type] = {int}
        if self._read_url().get_backend_name() in _COMPARES_TEXTS:
            known.add(str)
        if {type(cut["after"]) for cut in cuts} - known:
            return []
        return cuts

    def _select_ids_at(self, numbers: Collection[int]) -> TextClause:
        """Selects the ids of these rows, counted from 1 by ascending id, in one pass."""
        query = self._query.replace(":", "\\:")
        places = ", ".join(str(number) for number in sorted(numbers))
        return text(
            "SELECT p.id FROM (SELECT q.id AS id, row_number() OVER (ORDER BY q.id) AS place "  # noqa: S608 - the operator's own query, and integers
            f"FROM (\n{query}\n) AS q) AS p WHERE p.place IN ({places}) ORDER BY p.place"
        )

    def list_places(self, fractions: Sequence[float]) -> Sequence[Cursor]:
        numbers = {int(self._size * one) for one in fractions} - {0}
        if not numbers:
            return []
        with self._connect_database() as connection:
            ids = connection.scalars(self._select_ids_at(numbers)).all()
        return [{"after": id, "same": 0, "n": 0, "done": 0} for id in dict.fromkeys(ids)]

    def read_part(
        self, cursor: Cursor | None, start: Cursor | None, stop: Cursor | None
    ) -> Iterator[Row]:
        return self._read_rows(_Part(start=_id_of(start), stop=_id_of(stop)), cursor)

    def check_changes(self, where: str) -> None:
        condition = sql_changes.write_condition(where)
        with self._connect_database() as connection:
            columns = connection.execute(self._wrap_query("q.*", "WHERE 1 = 0"))
            if connection.dialect.name == "postgresql":
                sql_changes.check_zones(columns.cursor.description, where)
            unseen = f"count(*) - count(CASE WHEN {condition} THEN 1 END)"
            never = connection.scalar(
                self._wrap_query(unseen), {"since": sql_changes.write_since(connection)}
            )
            twice = connection.scalar(self._wrap_query("count(*) - count(DISTINCT q.id)"))
        if never:
            raise Refused(
                f"{self._name}: the condition never finds {never:,} rows, whatever :since is: they "
                "have no time (NULL), or one of another type. Say COALESCE(updated_at, created_at) "
                "for NULL, and unixepoch(:since) for numbers in SQLite"
            )
        if twice:
            raise Refused(
                f"{self._name}: {twice:,} rows have the id of another row; with `changed` each id "
                "must be unique"
            )

    def mark_changes(self, margin: float) -> str:
        with self._connect_database() as connection:
            return sql_changes.read_clock(connection, margin)

    def read_changes(self, where: str, since: str, cursor: Cursor | None) -> Iterator[Row]:
        return self._read_rows(_Part(condition=where, since=since), cursor)

    def read_ids(self, cursor: Cursor | None) -> Iterator[Row]:
        return self._read_rows(_Part(columns="q.id"), cursor)

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        return self._read_rows(_Part(), cursor)

    def _read_rows(self, part: "_Part", cursor: Cursor | None) -> Iterator[Row]:
        after, same, number = (
            (cursor["after"], cursor["same"], cursor["n"]) if cursor else (None, 0, 0)
        )
        left_out = same
        for columns in self._rows_of_query(part, after):
            if left_out and columns["id"] == after:
                left_out -= 1
                continue
            left_out = 0
            number = number + 1
            same = same + 1 if columns["id"] == after else 1
            after = columns["id"]
            at = {"after": after, "same": same, "n": number, "done": number}
            yield make_row(
                f"{self._name}, row {number}, id {shorten_text(str(after))}", dict(columns), at
            )

    def _rows_of_query(self, part: "_Part", after: int | str | None) -> Iterator[RowMapping]:
        """Begins with the rows that have the id ``after``."""
        with self._connect_database() as connection:
            conditions, given = part.write_conditions(connection, after)
            behind = f"WHERE {' AND '.join(conditions)} " if conditions else ""
            query = self._wrap_query(part.columns, f"{behind}ORDER BY q.id")
            paged = connection.execution_options(yield_per=_PAGE_ROWS)
            with paged.execute(query, given) as found:  # whoever reads a part leaves no cursor open
                for row in found.mappings():
                    self._check_id(row["id"])
                    yield row

    def _check_id(self, id: Any) -> None:
        """An id's order must be the same as a parameter and as a column, which holds only for
        integers and texts."""
        if type(id) not in {int, str}:
            kind = "NULL"
            if id is not None:
                kind = type(id).__name__
            raise Refused(
                f"{self._name}: an id is {kind}; select integers or texts, such as CAST(key AS "
                "TEXT) AS id"
            )
        if isinstance(id, str) and not id.isprintable():
            try:
                id.encode()
            except UnicodeEncodeError:
                shown = ascii(id)[:80]
                raise Refused(f"{self._name}: an id is {shown}, which is no Unicode text") from None

    def _wrap_query(self, columns: str, behind: str = "") -> TextClause:
        """Escapes the colons of the query, which SQLAlchemy would read as parameters."""
        query = self._query.replace(":", "\\:")
        return text(f"SELECT {columns} FROM (\n{query}\n) AS q {behind}")  # noqa: S608 - the operator's own query

    @contextmanager
    def _connect_database(self) -> Iterator[Connection]:
        url = self._read_url()
        try:
            with self._create_engine(url).connect() as connection:
                if url.get_backend_name() in _READ_ONLY:
                    connection.exec_driver_sql(_READ_ONLY[url.get_backend_name()])
                _read_every_value(connection)
                yield connection
        except RecursionError:
            raise Refused(
                f"{self._name}: a row holds JSON of more levels than can be read; select it as text"
            ) from None
        except DBAPIError as error:
            if _wrong_setting(error):
                raise explain_error(error, self._name, self._variable) from None
            said = _database_message(error).replace(url.password or "\0", "***")
            kind = Unavailable if _may_pass(error) else Refused
            raise kind(f"{self._name}: {error_text(said)}") from None

    def _create_engine(self, url: URL) -> Engine:
        backend = url.get_backend_name()
        if backend == "sqlite":
            self._check_file(sqlite_file(url))
        try:
            return create_engine(
                url, poolclass=NullPool, connect_args=connect_arguments(url), hide_parameters=True
            )
        except (ArgumentError, ImportError):
            raise Refused(
                f"{self._name}: there is no driver for {url.drivername}; install it in this "
                "program's environment"
            ) from None

    def _check_file(self, file: Path | None) -> None:
        if file is None or not file.is_file():
            # SQLite would create an empty one
            raise Refused(f"{self._name}: there is no such SQLite file")
        for beside in sqlite_files(file):  # SQLite opens and closes these too
            self._own.refuse(beside, self._name)

    def _read_url(self) -> URL:
        try:
            url = make_url(read_secret(self._variable, f"source sql:{self._variable}:…"))
        except (ArgumentError, ValueError):
            raise Refused(
                f"{self._variable} is no SQLAlchemy URL such as "
                "postgresql://USER:PASSWORD@HOST/NAME"
            ) from None
        if hosts.is_impossible_host(url.host):
            raise Refused(f"{self._variable}: {hosts.IMPOSSIBLE_HOST}")
        return url


@dataclass(frozen=True, slots=True)
class _Part:
    """Which columns and rows of the query are read: those for which ``condition`` is true after
    ``since``, and whose id is greater than ``start`` and not greater than ``stop``.

    Rule: the database alone compares ids, so a part has the same bounds as the order in which it is
    read. A part without an upper bound would sort the rest of a table that has no index."""

    columns: str = "q.*"
    condition: str = ""
    since: str = ""
    start: int | str | None = None
    stop: int | str | None = None

    def write_conditions(
        self, connection: Connection, after: int | str | None
    ) -> tuple[list[str], Mapping[str, Any]]:
        """Returns SQL, and the values of its parameters."""
        conditions = []
        given: dict[str, Any] = {}
        if self.condition:
            conditions.append(sql_changes.write_condition(self.condition))
            given["since"] = sql_changes.write_since(connection, self.since)
        if after is not None:
            conditions.append("q.id >= :after")
            given["after"] = after
        elif self.start is not None:
            conditions.append("q.id > :start")
            given["start"] = self.start
        if self.stop is not None:
            conditions.append("q.id <= :stop")
            given["stop"] = self.stop
        return conditions, given


def _id_of(cut: Cursor | None) -> int | str | None:
    return (cut or {}).get("after")


def _wrong_setting(error: DBAPIError) -> bool:
    """While it connects, the driver has only texts and no code; later, a refusal concerns the
    query."""
    known = find_meaning(error)
    return (
        not hasattr(error.orig, "sqlite_errorcode")
        and not getattr(error.orig, "sqlstate", None)
        and (known is not None and issubclass(known[0], Misconfigured))
    )


def _read_every_value(connection: Connection) -> None:
    """A value that a driver cannot read would fail the query; so it makes one bad record."""
    if connection.dialect.driver == "psycopg":
        postgres.read_every_value(connection)
    elif connection.dialect.name == "sqlite":
        sqlite: Any = connection.connection.driver_connection
        sqlite.text_factory = _text_or_surrogates


def _text_or_surrogates(data: bytes) -> str:
    """Bytes that are not UTF-8 become surrogates, which no record may contain."""
    return data.decode(errors="surrogateescape")


def _database_message(error: DBAPIError) -> str:
    """Returns the message and the database's hint; its details and context repeat rows and the
    query."""
    about = getattr(error.orig, "diag", None)
    primary = getattr(about, "message_primary", None)
    if primary:
        return f"{primary}. {getattr(about, 'message_hint', None) or ''}"
    return str(error.orig)


def _may_pass(error: DBAPIError) -> bool:
    if getattr(error.orig, "sqlite_errorcode", None) == _SQLITE_ERROR:
        return False
    return is_connection_lost(error)
