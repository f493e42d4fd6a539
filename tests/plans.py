"""How the database executes the queries of a piece of work: which indexes it uses, and how many
rows it reads for them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event, text


@dataclass(frozen=True, slots=True)
class Read:
    """One query on ``table``. ``index`` is empty if the table is read from end to end. ``rows`` is
    the number of rows that were read, with those that a filter has removed; SQLite does not say
    it."""

    table: str
    index: str
    rows: int | None


def explain(engine: Engine, table: str, work: Callable[[], object]) -> list[Read]:
    """Does the work, and returns how its queries read ``table``. Each plan is made just before its
    query, in the same transaction."""
    found: list[Read] = []

    def look(connection: Any, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.startswith("SELECT") and f"FROM {table}" in statement:
            cursor = connection.connection.dbapi_connection.cursor()
            found.extend(_explain_query(engine.dialect.name, cursor, table, statement, parameters))

    event.listen(engine, "before_cursor_execute", look)
    try:
        work()
    finally:
        event.remove(engine, "before_cursor_execute", look)
    return found


def analyze(engine: Engine) -> None:
    """Lets the database count its rows, as it does by itself after a while."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def _explain_query(
    dialect: str, cursor: Any, table: str, statement: str, parameters: Any
) -> Iterator[Read]:
    if dialect == "sqlite":
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        yield from _reads_of_sqlite(table, [line[-1] for line in cursor.fetchall()])
    else:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        (plans,) = cursor.fetchone()
        yield from _reads_of_postgres(table, plans[0]["Plan"])


def _reads_of_sqlite(table: str, lines: list[str]) -> Iterator[Read]:
    """Reads lines such as ``SEARCH deployments USING INDEX turns_held (lease_until<?)``."""
    for line in lines:
        words = line.split()
        if words[:1] in (["SEARCH"], ["SCAN"]) and words[1] == table:
            index = words[words.index("INDEX") + 1] if "INDEX" in words else ""
            yield Read(table, index if words[0] == "SEARCH" else "", None)


def _reads_of_postgres(table: str, node: dict[str, Any]) -> Iterator[Read]:
    children = node.get("Plans", ())
    if node["Node Type"] == "Bitmap Heap Scan":
        # The index also counts the former versions of a row that was updated, the heap does not.
        # Of several indexes that are combined, each counts for itself.
        found = {"Relation Name": node["Relation Name"]}
        if [child["Node Type"] for child in children] == ["Bitmap Index Scan"]:
            node = {**node, "Index Name": children[0]["Index Name"]}
            children = ()
        else:
            children = [{**child, **found} for child in children]
            node = {**node, "Relation Name": ""}
    for child in children:
        yield from _reads_of_postgres(table, child)
    if node.get("Relation Name") == table:
        yield Read(table, node.get("Index Name", ""), _count_rows(node))


def _count_rows(node: dict[str, Any]) -> int:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])
